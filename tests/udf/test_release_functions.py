"""What association and light curves do in a release, where measurements lie by tile."""

from contextlib import closing

import numpy as np
import pytest

from db.connect import connect
from db.load import load
from migrations.upgrade import create_release
from pipelines.productions import simulated_sky as rows
from tests.udf.night import SMALL, Night
from tests.udf.test_associate_sources_sql import stage


@pytest.fixture(scope="module")
def release(hub):
    """A simulated night whose Objects are those of a release under construction."""
    create_release("dr9", 9)
    with closing(connect("dr9")) as session:
        night = Night(session)
        load(session, "dr9.filter", rows.filters())
        load(session, "dr9.detector", rows.detectors(SMALL))
        load(session, "dr9.object", rows.objects(night.sky, release=9))
        load(session, "dr9.visit", rows.visits(night.visits, SMALL))
        yield night
        session.rollback()
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("DROP DATABASE dr9")
    with closing(connect(hub)) as session, session, session.cursor() as cursor:
        cursor.execute("DELETE FROM hub.science_database WHERE name = 'dr9'")


def test_sources_of_a_release_lie_in_the_tile_of_their_object(release):
    truth = stage(release, release=9)
    release.ask("SELECT hven.associate_sources(%s)", release.ids[0])
    found = release.rows("SELECT coalesce(object_id, 0) FROM dr9.source ORDER BY source_id")
    assert np.mean(np.ravel(found) == truth) > 0.99
    apart = "SELECT FROM dr9.source s JOIN dr9.object o USING (object_id) WHERE s.tile <> o.healpix29 >> 46"
    assert release.rows(apart) == []


def test_a_light_curve_of_a_release_is_read_from_one_partition(release):
    object_id = release.ask("SELECT object_id FROM dr9.object LIMIT 1")
    assert release.rows("SELECT FROM hven.light_curve(%s)", object_id) == []
