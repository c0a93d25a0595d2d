"""A release's bulk build: Sources are staged, associated and written piece by piece of the sky, and indexed.

The floor is a COPY of the same rows into one plain table, and the same indexes on it, as many at a time. Beside it,
how much more detectors two processes bring from raw Snaps to DiaSources than one.
"""

import multiprocessing
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from psycopg2.extras import Json

from db import queue
from db.connect import connect
from db.databases import TEMPLATE
from db.ids import MeasurementId, VisitId, pack
from db.load import load
from db.queue import Production
from db.release import clone
from migrations.upgrade import create, upgrade
from pipelines.instruments import instrument
from pipelines.productions import standard
from pipelines.productions.rows import healpix29, object_rows
from pipelines.simulate.places import scattered
from tests.benchmarks import Measured, Result

SIZES = {"1e7": 10_000_000, "million": 1_000_000, "tiny": 50_000}
"""Sources; there are a tenth as many Objects, each seen ten times."""
DATABASE, NUMBER = "dr1", 1
EPOCHS, PER_VISIT = 10, 20_000
CENTRE, RADIUS_DEG = (45.0, 0.0), 4.0  # where four base pixels meet
WORKERS = 2
CAMERA, RUNS = "simcam_1k", 4
"""Of the pixel phases: the camera, and how many detectors each process does."""
PIXELS_FROM = 1_000_000  # Sources, from which pixels are measured too
ERR = 0.05  # arcsec
NIGHT = 9000
BY = np.dtype([(name, "f8") for name in ("ra", "dec")] + [
    (name, "f4") for name in ("ra_err", "dec_err", "ra_dec_cov", "extendedness", "ixx", "iyy", "ixy")])  # fmt: skip
JOB = """INSERT INTO queue.job (production_id, kind, key, parameters, state)
         VALUES (%(production_id)s, 'release_calibrate', 'visit ' || %(visit_id)s, '{}', 'done') RETURNING job_id"""
DEFINED = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'dr1.source'::regclass"


def build(_sources: int) -> None:
    """Make an empty release."""
    for database in ("hub", TEMPLATE):
        create(database)
        upgrade(database)
    clone(DATABASE, NUMBER)
    upgrade(DATABASE)


def measure(sources: int) -> Measured:
    """Fill the release step by step, then the floor."""
    stage = plain = 0.0
    with closing(connect(DATABASE)) as session, session.cursor() as cursor:
        objects = _objects(sources // EPOCHS)
        load(session, "dr1.object", objects)
        cursor.execute("INSERT INTO dr1.filter (filter_id, name) VALUES (1, 'r')")
        cursor.execute("SELECT hven.drop_indexes('source')")
        cursor.execute("CREATE TABLE staging.plain (LIKE dr1.source)")
        session.commit()
        for rows, parents in _visits(session, objects):
            stage += _timed(_stage, session, rows)
            whole = rows | {"object_id": parents, "tile": (rows["healpix29"] >> 46).astype("i4")}
            plain += _timed(_load, session, "staging.plain", whole)
        cursor.execute("ANALYZE dr1.object")
        cursor.execute(DEFINED)
        floor = [re.sub(r"INDEX \S+ ON ONLY \S+", "INDEX ON staging.plain", text) for (text,) in cursor]
        session.commit()
    parts = [(part,) for part in range(12)]
    associate = _timed(_side_by_side, "SELECT hven.open_sources()", [()])
    associate += _timed(_side_by_side, "SELECT hven.fill_sources(%s)", parts)
    index = _timed(_side_by_side, "SELECT hven.index_partition('source', %s)", parts)
    index += _timed(_side_by_side, "SELECT hven.close_sources()", [()])
    indexes = _timed(_side_by_side, "%s", floor)
    results = [
        Result("COPY, association, order and indexes", stage + associate + index, "s", "COPY and indexes",
               plain + indexes, 2.0, higher_is_better=False),
        Result("staged by COPY", stage, "s", "COPY into a plain table", plain),
        Result("associated and written in order", associate, "s"),
        Result("indexed", index, "s", "indexes", indexes),
        *(pixels() if sources >= PIXELS_FROM else ()),
    ]  # fmt: skip
    visits = EPOCHS * -(-sources // EPOCHS // PER_VISIT)
    return Measured({"sources": sources, "objects": sources // EPOCHS, "visits": visits}, results)


def _objects(number: int) -> dict:
    """Return rows of `object`, in the order of the sky."""
    rows = np.zeros(number, BY)
    rows["ra"], rows["dec"] = scattered(number, *CENTRE, RADIUS_DEG, np.random.default_rng(8))
    rows["ra_err"] = rows["dec_err"] = 0.01
    for name in ("extendedness", "ixx", "iyy", "ixy"):
        rows[name] = np.nan
    return object_rows(rows, NUMBER)


def _visits(session, objects: dict) -> Iterator[tuple[dict, np.ndarray]]:
    """Enter Visits, each of a piece of the sky; yield rows of their Sources, with the true Objects."""
    random, number = np.random.default_rng(9), 0
    for _ in range(EPOCHS):
        for first in range(0, len(objects["ra"]), PER_VISIT):
            number += 1
            piece = slice(first, first + PER_VISIT)
            visit_id = int(pack(VisitId(NIGHT + number // 4000, number % 4000)))
            with session, session.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO dr1.visit (visit_id, night, sequence, filter_id, snaps, detectors, midpoint_tai)"
                    " VALUES (%s, %s, %s, 1, 1, 1, 59000)", [visit_id, NIGHT + number // 4000, number % 4000]
                )  # fmt: skip
            yield _sources(objects, piece, visit_id, random)


def _sources(objects: dict, piece: slice, visit_id: int, random) -> tuple[dict, np.ndarray]:
    dec = objects["dec"][piece]
    count = len(dec)
    ra = (objects["ra"][piece] + random.normal(0, ERR / 3600, count) / np.cos(np.radians(dec))) % 360
    dec = dec + random.normal(0, ERR / 3600, count)
    flux = random.lognormal(8, 1, count).astype("f4")
    same = {"exposure_id": visit_id << 12, "visit_id": visit_id}
    small = {name: np.full(count, value, "f4") for name, value in (
        ("ra_err", ERR), ("dec_err", ERR), ("ra_dec_cov", 0), ("psf_flux_err", 20), ("ap_flux_err", 30), ("snr", 50),
        ("ixx", 0.2), ("iyy", 0.2), ("ixy", 0), ("x", 100), ("y", 100), ("sky", 1))}  # fmt: skip
    rows = {
        "source_id": pack(MeasurementId(NUMBER, visit_id, 0, 0, np.arange(count), 0)), "ra": ra, "dec": dec,
        "healpix29": healpix29(ra, dec), "detector_id": np.zeros(count, "i2"), "filter_id": np.ones(count, "i2"),
        "midpoint_tai": np.full(count, 59000.0), "psf_flux": flux, "ap_flux": flux, **small,
        **{name: np.full(count, value) for name, value in same.items()},
    }  # fmt: skip
    return rows, objects["object_id"][piece]


def _stage(session, rows: dict) -> None:
    """Stage a Visit's Sources as a job does, which tells what it staged."""
    with session, session.cursor() as cursor:
        production = queue.start_production(cursor, Production("release", "bench", "1"))
        cursor.execute(JOB, {"production_id": production, "visit_id": int(rows["visit_id"][0])})
        (job_id,) = cursor.fetchone()
        report = load(session, "staging.source", rows | {"job_id": np.full(len(rows["ra"]), job_id)})
        result = {"rows": report.rows, "xor_id": report.digest.id_xor, "xor_healpix29": report.digest.healpix29_xor}
        cursor.execute("UPDATE queue.job SET result = %s WHERE job_id = %s", [Json({report.table: result}), job_id])


def _load(session, table: str, rows: dict) -> None:
    with session:
        load(session, table, rows)


def _side_by_side(query: str, values: list) -> None:
    """Run statements in as many connections as there are workers, each the next that is left."""
    left = iter(values)

    def run(_worker: int) -> None:
        with closing(connect(DATABASE)) as session, session.cursor() as cursor:
            for one in left:
                cursor.execute(*((one,) if query == "%s" else (query, one)))
                session.commit()

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(run, range(WORKERS)))


def _timed(function, *arguments) -> float:
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


def pixels() -> list[Result]:
    """Measure how many detectors one process, and as many as there are workers, bring from Snaps to DiaSources."""
    with TemporaryDirectory(prefix="hven-release-") as made:
        child = multiprocessing.get_context("spawn").Process(target=_simulate, args=(Path(made),))
        child.start()
        child.join()
        one, all_ = (_rate(Path(made), workers) for workers in (1, WORKERS))
    return [Result(f"pixel phases, {WORKERS} workers", all_, "detectors/s", "1 worker", one, 1.6)]


def _simulate(folder: Path) -> None:
    standard.save(standard.simulate(folder, instrument(CAMERA), 1), folder / "given")


def _rate(folder: Path, workers: int) -> float:
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _begin, (folder, context.Barrier(workers))) as pool:
        pool.map(_wait, range(workers), chunksize=1)
        begin = time.perf_counter()
        pool.map(_process, [folder] * RUNS * workers, chunksize=1)
        return RUNS * workers / (time.perf_counter() - begin)


def _begin(folder: Path, barrier) -> None:
    """Compile what has to be, in every process, before the time is taken."""
    _process(folder)
    barrier.wait()


def _wait(_number: int) -> None:
    """Return when a process has begun, which all do together."""


def _process(folder: Path) -> None:
    standard.process(standard.load(folder / "given"), instrument(CAMERA))
