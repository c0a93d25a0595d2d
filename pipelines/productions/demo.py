"""A small simulated survey, from its catalogue to Alerts, in a database of its own."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from psycopg2.extensions import connection as Connection
from sqlalchemy import insert

from db import databases, queue
from db.connect import connect, engine
from db.load import load
from db.queries import queries
from db.queue import NewJob, Production
from db.software import software
from pipelines.productions import simulated_sky as rows
from pipelines.productions.rows import staged_result
from pipelines.simulate.detections import detect
from pipelines.simulate.sky import Parameters, Sky, make_sky, make_visits

DATABASE = "level1_demo"
PARAMETERS = Parameters(objects=20_000, transients=60, detectors_across=4)


@dataclass(frozen=True)
class VisitSummary:
    """What came of one Visit."""

    visit_id: int
    dia_sources: int
    associated: dict
    alerts: dict


def simulate(parameters: Parameters = PARAMETERS) -> tuple[Sky, np.ndarray]:
    """Return a sky and the Visits to it."""
    return make_sky(parameters), make_visits(parameters, nights=4, per_night=6)


def load_catalogue(sky: Sky, visits: np.ndarray) -> int:
    """Load what is known before the first Visit into an empty database; return the number of Objects."""
    first, last = int(visits["night"].min()), int(visits["night"].max())
    with closing(connect(DATABASE)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT hven.ensure_partitions(0, %s, %s)", (first, last))
        load(connection, "filter", rows.filters())
        load(connection, "detector", rows.detectors(sky.parameters))
        loaded = load(connection, "object", rows.objects(sky)).rows
        load(connection, "visit", rows.visits(visits, sky.parameters))
    exposure = databases.layout(DATABASE).tables().tables["level1.exposure"]
    with engine(DATABASE).begin() as connection:
        for visit in visits:
            connection.execute(insert(exposure), rows.difference_exposures(visit, sky.parameters))
    with closing(connect(DATABASE)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("ANALYZE object")
    return loaded


def observe(sky: Sky, visits: np.ndarray) -> Iterator[VisitSummary]:
    """Detect, stage, associate and select Alerts, Visit by Visit, through the queue."""
    with closing(connect(DATABASE)) as connection:
        with connection, connection.cursor() as cursor:
            production = queue.start_production(cursor, Production("demo", "demo", **vars(software())))
            for visit_id in rows.visit_ids(visits).tolist():
                staged = NewJob("simulate", f"visit {visit_id} simulate", {"visit_id": visit_id})
                queue.enqueue(cursor, production, [
                    staged, NewJob("associate", f"visit {visit_id} associate", {"visit_id": visit_id},
                                   requires=[staged.key], priority=1),
                ])
        for visit in visits:
            found = _stage(connection, sky, visit)
            yield _associate(connection, int(rows.visit_ids(visit)), found)


def _stage(connection: Connection, sky: Sky, visit: np.void) -> int:
    found = detect(sky, visit)
    with connection, connection.cursor() as cursor:
        job = queue.claim(cursor, "demo", ["simulate"])
        staged = [
            load(connection, "staging.dia_source", rows.staged_dia_sources(found, visit, job_id=job.job_id)),
            load(connection, "staging.dia_source_snap", rows.staged_snaps(found, visit, job_id=job.job_id)),
        ]
        queue.finish(cursor, job, staged_result(staged))
    return found.size


def _associate(connection: Connection, visit_id: int, found: int) -> VisitSummary:
    with connection, connection.cursor() as cursor:
        job = queue.claim(cursor, "demo", ["associate"])
        results = []
        for step in ("associate", "select_alerts"):
            cursor.execute(queries("night")[step], {"visit_id": visit_id, "parameters": "{}"})
            results.append(cursor.fetchone()[0])
        queue.finish(cursor, job, dict(zip(("associate", "select_alerts"), results, strict=True)))
    return VisitSummary(visit_id, found, *results)
