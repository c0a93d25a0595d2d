"""Importing a user's file in each format, beside pandas' to_sql and a raw COPY; then using the table.

Each import is all that a user has: the file read, checked, healpix29 computed, rows stored, index and statistics made,
columns registered. The raw COPY is one of bytes that were packed beforehand, into a table without index.
"""

import io
import multiprocessing
import os
import resource
import tempfile
import time
from contextlib import closing
from pathlib import Path

import healpy
import numpy as np
import pandas as pd
import pyarrow as pa
from psycopg2 import sql
from pyarrow import csv

from db import users
from db.cells import Values, blocks
from db.connect import connect, engine
from db.load import CHUNK, load, table_columns
from db.pack import pack
from federation import foreign, formats, spaces
from federation.columns import Field
from federation.foreign import Remote
from federation.formats import Sink
from federation.importing import import_file
from federation.sessions import as_user
from migrations.upgrade import create, upgrade
from pipelines.simulate.places import scattered, shifted
from tests.benchmarks import Measured, Result, in_turns
from tests.benchmarks.facts import production_server

SIZES = {"million": 1_000_000, "1e5": 100_000, "tiny": 2_000, "1GB": 6_700_000, "5GB": 33_600_000}
"""Rows of a file; those of 1 and 5 GB are CSVs whose import is watched for its memory alone."""
DATABASE, FAR = "level1_bench", "level1_far"
PASSWORD = "Stjerneborg 1584"
FORMATS = (".parquet", ".fits", ".csv", ".ecsv", ".vot")
SLOW_ROWS = 20_000  # for to_sql
PER_SQUARE_DEGREE = 100_000
TIMES = 10  # Objects for each row of the file
CONES = 100
FEW = 5_000  # rows that are matched with a table of another database
GOALS = {".parquet": 0.5, ".fits": 0.5}
"""Least share of the raw COPY's rate."""


def run(rows: int) -> Measured:
    """Measure."""
    with production_server(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for database in (DATABASE, FAR):
            create(database)
            upgrade(database)
        users.add("ursus", "level3", PASSWORD)
        spaces.open_space("ursus", DATABASE, spaces.Terms(1 << 40))
        if rows > 5_000_000:
            return _memory_of(folder, rows)
        data = _rows(rows)
        files = {ending: _write(folder / f"in{ending}", data) for ending in FORMATS}
        sizes = {f"bytes of {ending}": path.stat().st_size for ending, path in files.items()}
        results = _rates(data, files)
        results += _join(data, folder / "in.parquet")
        results += _cones()
    return Measured({"rows": rows, "columns": len(data), "Objects": rows * TIMES} | sizes, results)


def _rows(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(12)
    radius = np.degrees(np.sqrt(rows / PER_SQUARE_DEGREE * np.radians(1) ** 2 / np.pi))
    ra, dec = scattered(rows, 53.1, -27.8, radius, rng)
    floats = {f"flux_{band}": rng.normal(1000, 300, rows) for band in "ugriz"}
    counts = {"visits": rng.integers(0, 900, rows), "field": rng.integers(0, 3000, rows, "i4")}
    return {"ra": ra, "dec": dec, **floats, "error": rng.random(rows).astype("f4")} | counts


def _write(path: Path, data: dict[str, np.ndarray]) -> Path:
    table = pa.table(data)
    fields = [Field(name, table.schema.field(name).type, name=name) for name in data]
    formats.module(path).write(path, Sink(fields, len(table), {}, set()), iter([table]))
    return path


def _rates(data: dict[str, np.ndarray], files: dict[str, Path]) -> list[Result]:
    rows = len(data["ra"])
    with closing(connect(DATABASE)) as session, session, session.cursor() as cursor:
        fluxes = ", ".join(f"flux_{band} float8" for band in "ugriz")
        cursor.execute(f"CREATE TABLE bare (ra float8, dec float8, {fluxes}, error real, visits bigint, field integer)")
    with closing(connect(DATABASE)) as session:
        cells = blocks(table_columns(session, "bare"), {name: Values(values) for name, values in data.items()})
    names, packed = ", ".join(name for block in cells for name in block.names), b"".join(pack(cells, rows, CHUNK))
    few = pd.DataFrame({name: values[:SLOW_ROWS] for name, values in data.items()})
    ways = {"raw": lambda: _raw(names, packed), "to_sql": lambda: _to_sql(few)}
    ways |= {ending: lambda path=path: _import(path) for ending, path in files.items()}
    seconds = in_turns(ways, runs=3)
    rate = {name: rows / took for name, took in seconds.items()}
    rate["to_sql"] = len(few) / seconds["to_sql"]
    results = []
    for ending in FORMATS:
        goal = GOALS.get(ending)
        raw = Result(f"import of {ending}", rate[ending], "rows/s", "raw COPY", rate["raw"], goal)
        slow = Result(f"import of {ending}", rate[ending], "rows/s", "to_sql", rate["to_sql"], 10 if goal else None)
        results += [raw, slow]
    return results


def _raw(names: str, packed: bytes) -> float:
    with closing(connect(DATABASE)) as session:
        with session, session.cursor() as cursor:
            cursor.execute("TRUNCATE bare")
        begin = time.perf_counter()
        with session, session.cursor() as cursor:
            cursor.copy_expert(f"COPY bare ({names}) FROM STDIN (FORMAT binary)", io.BytesIO(packed), size=1 << 18)
        return time.perf_counter() - begin


def _to_sql(few: pd.DataFrame) -> float:
    begin = time.perf_counter()
    few.to_sql("slow", engine(DATABASE), schema="level1", if_exists="replace", index=False)
    return time.perf_counter() - begin


def _import(path: Path, name: str = "mine", keep: bool = False) -> float:
    begin = time.perf_counter()
    with as_user(DATABASE, "ursus") as session:
        done = import_file(session, path, name)
    took = time.perf_counter() - begin
    if not keep:
        with closing(connect(DATABASE)) as session, session, session.cursor() as cursor:
            cursor.execute(f"DROP TABLE {done.relation}")
    return took


def _join(data: dict[str, np.ndarray], path: Path) -> list[Result]:
    """Match the imported table with ten times as many Objects, beside a table of ours of the same rows."""
    rng, rows = np.random.default_rng(13), len(data["ra"])
    _import(path, "joined", keep=True)
    radius = np.degrees(np.sqrt(rows / PER_SQUARE_DEGREE * np.radians(1) ** 2 / np.pi))
    ra, dec = scattered(rows * TIMES, 53.1, -27.8, radius * np.sqrt(TIMES), rng)
    ra[:rows], dec[:rows] = shifted(data["ra"], data["dec"], *rng.normal(0, 0.2, (2, rows)))
    with closing(connect(DATABASE)) as session:
        with session, session.cursor() as cursor:
            for table, places in (("a", (data["ra"], data["dec"])), ("many", (ra, dec))):
                cursor.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, ra float8 NOT NULL, dec float8 NOT NULL,"
                               " healpix29 bigint NOT NULL)")  # fmt: skip
                pixel = healpy.ang2pix(1 << 29, *places, nest=True, lonlat=True)
                order = np.argsort(pixel)
                columns = {"id": np.arange(len(order)), "ra": places[0][order], "dec": places[1][order]}
                load(session, f"level1.{table}", columns | {"healpix29": pixel[order]})
            cursor.execute("CREATE INDEX ON a USING gist (public.spoint_deg(ra, dec))")
            cursor.execute("SELECT relation FROM level3.product WHERE name = 'joined'")
            (mine,) = cursor.fetchone()
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        numbered = "ARRAY['row_id', 'ra', 'dec']"
        ways = {
            "imported": f"sky_crossmatch('{mine}', 'many', 1, false, {numbered})",
            "ours": "sky_crossmatch('a', 'many', 1)",
        }
        found = {}
        seconds = in_turns({way: lambda way=way: found.update({way: _ask(session, ways[way])}) for way in ways}, runs=3)
    if found["imported"] != found["ours"]:
        raise RuntimeError(f"the ways disagree: {found}")
    return [Result("join of an imported table with ten times as many Objects", seconds["imported"], "s",
                   "sky_crossmatch of tables of ours", seconds["ours"], 1.5, higher_is_better=False)]  # fmt: skip


def _ask(session, way: str) -> int:
    with session.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {way}")
        return cursor.fetchone()[0]


def _cones() -> list[Result]:
    """Cones of an arcminute on a table of another database, and on the spot."""
    rng = np.random.default_rng(14)
    with closing(connect(FAR)) as session, session.cursor() as cursor:
        cursor.execute("SELECT current_setting('unix_socket_directories'), current_setting('port')")
        host, port = cursor.fetchone()
    users.add("porter", "scientist", PASSWORD)
    with closing(connect(DATABASE)) as session, session, session.cursor() as cursor:
        cursor.execute("GRANT SELECT ON a TO porter")
    remote = Remote("level1", {"host": host, "port": port, "dbname": DATABASE}, "porter", PASSWORD)
    foreign.federate_remote(FAR, remote, ["hven_scientist"], schema="near")
    ra, dec = scattered(CONES, 53.1, -27.8, 0.5, rng)
    cone = "SELECT o.* FROM {}.a o WHERE hven.sky_within(o.ra, o.dec, %s, %s, 60)"
    with closing(connect(FAR)) as far, closing(connect(DATABASE)) as near:
        ways = {
            "federated": lambda: _all(far, cone.format("near"), ra, dec),
            "local": lambda: _all(near, cone.format("level1"), ra, dec),
        }
        for warm in ways.values():
            warm()
        seconds = in_turns(ways, runs=7)
    milliseconds = {way: 1000 * took / CONES for way, took in seconds.items()}
    far_and_near = milliseconds["federated"], "ms", "local cone", milliseconds["local"]
    return [Result("federated cone of an arcminute", *far_and_near, 3, higher_is_better=False), *_sent()]


def _sent() -> list[Result]:
    """Match a small table with one of another database, on the spot, and by a join through postgres_fdw."""
    ra, dec = scattered(FEW, 53.1, -27.8, 0.5, np.random.default_rng(15))
    for database in (DATABASE, FAR):
        with closing(connect(database)) as session, session:
            with session.cursor() as cursor:
                cursor.execute("CREATE TABLE few (id bigint PRIMARY KEY, ra float8, dec float8)")
            load(session, "level1.few", {"id": np.arange(FEW), "ra": ra, "dec": dec})
    with closing(connect(FAR)) as far, closing(connect(DATABASE)) as near:
        ways = {
            "sent": lambda: _ask(far, "hven.sky_crossmatch_abroad('few', 'near.a', 10, false, NULL, '{id,ra,dec}')"),
            "local": lambda: _ask(near, "hven.sky_crossmatch('few', 'a', 10)"),
            "fetched": lambda: _ask(far, "few f JOIN near.a o ON hven.sky_within(o.ra, o.dec, f.ra, f.dec, 10)"),
        }
        found = {way: ask() for way, ask in ways.items()}
        if len(set(found.values())) != 1:
            raise RuntimeError(f"the ways disagree: {found}")
        seconds = in_turns({way: lambda ask=ask: ask() and None for way, ask in ways.items()}, runs=3)
    what = f"match of {FEW:,} rows with a table of another database"
    return [Result(what, seconds["sent"], "s", "on the spot", seconds["local"], 3, higher_is_better=False),
            Result(what, seconds["sent"], "s", "join through postgres_fdw", seconds["fetched"], 0.5,
                   higher_is_better=False)]  # fmt: skip


def _all(session, query: str, ra: np.ndarray, dec: np.ndarray) -> None:
    with session.cursor() as cursor:
        for place in zip(ra.tolist(), dec.tolist(), strict=True):
            cursor.execute(query, place)
            cursor.fetchall()


def _memory_of(folder: Path, rows: int) -> Measured:
    """Watch a process that imports a CSV of so many rows."""
    path = folder / "large.csv"
    piece = io.BytesIO()
    csv.write_csv(pa.table(_rows(100_000)), piece, csv.WriteOptions(include_header=False))
    with path.open("wb") as file:
        file.write(",".join(_rows(1)).encode() + b"\n")
        for _ in range(rows // 100_000):
            file.write(piece.getbuffer())
    size = path.stat().st_size
    told = multiprocessing.get_context("spawn").SimpleQueue()
    begin = time.perf_counter()
    process = multiprocessing.get_context("spawn").Process(target=_watched, args=[path, told, os.environ["HVEN_HOME"]])
    process.start()
    peak = told.get()
    process.join()
    took = time.perf_counter() - begin
    with closing(connect(DATABASE)) as session, session.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM level3.product WHERE name = 'large'"))
        if cursor.fetchone() != (1,):
            raise RuntimeError("the file was not imported")
    return Measured(
        {"rows": rows, "bytes": size},
        [
            Result("memory of an import of CSV", peak / 1e6, "MB", goal=500, higher_is_better=False),
            Result("import of CSV", rows / took, "rows/s"),
        ],
    )


def _watched(path: Path, told, home: str) -> None:
    os.environ["HVEN_HOME"] = home
    _import(path, "large", keep=True)
    told.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
