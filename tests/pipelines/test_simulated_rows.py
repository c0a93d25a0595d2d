import numpy as np
import pytest
import sqlalchemy as sa

from db.connect import connect, engine
from db.ids import MeasurementId, ObjectId, unpack
from db.load import load
from db.partitions import ByTime
from db.schema import SCIENCE, science
from pipelines.productions import simulated_sky as rows
from pipelines.simulate.detections import detect
from pipelines.simulate.sky import Parameters, make_sky, make_visits

SKY = Parameters(objects=5000, transients=500, variables=0.3)


@pytest.fixture
def tables(database):
    """Return the tables of a Science Database, and a connection to it."""
    tables = science("level1", ByTime()).tables
    session = connect(database)
    with session, session.cursor() as cursor:
        for schema in ("level1", *SCIENCE[1:]):
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    base = engine(database)
    next(iter(tables.values())).metadata.create_all(base)
    base.dispose()
    yield tables, session
    session.close()


def test_a_simulated_sky_goes_into_the_database(tables, database):
    (tables, session), sky, visits = tables, make_sky(SKY), make_visits(SKY, 1, 3)
    found = detect(sky, visits[1])
    with session:
        load(session, "level1.filter", rows.filters())
        load(session, "level1.detector", rows.detectors(SKY))
        load(session, "level1.object", rows.objects(sky))
        load(session, "level1.visit", rows.visits(visits, SKY))
        load(session, "staging.dia_source", rows.staged_dia_sources(found, visits[1]))
        load(session, "staging.dia_source_snap", rows.staged_snaps(found, visits[1]))
    base = engine(database)
    with base.begin() as connection:
        exposure = tables["level1.exposure"]
        connection.execute(sa.insert(exposure), rows.difference_exposures(visits[1], SKY))
        counts = [
            connection.scalar(sa.select(sa.func.count()).select_from(tables[name]))
            for name in ("level1.object", "staging.dia_source", "staging.dia_source_snap", "level1.exposure")
        ]
    base.dispose()
    assert counts == [5000, found.size, 2 * found.size, 196]


def test_object_ids_count_ties_within_a_pixel():
    sky = make_sky(SKY)
    doubled = np.repeat(sky.objects[:3], [1, 3, 2])
    ids = rows.object_ids(doubled, 2)
    assert unpack(ObjectId, ids).tie.tolist() == [0, 0, 1, 2, 0, 1]
    assert (unpack(ObjectId, ids).release == 2).all()


def test_ids_of_a_visit_are_distinct_and_sorted_within_detectors():
    sky, visit = make_sky(SKY), make_visits(SKY, 1, 1)[0]
    found = detect(sky, visit)
    ids = rows.staged_dia_sources(found, visit, release=3)["dia_source_id"]
    parts = unpack(MeasurementId, ids)
    assert np.unique(ids).size == found.size
    assert (parts.detector == found["detector_id"]).all()
    assert set(parts.visit_id.tolist()) == set(rows.visit_ids(np.array([visit])).tolist())
