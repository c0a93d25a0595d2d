"""Five hops of two real frames: raw files, jobs, pixels, staging, association, Alerts."""

from contextlib import closing

import pytest

from db import queue
from db.connect import connect
from db.files import FileStore
from db.queue import Production
from pipelines.instruments import instrument
from pipelines.productions.alert import make_template
from pipelines.productions.ingest import ingest
from pipelines.worker import work
from tests.pipelines.shared_data import SHARED, needs_astrometry_net, needs_data

pytestmark = [needs_data("hatp32_microobservatory"), needs_astrometry_net]
FRAMES = SHARED / "hatp32_microobservatory"
CAMERA = instrument("microobservatory")


@pytest.fixture
def night(database, tmp_path):
    """The night after both frames went through: a connection to its database."""
    store = FileStore(tmp_path)
    with closing(connect(database)) as session:
        with session, session.cursor() as cursor:
            production = queue.start_production(cursor, Production("alert", "bootstrap", "0"))
        sharp = FRAMES / "HATP-32171220043612.FITS.gz"
        visit = ingest(session, store, sharp, CAMERA, production)
        template = make_template(session, store, sharp, "microobservatory", visit)
        with session, session.cursor() as cursor:
            cursor.execute("UPDATE queue.production SET state = 'done' WHERE production_id = %s", [production])
            parameters = {"instrument": "microobservatory", "template": template}
            production = queue.start_production(cursor, Production("alert", "night", "0", parameters=parameters))
        for _ in range(2):  # a frame that comes twice changes nothing
            ingest(session, store, FRAMES / "HATP-32171220043312.FITS.gz", CAMERA, production)
        work({database: 1.0}, store, until_idle=True)
        yield session


def one(session, query):
    with session, session.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def test_both_frames_become_objects_dia_sources_and_links(night):
    failed = one(night, "SELECT string_agg(error, '') FROM queue.job WHERE state <> 'done' AND attempts > 0")
    assert failed == (None,)
    assert one(night, "SELECT count(*) > 300 FROM object WHERE dia_sources = 0") == (True,)
    found, linked = one(night, "SELECT count(*), count(object_id) FROM dia_source")
    assert 0 < linked <= found
    assert one(night, "SELECT count(*) FROM staging.dia_source") == (0,)


def test_every_measurement_lies_on_its_exposure(night):
    assert one(night, """SELECT count(*) FROM dia_source d JOIN exposure e USING (exposure_id)
                         WHERE NOT public.spoint_deg(d.ra, d.dec) <@ e.footprint""") == (0,)


def test_alerts_wait_in_the_outbox(night):
    alerts, waiting = one(night, "SELECT (SELECT count(*) FROM alert), (SELECT count(*) FROM outbox)")
    assert alerts == waiting > 0
