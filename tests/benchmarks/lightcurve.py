"""One Object's whole difference-image light curve by its id, over ten years of partitions, unprepared."""

import time
from contextlib import closing

import numpy as np

from db.connect import connect
from db.ids import MeasurementId, VisitId, pack
from db.load import load
from migrations.upgrade import create, upgrade
from tests.benchmarks import Measured, Result
from tests.benchmarks.search import vacuum

SIZES = {"12 million": 12_000_000, "million": 1_000_000, "tiny": 20_000}
"""DiaSources."""
DATABASE = "level1_bench"
YEARS = range(2013, 2023)
FIRST_NIGHT = 6293  # 1 January 2013
NIGHTS = 3650
PER_VISIT = 2_000
PER_OBJECT = 120
CALLS = 2_000
QUERY = "SELECT count(*), max(psf_flux) FROM light_curve(%s)"


def build(rows: int) -> None:
    """Make the live database with ten years of Visits."""
    create("hub")
    upgrade("hub")
    create(DATABASE)
    upgrade(DATABASE)
    with closing(connect(DATABASE)) as session:
        _fill(session, rows)


def measure(rows: int) -> Measured:
    """Ask for light curves of Objects drawn at random."""
    objects = _objects(rows)
    with closing(connect(DATABASE)) as session:
        milliseconds = _time(session, objects)
    spread = {f"p{p}": float(np.percentile(milliseconds, p)) for p in (50, 99)}
    return Measured({"dia_sources": rows, "objects": objects, "calls": CALLS}, [
        Result("light curve by id, median", spread["p50"], "ms"),
        Result("light curve by id, p99", spread["p99"], "ms", goal=1.0, higher_is_better=False),
    ])


def _fill(session, rows: int) -> None:
    """Load Visits spread over ten years, each in the order of healpix29; years are merged as they close."""
    rng = np.random.default_rng(5)
    visits = max(rows // PER_VISIT, 1)
    per_visit = min(rows, PER_VISIT)
    objects = _objects(rows)
    nights = FIRST_NIGHT + np.arange(visits) * NIGHTS // visits
    pixels = np.sort(rng.integers(0, 12 << 58, objects))
    with session, session.cursor() as cursor:
        cursor.execute("SELECT ensure_partitions(0, %s, %s)", (FIRST_NIGHT, FIRST_NIGHT + NIGHTS))
    for number, night in enumerate(nights.tolist()):
        visit = int(pack(VisitId(night, number % 4096)))
        seen = np.sort(rng.choice(objects, per_visit, replace=per_visit > objects))
        flux = rng.normal(1000, 100, per_visit).astype("f4")
        full = {name: np.full(per_visit, value, kind) for name, value, kind in (
            ("exposure_id", visit << 12, "i8"), ("visit_id", visit, "i8"), ("detector_id", 0, "i2"),
            ("filter_id", 1, "i2"), ("midpoint_tai", 50000.3 + night, "f8"), ("ra", 10.0, "f8"), ("dec", 10.0, "f8"),
            ("psf_flux_err", 10, "f4"),
        )}
        ids = pack(MeasurementId(0, visit, 0, 0, np.arange(per_visit), 0))
        with session:
            load(session, "dia_source", full | {
                "dia_source_id": ids, "object_id": seen, "healpix29": pixels[seen], "psf_flux": flux,
            })
    with session, session.cursor() as cursor:
        for year in YEARS:
            cursor.execute("SELECT merge_year(0, %s)", [year])
    vacuum(session, "dia_source")


def _objects(rows: int) -> int:
    return max(rows // PER_OBJECT, 1)


def _time(session, objects: int) -> np.ndarray:
    """Return the milliseconds of calls for Objects drawn at random, as a client sees them."""
    rng = np.random.default_rng(6)
    took = []
    with session.cursor() as cursor:
        for object_id in rng.integers(0, objects, CALLS + 100).tolist():
            begin = time.perf_counter()
            cursor.execute(QUERY, [object_id])
            cursor.fetchone()
            took.append(1000 * (time.perf_counter() - begin))
    session.rollback()
    return np.array(took[100:])
