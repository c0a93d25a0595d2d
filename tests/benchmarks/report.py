"""How long the report of a night takes: a catalogue-level night of many Visits, with Alerts, metrics and jobs."""

import time
from contextlib import closing
from dataclasses import replace
from statistics import median

from db.connect import connect
from migrations.upgrade import create, upgrade
from pipelines.report.nightly import last_night, nightly_report
from pipelines.simulate.sky import Parameters
from tests.benchmarks import Measured, Result
from tests.udf.night import SMALL, Night

SIZES = {"night": 1000, "tiny": 10}
"""Visits of the night."""
DATABASE = "level1_report"
RUNS = 3
LOOKS = 4  # that a place gets in the night
GOAL = 60.0  # seconds
METRICS = """
INSERT INTO sdqa_measurement (metric, subject_id, value, verdict)
SELECT m.metric, hven.pack_exposure_id(v.visit_id, d, 0, 1), random(),
       (ARRAY['design', 'minimum', 'fail'])[1 + (v.visit_id + d) % 3]
FROM visit AS v CROSS JOIN generate_series(0, 3) AS d CROSS JOIN sdqa_metric AS m WHERE m.level = 'detector';
INSERT INTO exposure (exposure_id, visit_id, detector_id, snap, kind, filter_id, midpoint_tai,
                      exposure_time, psf_fwhm, zeropoint)
SELECT hven.pack_exposure_id(visit_id, d, 0, 1), visit_id, d, 0, 'calibrated', filter_id, midpoint_tai, 30, 0.8, 28
FROM visit CROSS JOIN generate_series(0, 3) AS d;
INSERT INTO queue.job (production_id, kind, key, parameters, state)
SELECT production_id, 'detector', format('visit %s detector %s', visit_id, d),
       jsonb_build_object('visit_id', visit_id), 'done'
FROM visit CROSS JOIN generate_series(0, 3) AS d CROSS JOIN queue.production WHERE name = 'test';
ANALYZE;
"""


def wide(visits: int) -> Parameters:
    """Return a sky that Visits cover `LOOKS` times: the light curves of one field would grow with their number."""
    times = visits / LOOKS * (SMALL.field_radius_deg / SMALL.radius_deg) ** 2
    return replace(SMALL, radius_deg=SMALL.radius_deg * times**0.5, objects=int(SMALL.objects * times),
                   transients=int(SMALL.transients * times))  # fmt: skip


def build(visits: int) -> None:
    """Fill the database, each Visit staged, associated and searched for Alerts as in the night."""
    create(DATABASE)
    upgrade(DATABASE)
    with closing(connect(DATABASE)) as session:
        night = Night(session, wide(visits), per_night=visits)
        night.begin()
        night.add_exposures(visits)
        night.do("ANALYZE")
        session.commit()
        for index in range(visits):
            night.run(index)
            night.alerts(index)
            session.commit()
        with session.cursor() as cursor:
            cursor.execute(METRICS)
        session.commit()


def measure(visits: int) -> Measured:
    """Measure."""
    times = []
    with closing(connect(DATABASE)) as session:
        number = last_night(session)
        for _ in range(RUNS):
            begin = time.perf_counter()
            page = nightly_report(session, number)
            times.append(time.perf_counter() - begin)
        with session.cursor() as cursor:
            cursor.execute("SELECT (SELECT count(*) FROM dia_source), (SELECT count(*) FROM alert)")
            dia_sources, alerts = cursor.fetchone()
    rows = {"visits": visits, "dia_sources": dia_sources, "alerts": alerts}
    return Measured(rows, [
        Result("report of a night", median(times), "s", goal=GOAL, higher_is_better=False),
        Result("size of the page", len(page.encode()) / 1e6, "MB"),
    ])
