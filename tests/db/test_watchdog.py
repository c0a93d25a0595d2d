"""Limits that a user's own SET undoes are enforced from outside."""

import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from db import cluster as clusters
from db import rights, users, watchdog
from db.connect import connect, dsn
from db.databases import ROOT

PASSWORD = "Stjerneborg 1584"
CROSS_JOIN = "SELECT count(*) FROM generate_series(1, 1000000) AS a, generate_series(1, 1000000) AS b"


@pytest.fixture
def limits(hub, monkeypatch):
    """Limits of tenths of a second for scientists, who have one login."""
    short = {"statement_timeout": 0.2, "transaction_timeout": 0.6, "idle_in_transaction_session_timeout": 0.2}
    for name, value in short.items():
        monkeypatch.setitem(rights.rules()["limits"]["scientist"], name, value)
    users.add("sophie", "worker", PASSWORD)  # without limits of its own at login
    with closing(connect(hub)) as session, session, session.cursor() as cursor:
        cursor.execute("REVOKE hven_worker FROM sophie; GRANT hven_scientist TO sophie")
    yield short
    users.drop("sophie")


@pytest.fixture
def sophie(limits):
    with closing(psycopg2.connect(dsn("level1_a", "sophie"), password=PASSWORD)) as session:
        yield session


def look(until=1.0):
    """Look until something was ended, for so many seconds."""
    deadline = time.monotonic() + until
    with closing(connect("hub")) as session:
        while time.monotonic() < deadline:
            if found := watchdog.end_overlong(session):
                return [(one.user, one.database, one.limit, one.done) for one in found]
            time.sleep(0.05)
    return []


def in_background(session, statement):
    """Run a statement in a thread; return the thread, and the list that its error will be in."""
    errors = []

    def run():
        try:
            session.cursor().execute(statement)
        except psycopg2.Error as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def test_a_cross_join_is_cancelled_whatever_the_user_sets(sophie):
    sophie.autocommit = True
    sophie.cursor().execute("SET statement_timeout = 0")
    thread, errors = in_background(sophie, CROSS_JOIN)
    assert look() == [("sophie", "level1_a", "statement_timeout", True)]
    thread.join()
    assert isinstance(errors[0], psycopg2.errors.QueryCanceled)
    sophie.cursor().execute("SELECT 1")


def test_an_idle_transaction_is_ended(sophie):
    sophie.cursor().execute("SET idle_in_transaction_session_timeout = 0")
    assert look() == [("sophie", "level1_a", "idle_in_transaction_session_timeout", True)]
    with pytest.raises(psycopg2.OperationalError, match="closed the connection|terminating"):
        sophie.cursor().execute("SELECT 1")


def test_a_busy_transaction_is_ended_too(sophie, monkeypatch):
    monkeypatch.setitem(rights.rules()["limits"]["scientist"], "idle_in_transaction_session_timeout", 60)
    deadline = time.monotonic() + 2
    with pytest.raises(psycopg2.OperationalError), closing(connect("hub")) as session:
        while time.monotonic() < deadline:
            sophie.cursor().execute("SELECT 1")
            found = watchdog.end_overlong(session)
    assert [one.limit for one in found] == ["transaction_timeout"]


def test_one_who_catches_the_cancellation_is_ended_with_the_transaction(sophie):
    sophie.autocommit = True
    caught = f"BEGIN PERFORM ({CROSS_JOIN}); EXCEPTION WHEN query_canceled THEN END"
    thread, errors = in_background(sophie, f"DO $$ BEGIN LOOP {caught}; END LOOP; END $$")
    assert look()[0][2] == "statement_timeout"
    time.sleep(0.5)
    assert look()[0][2] == "transaction_timeout"
    thread.join()
    assert isinstance(errors[0], psycopg2.OperationalError)


def test_the_most_generous_of_several_groups_counts(sophie, hub):
    with closing(connect(hub)) as session, session, session.cursor() as cursor:
        cursor.execute("GRANT hven_operator TO sophie")
    sophie.cursor().execute("SELECT 1")
    assert look(0.5) == []


def test_administrators_are_left_alone(limits):
    with closing(connect("level1_a")) as session:
        session.cursor().execute("SELECT 1")
        assert look(0.5) == []


def test_people_yield_to_a_night_and_workers_do_not(sophie, hub):
    sophie.cursor().execute("SELECT 1")
    users.add("tyge", "worker", PASSWORD)
    with closing(psycopg2.connect(dsn("level1_a", "tyge"), password=PASSWORD)) as worker, closing(connect(hub)) as own:
        watchdog.let_nights_go_first(own)
        pids = [one.info.backend_pid for one in (sophie, worker, own)]
        assert [os.getpriority(os.PRIO_PROCESS, pid) - os.nice(0) for pid in pids] == [watchdog.NICE, 0, 0]
        sessions = [Path(f"/proc/{pid}/autogroup") for pid in pids]
        told = [int(session.read_text().split()[-1]) for session in sessions if session.exists()]
        assert told in ([watchdog.NICE, 0, 0], [])
    users.drop("tyge")


def test_an_operator_may_watch(sophie):
    users.add("peder", "operator", PASSWORD)
    sophie.cursor().execute("SELECT 1")
    time.sleep(0.3)
    with closing(psycopg2.connect(dsn("hub", "peder"), password=PASSWORD)) as session:
        assert [one.user for one in watchdog.end_overlong(session)] == ["sophie"]
    users.drop("peder")


def test_it_lives_from_start_to_stop_and_once_only(hub, cluster):
    assert watchdog.start(cluster)
    deadline = time.monotonic() + 30
    while not (pid := watchdog.running(cluster)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not watchdog.start(cluster)
    second = [sys.executable, str(ROOT / "hven"), "watchdog"]
    done = subprocess.run(second, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 11
    assert "another one watches this server. Remedy: `hven down`" in done.stderr
    assert watchdog.stop(cluster)
    assert not watchdog.stop(cluster)
    assert watchdog.running(cluster) is None
    assert pid != os.getpid()


def test_it_survives_the_loss_of_its_connection(hub, cluster):
    command = [sys.executable, str(ROOT / "hven"), "watchdog", "--period", "0.05"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ)
    lost = set()
    deadline = time.monotonic() + 30
    with closing(connect(hub)) as session, session.cursor() as cursor:
        session.autocommit = True
        while len(lost) < 2 and time.monotonic() < deadline:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE 'WITH policy%'")
            for (pid,) in cursor.fetchall():
                cursor.execute("SELECT pg_terminate_backend(%s, 1000)", [pid])
                lost.add(pid)
            time.sleep(0.05)
    assert len(lost) == 2
    assert process.poll() is None
    assert watchdog.stop(cluster)
    process.wait()
    process.stderr.close()


def test_looking_once(sophie):
    sophie.cursor().execute("SELECT 1")
    done = subprocess.run([sys.executable, str(ROOT / "hven"), "watchdog", "--once"], capture_output=True, text=True,
                          check=True, env=os.environ)  # fmt: skip
    assert done.stdout == ""  # five minutes have not passed


def test_the_log_names_who_and_why():
    line = watchdog.describe(watchdog.Ended(7, "sophie", "dr1", "statement_timeout", True))
    assert line == "sophie in dr1, pid 7: over statement_timeout, statement cancelled"


def test_it_ends_quietly_with_its_server(tmp_path_factory):
    home = tmp_path_factory.mktemp("watched")
    for place in (home, home.parent, home.parent.parent):
        place.chmod(0o711)
    own = clusters.Cluster(home, overrides={"fsync": "off", "shared_buffers": "16MB"})
    clusters.start(own)
    command = [sys.executable, str(ROOT / "hven"), "watchdog", "--period", "0.05"]
    environment = os.environ | {"HVEN_HOME": str(home)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not watchdog.running(own):  # it waits for the hub
        time.sleep(0.05)
    clusters.stop(own, "immediate")
    assert process.communicate(timeout=30) == ("the server is gone\n", "")
    assert process.returncode == 0
