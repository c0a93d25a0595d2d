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
from pipelines.worker import POLL, Kind, Stop, work

DATABASE = "level1_chaos"


UNANNOUNCED = "INSERT INTO queue.job (production_id, kind, key, state) VALUES (%s, 'note', %s, 'ready')"
SENT = "INSERT INTO outbox (dia_source_id, version, stream) VALUES (%s, 1, 'full')"
DIGEST = """SELECT 'row', count(*), md5(string_agg(key, ',' ORDER BY key)) FROM effect
    UNION ALL SELECT 'file', count(*), md5(string_agg(sha256::text || name, ',' ORDER BY sha256)) FROM queue.file
    UNION ALL SELECT 'outbox', count(*), md5(string_agg(dia_source_id::text, ',' ORDER BY dia_source_id)) FROM outbox
    UNION ALL SELECT 'job', count(*), md5(string_agg(key || state || result::text, ',' ORDER BY key)) FROM queue.job"""
"""What the jobs did, told without the times and numbers at which they did it."""


def effect(connection, store, job):
    """Leave a row and a file, and sometimes take long enough to be killed half way."""
    time.sleep(job.parameters["pause"])
    with connection, connection.cursor() as cursor:
        register(cursor, store.put(job.key.encode()), "text/plain", name=job.key, job_id=job.job_id)
        cursor.execute("INSERT INTO effect (key) VALUES (%s)", [job.key])
        cursor.execute(SENT, [int(job.key.split()[1])])
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
        _allow_doubles(cursor)
    yield server
    clusters.stop(server, mode="immediate")
    shutil.rmtree(home)


def _allow_doubles(cursor) -> None:
    """Take away what would refuse a double effect, so that it shows; Alerts of no DiaSource will do."""
    cursor.execute("CREATE TABLE public.effect (key text)")
    cursor.execute("DROP INDEX outbox_once_idx; ALTER TABLE outbox DROP CONSTRAINT outbox_dia_source_id_version_fkey")


def graph(count: int) -> list[NewJob]:
    """Jobs in layers of a hundred, each waiting for two of the layer before."""
    draw = random.Random(1)
    jobs = []
    for number in range(count):
        before = range(max(0, number // 100 * 100 - 100), number // 100 * 100)
        requires = [f"job {n}" for n in draw.sample(before, 2)] if before else []
        pause = 0.3 if number % 25 == 0 else 20 / count  # [s], or a quick machine is done before anything is killed
        jobs.append(NewJob("effect", f"job {number}", {"pause": pause}, requires, max_attempts=100))
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


def run_all(server, root, count, *, disturbed) -> int:
    """Run the graph by four workers and return how often something was killed."""
    with closing(connect(DATABASE)) as session, session, session.cursor() as cursor:
        queue.enqueue(cursor, queue.start_production(cursor, Production("user", "chaos", "0")), graph(count))
    stop = Stop()
    pool = PoolParams({DATABASE: 1.0}, root, 4, kinds="tests.acceptance.test_chaos:KINDS", grace=5)
    thread = threading.Thread(target=run_pool, args=(pool, stop))
    thread.start()
    turn, before, until = 0, 0, time.monotonic() + 300 + count / 5
    try:
        while (done := count_done()) < count and time.monotonic() < until:
            time.sleep(1.0 if count < 10_000 else 3.0)
            if disturbed and done > before:  # however slow the machine, something is done between two deaths
                turn, before = turn + 1, done
                kill_something(server, turn)
    finally:
        stop.asked = True
        thread.join(60)
    return turn


def end_state(root) -> dict[str, tuple[int, str]]:
    """Return what there is of rows, files (read and verified), outbox and jobs: count and digest of each."""
    with closing(connect(DATABASE)) as session, session.cursor() as cursor:
        cursor.execute(DIGEST)
        found = {what: tuple(rest) for what, *rest in cursor}
    store = FileStore(root)
    stored = sorted(place.name for place in store.files())
    for name in stored:
        store.verify(bytes.fromhex(name))
    return found | {"store": (len(stored), ",".join(stored))}


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.long)])
def test_every_effect_happens_once(server, tmp_path, count):
    assert run_all(server, tmp_path / "disturbed", count, disturbed=True) >= 3  # or nothing was shown
    after_chaos = end_state(tmp_path / "disturbed")
    with closing(connect(DATABASE)) as session, session, session.cursor() as cursor:
        cursor.execute("TRUNCATE effect, outbox, queue.production, queue.file CASCADE")
    run_all(server, tmp_path / "quiet", count, disturbed=False)
    assert after_chaos == end_state(tmp_path / "quiet")
    assert {what: number for what, (number, _) in after_chaos.items()} == dict.fromkeys(after_chaos, count)


def test_a_lost_wake_up_costs_one_polling_interval_at_most(server, tmp_path):
    """The server drops every NOTIFY: a job enqueued behind a sleeping worker's back starts all the same."""
    with closing(connect(DATABASE)) as session, session, session.cursor() as cursor:
        production = queue.start_production(cursor, Production("user", "chaos", "0"))
    stop, began = Stop(), []

    def note(connection, _store, job):
        began.append(time.monotonic())
        with connection, connection.cursor() as cursor:
            queue.finish(cursor, job)

    worker = threading.Thread(target=work, args=({DATABASE: 1.0}, FileStore(tmp_path)),
                              kwargs={"kinds": {"note": Kind(note)}, "stop": stop})
    worker.start()
    waits = []
    try:
        for number in range(3):
            time.sleep(0.7)  # it sleeps by now, at another point of its interval each time
            with closing(connect(DATABASE)) as session, session, session.cursor() as cursor:
                cursor.execute(UNANNOUNCED, [production, str(number)])
            enqueued = time.monotonic()
            while len(began) <= number and time.monotonic() < enqueued + 60:
                time.sleep(0.01)
            waits.append(began[number] - enqueued)
    finally:
        stop.asked = True
        worker.join(60)
    assert max(waits) < POLL + 0.5
    assert max(waits) > 0.3  # nothing else woke it
