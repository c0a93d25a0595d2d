"""kill -9 of the postmaster between detectors and association, and in the middle of association: nothing changes."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from db.cluster import Cluster, start, status, stop
from db.connect import connect
from migrations.upgrade import create, upgrade
from tests.udf.night import Night

SCIENCE = {
    "dia_source": "dia_source_id, object_id, rejected",
    "object": "object_id, mean_ra, mean_dec, ra_err, dia_sources",
    "object_flux": "object_id, filter_id, mean_dia_flux, stetson_j, sum_weight",
    "alert": "dia_source_id, version, object_id",
    "outbox": "dia_source_id, version, state",
    "order_log": "visit_id, pass, digest",
}


@pytest.fixture
def server(home):
    """Return a durable server with two empty Science Databases."""
    own = Cluster(home, overrides={"shared_buffers": "64MB"})
    start(own)
    for database in ("level1_a", "level1_b"):
        create(database)
        upgrade(database)
    yield own
    stop(own, "immediate")


def state(database):
    """Rows of the science columns."""
    with closing(connect(database)) as session, session.cursor() as cursor:
        found = {}
        for table, columns in SCIENCE.items():
            cursor.execute(f"SELECT {columns} FROM level1.{table} ORDER BY 1, 2")
            found[table] = cursor.fetchall()
        return found


def step(database, action, *arguments):
    """Run one step of the night in a transaction of its own."""
    with closing(connect(database)) as session:
        night = Night(session)
        getattr(night, action)(*arguments)
        session.commit()


def run(database, visit):
    for action in ("stage", "associate", "alerts"):
        step(database, action, visit)


def kill(server):
    os.kill(status(server).pid, signal.SIGKILL)
    while status(server).pid is not None:
        pass
    start(server)


def test_a_night_with_a_killed_server_ends_as_one_without(server):
    for database in ("level1_a", "level1_b"):
        step(database, "begin")
    for visit in range(3):
        run("level1_a", visit)
    step("level1_b", "stage", 0)
    kill(server)
    step("level1_b", "associate", 0)
    step("level1_b", "alerts", 0)
    step("level1_b", "stage", 1)
    with closing(connect("level1_b")) as holder, ThreadPoolExecutor(1) as pool:
        with holder.cursor() as cursor:
            # Association stops where it would enter itself into the log, with all else written.
            cursor.execute("LOCK TABLE level1.order_log IN SHARE MODE")
            associating = pool.submit(step, "level1_b", "associate", 1)
            waiting = 0
            while not waiting:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND NOT granted")
                (waiting,) = cursor.fetchone()
                assert not associating.done()
        kill(server)
        with pytest.raises(psycopg2.Error):
            associating.result(60)
    step("level1_b", "associate", 1)
    step("level1_b", "alerts", 1)
    run("level1_b", 2)
    assert state("level1_b") == state("level1_a")
