"""Cones on a release's Objects, against the best that the same rows allow in one plain table.

The peers are a GiST index of pgSphere, q3c, and HEALPix ranges written by hand; the goal is each cone within 1.2
of the best of them.
"""

import time
from contextlib import closing

import healpy
import numpy as np

from db.connect import connect
from db.ids import ObjectId, object_pixel, pack
from db.load import load
from migrations.upgrade import create, create_release, upgrade
from tests.benchmarks import Measured, Result, in_turns

SIZES = {"million": 1_000_000, "1e7": 10_000_000, "tiny": 10_000}
"""Objects."""
RELEASE = ("dr1", 1)
LIVE = "level1_bench"
RADII = {"1 arcsec": 1.0, "1 arcmin": 60.0, "6 arcmin": 360.0, "1 degree": 3600.0}
CONES = {"1 arcsec": 200, "1 arcmin": 200, "6 arcmin": 50, "1 degree": 5}
"""Cones of one turn, at as many places."""
BATCH = 500_000
CAP_DEG = 20.0


def build(objects: int) -> None:
    """Make a release and the live database with the same Objects, and the peers' table beside the release's."""
    create("hub")
    upgrade("hub")
    for name in (LIVE, "release_template"):
        create(name)
        upgrade(name)
    create_release(*RELEASE)
    with closing(connect(LIVE)) as session:
        _fill(session, objects, 0)
    with closing(connect(RELEASE[0])) as session:
        _fill(session, objects, RELEASE[1])
        _plain_table(session)


def measure(objects: int) -> Measured:
    """Compare the ways, and time the live Objects' cone."""
    with closing(connect(RELEASE[0])) as session:
        places = _places(session, objects)
        results = [_compare(session, name, places) for name in RADII]
    with closing(connect(LIVE)) as session:
        results.append(_live(session, places))
    return Measured({"objects": objects}, results)


def _fill(session, objects: int, release: int) -> None:
    """Load Objects in the order of healpix29, as a release is clustered."""
    rng = np.random.default_rng(7)
    ra, dec = cap(objects, rng)
    pixel = healpy.ang2pix(1 << 29, ra, dec, nest=True, lonlat=True)
    order = np.argsort(pixel)
    ra, dec, pixel = ra[order], dec[order], pixel[order]
    place = object_pixel(pixel)
    ids = pack(ObjectId(release, place, np.arange(objects) - np.searchsorted(place, place)))
    with session, session.cursor() as cursor:
        # Building indexes afterwards takes a third of the time.
        cursor.execute("SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
                       " WHERE indrelid = 'object'::regclass AND NOT indisprimary")
        indexes = cursor.fetchall()
        for index, _ in indexes:
            cursor.execute(f"DROP INDEX {index}")
        for first in range(0, objects, BATCH):
            part = slice(first, first + BATCH)
            load(session, "object", {
                "object_id": ids[part], "ra": ra[part], "dec": dec[part], "healpix29": pixel[part],
                "mean_ra": ra[part], "mean_dec": dec[part],
            })
        for _, definition in indexes:
            cursor.execute(definition)
    vacuum(session, "object")


def _places(session, objects: int) -> list:
    """Return the positions of some of the Objects, drawn at random."""
    with session.cursor() as cursor:
        share = min(100, 1500 / objects * 100)
        cursor.execute("SELECT ra, dec FROM object TABLESAMPLE BERNOULLI (%s) REPEATABLE (7)", [share])
        return np.random.default_rng(8).permutation(cursor.fetchall())[:1000].tolist()


def cap(count: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Return positions [deg] spread evenly over a cap round the pole of a galaxy-free field, off any axis."""
    z = rng.uniform(np.cos(np.radians(CAP_DEG)), 1, count)
    angle = rng.uniform(0, 360, count)
    rotator = healpy.Rotator(rot=[0, -55, 0])
    theta, phi = rotator(np.arccos(z), np.radians(angle))
    return np.degrees(phi) % 360, 90 - np.degrees(theta)


def _plain_table(session) -> None:
    """Make the peers' table: the same rows, no partitions, an index of each kind."""
    with session, session.cursor() as cursor:
        cursor.execute("CREATE EXTENSION q3c SCHEMA public")
        cursor.execute("CREATE TABLE plain AS SELECT * FROM object ORDER BY healpix29")
        cursor.execute("CREATE INDEX ON plain USING gist (public.spoint_deg(ra, dec))")
        cursor.execute("CREATE INDEX ON plain (public.q3c_ang2ipix(ra, dec))")
        cursor.execute("CREATE INDEX ON plain (healpix29)")
    vacuum(session, "plain")


def vacuum(session, table: str) -> None:
    """Let the planner know a table, and index-only scans trust it."""
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {table}")
    session.autocommit = False


WAYS = {
    "sky_cone": "SELECT count(mean_ra) FROM sky_cone(NULL::object, $1, $2, $3)",
    "GiST": "SELECT count(mean_ra) FROM plain WHERE public.spoint_dwithin(public.spoint_deg(ra, dec),"
            " public.spoint_deg($1, $2), radians($3 / 3600))",
    "q3c": "SELECT count(mean_ra) FROM plain WHERE q3c_radial_query(ra, dec, $1, $2, $3 / 3600)",
    "ranges": "SELECT count(t.mean_ra) FROM healpix_ranges_cone($1, $2, $3) r"
              " CROSS JOIN LATERAL (SELECT * FROM plain p WHERE p.healpix29 BETWEEN r.lowest AND r.highest OFFSET 0) t"
              " WHERE r.inside OR sky_haversine(t.ra, t.dec, $1, $2) <= sin(radians($3 / 7200)) ^ 2",
}
"""Ways to count what lies in a cone, each touching a column of every row found. All are prepared once, as an
application with a warm connection would; unprepared, each costs the time to plan it besides."""


def _compare(session, name: str, places: list) -> Result:
    """Time one radius every way, in turns; all ways must find the same rows, but for pgSphere's tolerance."""
    chosen, radius = places[: CONES[name]], RADII[name]
    with session.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
        for way, query in WAYS.items():
            cursor.execute(f'PREPARE "{way}" (float8, float8, float8) AS {query}')
    counts = {way: sum(_count(session, way, place, radius) for place in chosen) for way in WAYS}
    if len({count for way, count in counts.items() if way != "GiST"}) != 1:
        raise RuntimeError(f"{name}: the ways disagree, {counts}")
    seconds = in_turns({
        way: lambda way=way: [_count(session, way, place, radius) for place in chosen] and None for way in WAYS
    }, runs=7)
    milliseconds = {way: 1000 * took / len(chosen) for way, took in seconds.items()}
    best = min((way for way in WAYS if way != "sky_cone"), key=milliseconds.get)
    return Result(f"sky_cone of {name}", milliseconds["sky_cone"], "ms", f"best of GiST, q3c, ranges: {best}",
                  milliseconds[best], goal=1.2, higher_is_better=False)


def _live(session, places: list) -> Result:
    """Time cones of 1″ on the live Objects one by one, unprepared, as a client sees them.

    Each place is asked for twice and the second counts: a night's fields are in memory.
    """
    took = []
    with session.cursor() as cursor:
        for ra, dec in [*places, *places]:
            begin = time.perf_counter()
            cursor.execute("SELECT count(mean_ra) FROM sky_cone(NULL::object, %s, %s, 1)", [ra, dec])
            cursor.fetchone()
            took.append(1000 * (time.perf_counter() - begin))
    slowest = float(np.percentile(took[len(places) :], 99))
    return Result("sky_cone of 1 arcsec, live Objects, p99", slowest, "ms", goal=2.0, higher_is_better=False)


def _count(session, way: str, place: list, radius: float) -> int:
    with session.cursor() as cursor:
        cursor.execute(f'EXECUTE "{way}" (%s, %s, %s)', (*place, radius))
        return cursor.fetchone()[0]
