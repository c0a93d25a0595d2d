"""What the survey's age costs: Visits, each in another field, after one, twelve and twenty-four months of DiaSources.

A month's DiaSources are loaded at once, then Visits are associated and alerted as they come; every Object has on
average one DiaSource a month. A year that is over is merged, as at its last night's close, and light curves are kept
with the Objects, as nights leave them. What a long night costs is measured after one month, over a thousand fields
that don't meet: where fields do, later Visits also find what earlier ones found.
"""

import io
import time
from contextlib import closing
from itertools import pairwise
from statistics import median

import numpy as np

from db.connect import connect
from db.ids import MeasurementId, VisitId, pack
from db.load import load
from db.queries import queries
from migrations.upgrade import create, upgrade
from pipelines.alerts.rows import past_of
from pipelines.simulate.places import axes, position, scattered, unit
from tests.benchmarks import Measured, Result
from tests.benchmarks.associate import DATABASE, settle
from tests.benchmarks.facts import processor_seconds
from tests.benchmarks.visits import CENTRE, FIELD_DEG, FIRST_NIGHT, Sky, Survey, full, load_sky, make_sky

SIZES = {"million": 1_000_000, "night": 2_000_000, "tiny": 5_000}
"""DiaSources a month, and Objects; of night one month and a whole night."""
STAGES = (1, 12, 24)  # months
VISITS = 15  # that are timed at each stage
SHORT_NIGHT, LONG_NIGHT = 30, 1_000  # Visits
APART = 1.7  # areas of a field for each point of a spiral whose neighbours' fields don't meet
AT_ONCE = 20_000  # Objects whose light curves are put together in one statement
SPREAD_DEG = 4.0  # of the fields' centres
CLOCKS = {"time": 0, "processor time": 1}
SEEN = "UPDATE level1.object SET dia_sources = 1, first_tai = %s, last_tai = %s WHERE extendedness = 0"


def measure(rows: int) -> Measured:
    """Measure, in a server that is filled meanwhile."""
    for database in ("hub", DATABASE):
        create(database)
        upgrade(database)
    detections = rows // 4_000 if rows == SIZES["night"] else max(rows // 100, 50)
    with closing(connect(DATABASE)) as session:
        results = (_long_night if rows == SIZES["night"] else _years)(session, rows, detections)
    return Measured({"dia_sources a month": rows, "objects": rows, "dia_sources a Visit": detections}, results)


def _years(session, rows: int, detections: int) -> list[Result]:
    """What months and years of DiaSources cost, and a short night at their end."""
    survey, figures = _begun(session, make_sky(rows), detections), {}
    for month in range(1, max(STAGES) + 1):
        night = FIRST_NIGHT + 30 * month
        _load_month(survey, night, rows)
        if month % 12 == 0:
            survey.ask("SELECT hven.merge_year(0, %s)", 2013 + month // 12 - 1)
        if month in STAGES:
            _keep_light_curves(survey)
            settle(session)
            figures[month] = _night(survey, night + 1, _anywhere(VISITS + 2, night))[2:]
    results = []
    for clock, spent in CLOCKS.items():
        write, alert = ({m: median(one[i + spent] for one in found) for m, found in figures.items()} for i in (0, 2))
        for early_month, late_month in pairwise(STAGES):
            months = f"{clock}, {late_month} months v {early_month}"
            results += [
                _grown(f"association and writes, {months}", write[late_month], write[early_month], "ms"),
                _grown(f"Alerts with 12 months' history, a row, {months}", alert[late_month], alert[early_month], "µs"),
            ]
    return results + _along(_night(survey, night + 2, _anywhere(SHORT_NIGHT, night)))


def _long_night(session, rows: int, detections: int) -> list[Result]:
    """What the Visits before it in a night cost a Visit."""
    fields = apart(LONG_NIGHT)
    survey, night = _begun(session, make_sky(rows, 90.0), detections), FIRST_NIGHT + 30
    _load_month(survey, night, rows)
    _keep_light_curves(survey)
    settle(session)
    return _along(_night(survey, night + 1, fields))


def _begun(session, sky: Sky, detections: int) -> Survey:
    """Return a survey that has seen each point-like Object once."""
    load_sky(session, sky)
    survey = Survey(session, sky, detections)
    survey.ask(SEEN, 50000.0 + FIRST_NIGHT, 50000.0 + FIRST_NIGHT)
    session.commit()
    return survey


def apart(count: int) -> np.ndarray:
    """Return the centres of fields that don't meet, ra and dec [deg], shape (count, 2): a golden spiral."""
    step = np.arange(count) + 0.5
    depth = 1 - step * APART * (1 - np.cos(np.radians(FIELD_DEG)))
    turn, width = np.pi * (3 - np.sqrt(5)) * step, np.sqrt(1 - depth**2)
    east, north = axes(*map(np.float64, CENTRE))
    across = np.cos(turn)[:, None] * east + np.sin(turn)[:, None] * north
    return np.stack(position(depth[:, None] * unit(*CENTRE) + width[:, None] * across), axis=1)


def _anywhere(count: int, seed: int) -> np.ndarray:
    """Return the centres of fields anywhere about the middle of the sky."""
    return np.stack(scattered(count, *CENTRE, SPREAD_DEG, np.random.default_rng(seed)), axis=1)


def _night(survey: Survey, night: int, centres: np.ndarray) -> list[tuple]:
    return [_visit(survey, night, number, tuple(centre)) for number, centre in enumerate(centres.tolist(), 1)]


def _along(night: list[tuple]) -> list[Result]:
    """Compare the last Visits of a night with its tenth and those about it."""
    results = []
    for clock, spent in CLOCKS.items():
        early, late = (median(one[spent] for one in part) for part in (night[5:15], night[-10:]))
        results.append(_grown(f"Visit {len(night)} of a night v Visit 10, {clock}", late, early, "ms"))
    return results


def build(_: int) -> None:
    """Nothing is made beforehand: the filling is what is measured."""


def _grown(what: str, late: float, early: float, unit: str) -> Result:
    return Result(what, late, unit, "the earlier", early, goal=1.10, higher_is_better=False)


def _visit(survey: Survey, night: int, number: int, centre: tuple[float, float]) -> tuple[float, ...]:
    """Milliseconds of staging and association, then microseconds of alerts with history for each row returned.

    Each by the clock and of processor time. The history is what packets carry, and read as they read it.
    """
    visit, rows = survey.begin(night, number, centre)
    begin = _now(survey)
    survey.stage(rows)
    survey.associate(visit)
    middle, sink = _now(survey), io.BytesIO()
    survey.ask("SELECT hven.select_alerts(%s)", visit)
    alerted = survey.ask("SELECT array_agg(object_id) FROM level1.alert WHERE visit_id = %s", visit)
    with survey.session.cursor() as cursor:
        history = cursor.mogrify(queries("alerts")["object_history"], past_of(visit) | {"ids": alerted})
        cursor.copy_expert(f"COPY ({history.decode()}) TO STDOUT (FORMAT binary)", sink)
        returned = cursor.rowcount
    survey.session.commit()
    end = _now(survey)
    return *(1e3 * (middle - begin)).tolist(), *(1e6 * (end - middle) / max(returned, 1)).tolist()


def _now(survey: Survey) -> np.ndarray:
    return np.array([time.perf_counter(), processor_seconds(survey.session.info.backend_pid)])


def _keep_light_curves(survey: Survey) -> None:
    """Leave with the Objects what nights leave there."""
    points = survey.sky.object_id[~survey.sky.extended]
    for first in range(0, points.size, AT_ONCE):
        survey.ask("SELECT hven.keep_points(%s, 1, 1, 0)", points[first : first + AT_ONCE].tolist())
        survey.session.commit()


def _load_month(survey: Survey, night: int, rows: int) -> None:
    """DiaSources of point-like Objects, a Visit a night, in the order of their ids."""
    random, sky = np.random.default_rng(night), survey.sky
    survey.ask("SELECT hven.ensure_partitions(0, %s, %s)", night - 29, night + 2)
    points = np.flatnonzero(~sky.extended)
    share = max(rows // 29, 1)
    for day in range(night - 29, night):
        seen = np.sort(random.choice(points, min(share, points.size), replace=False))
        visit, rank = int(pack(VisitId(day, 4000))), np.arange(seen.size)
        given = {
            "dia_source_id": pack(MeasurementId(0, visit, rank >> 16, 0, rank & 0xFFFF, 0)), "visit_id": visit,
            "exposure_id": visit << 12 | 2, "detector_id": rank >> 16, "filter_id": 1 + day % 6, "psf_flux_err": 10,
            "object_id": sky.object_id[seen], "ra": sky.ra[seen], "dec": sky.dec[seen], "midpoint_tai": 50000.5 + day,
            "healpix29": sky.healpix29[seen],
        }  # fmt: skip
        batch = full(survey.session, "level1.dia_source", seen.size, given, random)
        absent = ("moving_object_id", "time_withdrawn", "ss_ra", "ss_dec", "ss_ixx", "ss_iyy", "ss_ixy")
        load(survey.session, "level1.dia_source", {name: batch[name] for name in batch if name not in absent})
        survey.session.commit()
