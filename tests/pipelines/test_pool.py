"""A job that does harm dies alone, with its reason; the pool and all other jobs go on."""

import multiprocessing
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from db import queue
from db.connect import connect
from db.databases import ROOT
from db.queue import NewJob, Production
from pipelines import worker
from pipelines.pool import PoolParams, Slot, _beat_one, run_pool
from pipelines.worker import Stop

KINDS = "tests.pipelines.poison:KINDS"


@pytest.fixture
def session(database):
    with closing(connect(database)) as session:
        yield session


def enqueue(session, jobs):
    with session, session.cursor() as cursor:
        queue.enqueue(cursor, queue.start_production(cursor, Production("user", "test", "0")), jobs)


def states(session):
    with session, session.cursor() as cursor:
        return queue.counts(cursor)


def run_until(session, database, tmp_path, ended, grace=30.0):
    """Run a pool of two until `ended` says so of the jobs' states."""
    stop = Stop()
    params = PoolParams({database: 1.0}, tmp_path, 2, kinds=KINDS, grace=grace)
    pool = threading.Thread(target=run_pool, args=(params, stop))
    pool.start()
    until = time.monotonic() + 60
    while not ended(states(session)) and time.monotonic() < until:
        time.sleep(0.1)
    stop.asked = True
    pool.join(60)
    assert not pool.is_alive()
    return states(session)


def test_poisoned_jobs_die_with_their_reason_and_the_others_are_done(session, database, tmp_path):
    poisons = {
        "raising": "ValueError: poisoned",
        "looping": "ran longer than the 1 s",
        "hogging": "MemoryError",
        "crashing": "exit code -11",
    }
    jobs = [NewJob(kind, kind, max_attempts=1) for kind in poisons]
    enqueue(session, jobs + [NewJob("harmless", str(n)) for n in range(20)])
    ended = run_until(session, database, tmp_path, lambda now: now.keys() <= {"done", "dead"})
    assert ended == {"done": 20, "dead": 4}
    with session, session.cursor() as cursor:
        cursor.execute("SELECT kind, reason FROM queue.dead_job JOIN queue.job USING (job_id)")
        reasons = dict(cursor.fetchall())
    assert {kind: text in reasons[kind] for kind, text in poisons.items()} == dict.fromkeys(poisons, True)


def test_a_pool_told_to_stop_finishes_what_it_has_begun(session, database, tmp_path):
    enqueue(session, [NewJob("slow", str(n)) for n in range(20)])
    ended = run_until(session, database, tmp_path, lambda now: now.get("running"))
    assert "running" not in ended
    assert ended["done"] >= 1


def test_a_job_that_outlasts_the_grace_is_given_back_unharmed(session, database, tmp_path):
    enqueue(session, [NewJob("endless", "one")])
    assert run_until(session, database, tmp_path, lambda now: now.get("running"), grace=1.0) == {"ready": 1}
    with session, session.cursor() as cursor:
        cursor.execute("SELECT attempts FROM queue.job")
        assert cursor.fetchone() == (0,)


def test_a_pool_under_nice_lets_others_go_first_with_all_that_works_for_it(session, database, tmp_path):
    enqueue(session, [NewJob("telling", "one")])
    code = f"""if True:
        from pathlib import Path
        from pipelines.pool import PoolParams, run_pool
        run_pool(PoolParams({{{database!r}: 1.0}}, Path({str(tmp_path)!r}), 1, kinds={KINDS!r}))"""
    with subprocess.Popen(["nice", "-n", "5", sys.executable, "-c", code], cwd=ROOT) as pool:
        until = time.monotonic() + 60
        while states(session) != {"done": 1} and time.monotonic() < until:
            time.sleep(0.1)
        pool.terminate()
    with session, session.cursor() as cursor:
        cursor.execute("SELECT result FROM queue.job")
        told = cursor.fetchone()[0]
    assert told["leads"]
    assert all(nice >= 5 for nice in told["nice"] + told["sessions"])


def test_a_job_that_ends_amid_a_beat_costs_no_process(session, database):
    enqueue(session, [NewJob("harmless", "one")])
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    process.start()
    with session, session.cursor() as cursor:
        slot = Slot(process, None, database, queue.claim(cursor, "me", ["harmless"]))
        queue.finish(cursor, slot.job)
        _beat_one(cursor, slot)
        assert slot.killed is None and process.is_alive()
        _beat_one(cursor, slot)  # nothing was reported since: it works on what is no longer its own
    process.join(10)
    assert (slot.killed, process.exitcode) == ("its lease was lost", -9)


def test_a_wake_up_that_came_amid_a_claim_is_not_slept_over(session, database):
    with session, session.cursor() as cursor:
        cursor.execute(f"LISTEN {queue.CHANNEL}")
    with session, session.cursor() as cursor:
        cursor.execute(queue.QUERIES["notify"])  # read from the socket with the end of this transaction
    began = time.monotonic()
    worker._sleep([session])
    assert time.monotonic() - began < worker.POLL / 2
    assert session.notifies == []
