"""A night by a login that has a worker's rights and no others."""

from contextlib import closing

import psycopg2
import pytest

from db import adapt, databases, rights, users
from db.connect import connect, dsn
from tests.udf.night import Night

PASSWORD = "Stjerneborg 1584"


@pytest.fixture
def worker(database):
    """A worker's connection to a clone of level1 that holds the Objects."""
    users.add("peder", "worker", PASSWORD)
    with closing(connect(database)) as session, session:
        rights.apply(session, databases.layout(database))
        night = Night(session)
        night.begin()
    adapt.register()
    with closing(psycopg2.connect(dsn(database, "peder"), password=PASSWORD)) as session:
        night.session = session
        yield night
    users.drop("peder")


def test_a_worker_stages_associates_and_selects_alerts(worker):
    found, report = worker.run(0)
    assert report["dia_sources"] == found.size
    assert worker.alerts(0)["alerts"] > 0


def test_what_it_associates_it_can_not_change(worker):
    worker.run(0)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        worker.do("UPDATE level1.dia_source SET psf_flux = 0")


def test_the_helpers_of_association_have_no_rights_of_their_own(worker):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        worker.ask("SELECT hven.alerts_trim_list(%s, 0)", worker.ids[0])
