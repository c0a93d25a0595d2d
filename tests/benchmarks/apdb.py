"""A Visit against LSST's Alert Production Database, which does the same work in tables of its own.

Ten thousand DiaSources and thrice as many forced measurements, with a year of history that is read. The peer's tables
hold the Objects of the field alone, ours all. Each run begins from fresh copies of both databases, in memory.
"""

import io
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from psycopg2.extensions import parse_dsn
from sqlalchemy import URL

from db.connect import connect, dsn
from db.ids import MeasurementId, pack
from db.load import load
from migrations.upgrade import create
from tests.benchmarks import Result, in_turns
from tests.benchmarks.copies import copied
from tests.benchmarks.visits import CENTRE, FILTERS, FIRST_NIGHT, MONTHS, NEW, NIGHT, Survey, detectors, full

PEER, FORCED = "apdb_bench", "level1_forced"
SCRIPT = Path(__file__).with_name("apdb_visit.py")
HISTORY = "COPY (SELECT * FROM level1.{} WHERE object_id = ANY ('{{{}}}')) TO STDOUT (FORMAT binary)"


def compare(database: str, python: Path, sky, detections: int) -> list[Result]:
    """Measure both, in turns."""
    here = sky.within(CENTRE)
    seen = sky.variables(CENTRE, int(detections * (1 - NEW)))
    points = here[~sky.extended[here]]
    forced = np.sort(np.random.default_rng(2).choice(points, min(3 * detections, points.size), replace=False))
    with copied(database, FORCED), tempfile.TemporaryDirectory() as folder:
        with closing(connect(FORCED)) as session:
            for month in range(MONTHS):
                _load_forced(session, "level1.forced_dia_source", sky, forced, FIRST_NIGHT + 30 * month, 1 + month)
            _, rows = Survey(session, sky, detections).begin(NIGHT, 1)
            session.commit()
        file = Path(folder) / "sky.npz"
        np.savez(file, object_id=sky.object_id[here], ra=sky.ra[here], dec=sky.dec[here],
                 seen=np.searchsorted(here, seen), forced=np.searchsorted(here, forced),
                 months=50000.3 + FIRST_NIGHT + 30 * np.arange(MONTHS),
                 tai=50000.3 + NIGHT, centre=CENTRE, found_ra=rows["ra"], found_dec=rows["dec"])  # fmt: skip
        create(PEER)
        _run(python, "make", PEER, file)
        seconds = in_turns({
            "ours": lambda: _ours(sky, detections, forced), "lsst-dax-apdb": lambda: _theirs(python, file),
        })  # fmt: skip
        with closing(connect("postgres")) as session, session.cursor() as cursor:
            session.autocommit = True
            cursor.execute(f"DROP DATABASE {PEER} WITH (FORCE)")
    rates = {name: 1 / took for name, took in seconds.items()}
    what = "the same with forced rows and history read"
    return [Result(what, rates["ours"], "Visits/s", "lsst-dax-apdb", rates["lsst-dax-apdb"], goal=10)]


def _theirs(python: Path, file: Path) -> float:
    with copied(PEER) as database:
        return float(_run(python, "visit", database, file))


def _run(python: Path, action: str, database: str, file: Path) -> str:
    given = parse_dsn(dsn(database))
    url = URL.create("postgresql+psycopg2", given.pop("user", None), database=given.pop("dbname"), query=given)
    command = [str(python), "-P", str(SCRIPT), action, url.render_as_string(), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"lsst-dax-apdb: {done.stderr[-2000:]}")
    return done.stdout.split()[-1] if done.stdout.split() else ""


def _ours(sky, detections: int, forced: np.ndarray) -> float:
    with copied(FORCED) as database, closing(connect(database)) as session:
        survey = Survey(session, sky, detections)
        survey.run(NIGHT, 2, (CENTRE[0], CENTRE[1] + 3.7))  # a warm connection
        visit, rows = survey.begin(NIGHT, 3)
        begin = time.perf_counter()
        survey.stage(rows)
        job = survey.job()
        report = _load_forced(session, "staging.forced_dia_source", sky, forced, NIGHT, 3, job)
        survey.finish(job, report)
        survey.associate(visit)
        ids = ",".join(map(str, survey.objects_of(visit)))
        with session.cursor() as cursor:
            for table in ("dia_source", "forced_dia_source"):
                cursor.copy_expert(HISTORY.format(table, ids), io.BytesIO())
        session.commit()
        return time.perf_counter() - begin


def _load_forced(session, table: str, sky, forced: np.ndarray, night: int, sequence: int, job: int = 0):
    """Forced measurements of Objects in one Visit; return the loader's report."""
    random = np.random.default_rng(sequence)
    ra, dec, healpix29 = sky.ra[forced], sky.dec[forced], sky.healpix29[forced]
    detector = detectors(ra, dec, CENTRE)
    order = np.lexsort([healpix29, detector])
    ra, dec, healpix29, detector = ra[order], dec[order], healpix29[order], detector[order]
    visit_id, rank = night << 12 | sequence, np.arange(order.size) - np.searchsorted(detector, detector)
    given = {"forced_dia_source_id": pack(MeasurementId(0, visit_id, detector, 0, rank, 0)), "ra": ra, "dec": dec,
             "healpix29": healpix29, "object_id": sky.object_id[forced][order], "visit_id": visit_id,
             "exposure_id": visit_id << 12 | detector << 4 | 2, "detector_id": detector,
             "filter_id": 1 + sequence % FILTERS, "midpoint_tai": 50000.3 + night,
             "psf_flux_err": 10, "job_id": job}  # fmt: skip
    left_out = ("moving_object_id", "time_withdrawn")
    rows = full(session, table, order.size, given, random)
    report = load(session, table, {name: column for name, column in rows.items() if name not in left_out})
    session.commit()
    return report
