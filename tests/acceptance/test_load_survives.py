"""A load that is cut short leaves nothing, and a rerun completes: the server killed, the disk full."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from db.cells import LoadError
from db.cluster import Cluster, start, status, stop
from db.connect import connect
from db.load import load

ROWS = 1_000_000


@pytest.fixture
def server(home):
    """Return a running cluster of its own with one empty table."""
    own = Cluster(home, overrides={"shared_buffers": "32MB", "min_wal_size": "80MB"})
    start(own)
    ask("CREATE TABLE loaded (id int8, flux float8)")
    yield own
    stop(own, "immediate")


def ask(query: str):
    with closing(connect("postgres")) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchone()[0] if cursor.description else None


def load_rows(rows: int = ROWS):
    with closing(connect("postgres")) as session:
        report = load(session, "loaded", {"id": np.arange(rows), "flux": np.ones(rows)})
        session.commit()
        return report


def test_a_load_during_which_the_postmaster_is_killed_leaves_nothing(server):
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load_rows)
        while not ask("SELECT max(tuples_processed) FROM pg_stat_progress_copy"):
            time.sleep(0.001)
        os.kill(status(server).pid, signal.SIGKILL)
        with pytest.raises(LoadError, match="loaded: the server ended the connection .*load again"):
            loading.result()
    start(server)
    assert ask("SELECT count(*) FROM loaded") == 0
    assert load_rows().rows == ask("SELECT count(*) FROM loaded")


def test_a_full_disk_is_named_and_leaves_nothing(database, small_disk):
    with closing(connect(database)) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(f"CREATE TABLESPACE small_disk LOCATION '{small_disk}'")
            cursor.execute("CREATE TABLE loaded (id int8, flux float8) TABLESPACE small_disk")
        session.autocommit = False
        data = {"id": np.arange(ROWS // 2), "flux": np.ones(ROWS // 2)}
        with pytest.raises(LoadError, match="loaded: the disk of the database is full .*Remedy: make room"):
            load(session, "loaded", data)
        with session.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM loaded")
            assert cursor.fetchone() == (0,)
        session.rollback()
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("DROP TABLE loaded")
            cursor.execute("DROP TABLESPACE small_disk")
