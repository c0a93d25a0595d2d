"""Cross-matching two tables within 1″, against the programs that users would pick instead.

Each way begins with two tables in the database and ends with the number of pairs; what it needs to prepare
(exporting the rows, computing pixels) counts, but indexes that a table would have anyway do not.
"""

import io
import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import click
import healpy
import numpy as np

from db.connect import connect
from db.load import load
from migrations.upgrade import create, upgrade
from pipelines.simulate.places import scattered, shifted, unit
from tests.benchmarks import Measured, Result, in_turns

SIZES = {"million": 1_000_000, "1e5": 100_000, "tiny": 2_000}
"""Rows of each table."""
DATABASE = "level1_bench"
PER_SQUARE_DEGREE = 100_000  # what one Visit sees of a deep catalogue
RADIUS_ARCSEC = 1.0
SETUP = (
    "CREATE EXTENSION q3c SCHEMA public",
    "CREATE TABLE a (id bigint PRIMARY KEY, ra float8 NOT NULL, dec float8 NOT NULL, healpix29 bigint NOT NULL)",
    "CREATE TABLE b (LIKE a INCLUDING ALL)",
)
INDEXES = (
    "CREATE TABLE a_bare AS SELECT id, ra, dec FROM a",
    "CREATE TABLE b_bare AS SELECT id, ra, dec FROM b",
    "CREATE INDEX ON b (public.q3c_ang2ipix(ra, dec))",
    "CREATE INDEX ON b USING gist (public.spoint_deg(ra, dec))",
)
NAMES = "ARRAY['id','ra','dec']"
WAYS = {
    "sky_crossmatch": f"SELECT count(*) FROM sky_crossmatch('a', 'b', {RADIUS_ARCSEC})",
    "sky_crossmatch of tables without healpix29":
        f"SELECT count(*) FROM sky_crossmatch('a_bare', 'b_bare', {RADIUS_ARCSEC}, false, {NAMES}, {NAMES})",
    "q3c_join": f"SELECT count(*) FROM a, b WHERE q3c_join(a.ra, a.dec, b.ra, b.dec, {RADIUS_ARCSEC} / 3600.0)",
    "pgSphere": "SELECT count(*) FROM a, b WHERE public.spoint_dwithin(public.spoint_deg(a.ra, a.dec),"
                f" public.spoint_deg(b.ra, b.dec), radians({RADIUS_ARCSEC} / 3600.0))",
}  # fmt: skip
GOALS = {
    "scipy and export": 1.5, "q3c_join": 1 / 2, "pgSphere": 1 / 5,
    "astropy and export": None, "stilts and export": None,
}  # fmt: skip
"""Greatest time of sky_crossmatch in units of each peer's."""
EXPORTED = np.dtype(
    [("fields", ">i2"), ("n1", ">i4"), ("id", ">i8"), ("n2", ">i4"), ("ra", ">f8"), ("n3", ">i4"), ("dec", ">f8")]
)
HEADER, TRAILER = 19, 2  # bytes of a binary COPY round its rows


def build(rows: int) -> None:
    """Make the two tables, and what their peers need."""
    create(DATABASE)
    upgrade(DATABASE)
    with closing(connect(DATABASE)) as session:
        _fill(session, rows)


def measure(rows: int) -> Measured:
    """Let each way match the tables, in turns."""
    with closing(connect(DATABASE)) as session:
        counts: dict[str, int] = {}
        ways = {way: lambda way=way: _count(session, counts, way) for way in WAYS}
        ways["scipy and export"] = lambda: counts.update(scipy=_by_scipy(session))
        ways["astropy and export"] = lambda: counts.update(astropy=_by_astropy(session))
        if shutil.which("stilts"):
            ways["stilts and export"] = lambda: counts.update(stilts=_by_stilts(session))
        else:
            click.echo("stilts is left out: it is not installed (Debian package stilts)", err=True)
        seconds = in_turns(ways)
    exact = {count for way, count in counts.items() if way != "pgSphere"}
    if len(exact) != 1:
        raise RuntimeError(f"the ways disagree: {counts}")
    ours = "sky_crossmatch"
    results = [
        Result(ours, seconds[ours], "s", peer, seconds[peer], goal, higher_is_better=False)
        for peer, goal in GOALS.items()
        if peer in seconds
    ]
    bare = "sky_crossmatch of tables without healpix29"
    results.append(Result(bare, seconds[bare], "s", "scipy and export", seconds["scipy and export"]))
    return Measured({"rows of each table": rows, "pairs": counts[ours]}, results)


def _fill(session, rows: int) -> None:
    """Two lists of one field: nine tenths of the second are stars of the first, seen with errors of 0.2″."""
    rng = np.random.default_rng(11)
    radius = np.degrees(np.sqrt(rows / PER_SQUARE_DEGREE * np.radians(1) ** 2 / np.pi))
    ra, dec = scattered(rows, 53.1, -27.8, radius, rng)
    other_ra, other_dec = shifted(ra, dec, *rng.normal(0, 0.2, (2, rows)))
    new = rows // 10
    other_ra[:new], other_dec[:new] = scattered(new, 53.1, -27.8, radius, rng)
    with session, session.cursor() as cursor:
        for statement in SETUP:
            cursor.execute(statement)
        for table, places in (("a", (ra, dec)), ("b", (other_ra, other_dec))):
            pixel = healpy.ang2pix(1 << 29, *places, nest=True, lonlat=True)
            order = np.argsort(pixel)
            columns = {
                "id": np.arange(rows),
                "ra": places[0][order],
                "dec": places[1][order],
                "healpix29": pixel[order],
            }
            load(session, f"level1.{table}", columns)
        for statement in INDEXES:
            cursor.execute(statement)
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _count(session, counts: dict[str, int], way: str) -> None:
    with session.cursor() as cursor:
        cursor.execute(WAYS[way])
        (counts[way],) = cursor.fetchone()


def _export(session, table: str) -> tuple[np.ndarray, np.ndarray]:
    sink = io.BytesIO()
    with session.cursor() as cursor:
        cursor.copy_expert(f"COPY (SELECT id, ra, dec FROM {table}) TO STDOUT (FORMAT binary)", sink)
    rows = np.frombuffer(sink.getbuffer()[HEADER:-TRAILER], EXPORTED)
    return rows["ra"].astype(float), rows["dec"].astype(float)


def _by_scipy(session) -> int:
    from scipy.spatial import cKDTree

    a, b = (cKDTree(unit(*_export(session, table))) for table in "ab")
    chord = 2 * np.sin(np.radians(RADIUS_ARCSEC / 3600) / 2)
    return len(a.sparse_distance_matrix(b, chord, output_type="ndarray"))


def _by_astropy(session) -> int:
    from astropy import units as u
    from astropy.coordinates import SkyCoord, search_around_sky

    a, b = (SkyCoord(*_export(session, table), unit="deg") for table in "ab")
    return len(search_around_sky(a, b, RADIUS_ARCSEC * u.arcsec)[0])


def _by_stilts(session) -> int:
    """Match files, as its users do; it starts a Java machine each time."""
    from astropy.table import Table

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{table}.fits" for table in "ab"]
        for table, file in zip("ab", files, strict=True):
            Table(_export(session, table), names=("ra", "dec")).write(file)
        done = subprocess.run(
            ["stilts", "tmatch2", f"in1={files[0]}", f"in2={files[1]}", "matcher=sky", "values1=ra dec",
             "values2=ra dec", f"params={RADIUS_ARCSEC}", "find=all", "progress=none", "omode=count"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    return int(done.stdout.split()[-1])
