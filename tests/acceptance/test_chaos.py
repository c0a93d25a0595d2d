"""Chaos: workers and postmaster are killed with -9 all the time, and every effect happens exactly once."""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg2
import pytest

from db import cluster as clusters
from db import queue
from db.connect import connect
from db.files import FileStore, register
from db.processes import postmaster
from db.queue import NewJob, Production
from migrations.upgrade import create, upgrade
from pipelines.pool import PoolParams, run_pool
from pipelines.worker import Kind, Stop

DATABASE = "level1_chaos"


def effect(connection, store, job):
    """Leave a row and a file, and sometimes take long enough to be killed half way."""
    time.sleep(0.3 if job.job_id % 25 == 0 else 0.02)  # or a quick machine is done before anything is killed
    with connection, connection.cursor() as cursor:
        register(cursor, store.put(job.key.encode()), "text/plain", name=job.key, job_id=job.job_id)
        cursor.execute("INSERT INTO effect (key) VALUES (%s)", [job.key])
        queue.finish(cursor, job, {"key": job.key})


KINDS = {"effect": Kind(effect)}


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[clusters.Cluster]:
    """A server that keeps what it has committed, unlike the one of the other tests."""
    home = Path(f"/tmp/hven-chaos-{os.getpid()}")
    home.mkdir()
    home.chmod(0o711)
    monkeypatch.setenv("HVEN_HOME", str(home))
    server = clusters.Cluster()
    clusters.start(server)
    create(DATABASE)
    upgrade(DATABASE)
    with closing(connect(DATABASE)) as session, session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE public.effect (key text)")  # no constraint: a double must show
    yield server
    clusters.stop(server, mode="immediate")
    shutil.rmtree(home)


def graph(count: int) -> list[NewJob]:
    """Jobs in layers of a hundred, each waiting for two of the layer before."""
    draw = random.Random(1)
    jobs = []
    for number in range(count):
        before = range(max(0, number // 100 * 100 - 100), number // 100 * 100)
        requires = [f"job {n}" for n in draw.sample(before, 2)] if before else []
        jobs.append(NewJob("effect", f"job {number}", requires=requires, max_attempts=100))
    return jobs


def count_done() -> int:
    try:
        with closing(connect(DATABASE)) as session, session.cursor() as cursor:
            return queue.counts(cursor).get("done", 0)
    except psycopg2.OperationalError:
        return -1


def kill_something(server, turn: int) -> None:
    if turn % 3 == 0:
        killed = postmaster(server.data)
        os.kill(killed, signal.SIGKILL)
        while postmaster(server.data) == killed:  # a busy machine takes its time to end a process
            time.sleep(0.02)
        clusters.start(server)
        return
    try:
        session = connect(DATABASE)
    except psycopg2.OperationalError:
        return
    with closing(session), session.cursor() as cursor:
        cursor.execute("SELECT worker FROM queue.job WHERE state = 'running' ORDER BY started LIMIT 1")
        found = cursor.fetchone()
    if found:
        with suppress(ProcessLookupError):
            os.kill(int(found[0].rsplit(":", 1)[1]), signal.SIGKILL)


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.long)])
def test_every_effect_happens_once(server, tmp_path, count):
    with closing(connect(DATABASE)) as session, session, session.cursor() as cursor:
        queue.enqueue(cursor, queue.start_production(cursor, Production("user", "chaos", "0")), graph(count))
    stop = Stop()
    pool = PoolParams({DATABASE: 1.0}, tmp_path, 4, kinds="tests.acceptance.test_chaos:KINDS", grace=5)
    thread = threading.Thread(target=run_pool, args=(pool, stop))
    thread.start()
    turn, before, until = 0, 0, time.monotonic() + 300 + count / 5
    try:
        while (done := count_done()) < count and time.monotonic() < until:
            time.sleep(1.0)
            if done > before:  # however slow the machine, something is done between two deaths
                turn, before = turn + 1, done
                kill_something(server, turn)
    finally:
        stop.asked = True
        thread.join(60)
    assert turn >= 3  # or nothing was shown
    with closing(connect(DATABASE)) as session, session.cursor() as cursor:
        assert queue.counts(cursor) == {"done": count}
        cursor.execute("SELECT count(*), count(DISTINCT key) FROM effect")
        assert cursor.fetchone() == (count, count)
        cursor.execute("SELECT sha256 FROM queue.file")
        store = FileStore(tmp_path)
        files = [bytes(sha256) for (sha256,) in cursor]
    assert len(files) == count
    for sha256 in files[:100]:
        store.verify(sha256)
