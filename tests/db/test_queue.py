"""The queue: order, dependencies, fencing, failure."""

import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from db import queue
from db.connect import connect
from db.queue import NewJob, Production


@pytest.fixture
def cursor(connection):
    with connection.cursor() as cursor:
        yield cursor


@pytest.fixture
def production(cursor):
    return queue.start_production(cursor, Production("user", "test", "0"))


def states(cursor):
    cursor.execute("SELECT key, state FROM queue.job")
    return dict(cursor.fetchall())


def make_due(cursor):
    cursor.execute("UPDATE queue.job SET run_after = now() WHERE state = 'waiting'")


def test_a_job_waits_for_what_it_requires(cursor, production):
    parts = [NewJob("a", "one"), NewJob("a", "two")]
    queue.enqueue(cursor, production, [*parts, NewJob("b", "sum", requires=["one", "two"])])
    first, second = (queue.claim(cursor, "w") for _ in range(2))
    assert queue.claim(cursor, "w") is None
    queue.finish(cursor, first)
    assert states(cursor)["sum"] == "waiting"
    queue.finish(cursor, second)
    assert queue.claim(cursor, "w").key == "sum"


def test_what_requires_a_job_that_is_done_is_ready_at_once(cursor, production):
    queue.enqueue(cursor, production, [NewJob("a", "one")])
    queue.finish(cursor, queue.claim(cursor, "w"))
    queue.enqueue(cursor, production, [NewJob("b", "two", requires=["one"])])
    assert queue.claim(cursor, "w").key == "two"


def test_highest_priority_first_then_earliest_deadline(cursor, production):
    now = datetime.now(UTC)
    queue.enqueue(cursor, production, [
        NewJob("a", "late", deadline=now + timedelta(2)), NewJob("a", "soon", deadline=now + timedelta(1)),
        NewJob("a", "whenever"), NewJob("a", "urgent", priority=5),
    ])
    assert [queue.claim(cursor, "w").key for _ in range(4)] == ["urgent", "soon", "late", "whenever"]


def test_a_key_is_enqueued_once(cursor, production):
    first = queue.enqueue(cursor, production, [NewJob("a", "one")])
    assert queue.enqueue(cursor, production, [NewJob("a", "one")]) == first
    assert queue.counts(cursor, production) == {"ready": 1}


def test_a_circle_is_refused(cursor, production):
    with pytest.raises(queue.QueueError, match="jobs wait for each other in a circle, .* Remedy: take one"):
        queue.enqueue(cursor, production, [NewJob("a", "x", requires=["y"]), NewJob("a", "y", requires=["x"])])


def test_an_unknown_requirement_is_refused(cursor, production):
    with pytest.raises(queue.QueueError, match="job x requires y, which this production does not have"):
        queue.enqueue(cursor, production, [NewJob("a", "x", requires=["y"])])


def test_a_lost_lease_fences_every_write(cursor, production):
    queue.enqueue(cursor, production, [NewJob("a", "one")])
    slow = queue.claim(cursor, "slow", lease=-1)
    assert queue.tend(cursor) == 1
    quick = queue.claim(cursor, "quick")
    assert quick.token > slow.token
    for write in (queue.finish, queue.heartbeat, queue.fence):
        with pytest.raises(queue.Fenced, match=r"job \d+ \(one\) is no longer held under token \d+: its lease expired"):
            write(cursor, slow)
    queue.finish(cursor, quick, {"rows": 3})
    assert states(cursor) == {"one": "done"}


def test_a_token_grows_even_if_the_clock_jumps_back(cursor, production):
    ids = queue.enqueue(cursor, production, [NewJob("a", "one")])
    future = 10**17  # microseconds: the year 5138
    cursor.execute("UPDATE queue.job SET token = %s WHERE job_id = %s", [future, ids["one"]])
    assert queue.claim(cursor, "w").token == future + 1


def test_the_workers_clock_does_not_matter(cursor, production, monkeypatch):
    """Leases are told by the server's clock alone: a worker a day ahead loses none and takes none."""
    queue.enqueue(cursor, production, [NewJob("a", "one")])
    monkeypatch.setattr(time, "time", lambda: 4e9)
    job = queue.claim(cursor, "w")
    queue.heartbeat(cursor, job)
    assert queue.tend(cursor) == 0
    cursor.execute("SELECT lease_expires - now() <= interval '60 s' FROM queue.job")
    assert cursor.fetchone() == (True,)


def test_a_server_clock_that_jumps_ahead_costs_an_attempt_and_loses_nothing(cursor, production):
    queue.enqueue(cursor, production, [NewJob("a", "one")])
    late = queue.claim(cursor, "w")
    cursor.execute("UPDATE queue.job SET lease_expires = lease_expires - interval '1 day'")
    assert queue.tend(cursor) == 1
    with pytest.raises(queue.Fenced):
        queue.finish(cursor, late)
    again = queue.claim(cursor, "w")
    queue.finish(cursor, again)
    assert (again.attempts, states(cursor)) == (2, {"one": "done"})


def test_a_failed_job_is_tried_again_later_and_dies_at_last(cursor, production):
    queue.enqueue(cursor, production, [NewJob("a", "one", max_attempts=2)])
    assert queue.fail(cursor, queue.claim(cursor, "w"), "first") == "waiting"
    assert queue.claim(cursor, "w") is None
    make_due(cursor)
    assert queue.tend(cursor) == 1
    assert queue.fail(cursor, queue.claim(cursor, "w"), "second") == "dead"
    cursor.execute("SELECT attempt, reason FROM queue.dead_job ORDER BY dead_job_id")
    assert cursor.fetchall() == [(1, "first"), (2, "second")]


def test_a_dead_job_can_be_retried(cursor, production):
    ids = queue.enqueue(cursor, production, [NewJob("a", "one")])
    queue.fail(cursor, queue.claim(cursor, "w"), "poison", final=True)
    assert queue.retry(cursor, list(ids.values())) == list(ids.values())
    assert queue.claim(cursor, "w").attempts == 1


def test_cancelling_a_job_cancels_what_waits_for_it(cursor, production):
    ids = queue.enqueue(cursor, production, [
        NewJob("a", "one"), NewJob("a", "two", requires=["one"]),
        NewJob("a", "three", requires=["two"]), NewJob("a", "four"),
    ])
    assert len(queue.cancel(cursor, [ids["one"]])) == 3
    assert states(cursor) == {"one": "cancelled", "two": "cancelled", "three": "cancelled", "four": "ready"}


def test_run_by_starts_a_job_whose_requirements_are_stuck(cursor, production):
    past = datetime.now(UTC) - timedelta(seconds=1)
    queue.enqueue(cursor, production, [NewJob("a", "stuck"), NewJob("b", "anyway", requires=["stuck"], run_by=past)])
    queue.tend(cursor)
    assert states(cursor) == {"stuck": "ready", "anyway": "ready"}


def test_a_job_given_back_has_lost_no_attempt(cursor, production):
    queue.enqueue(cursor, production, [NewJob("a", "one")])
    queue.give_back(cursor, queue.claim(cursor, "w"))
    assert queue.claim(cursor, "w").attempts == 1


def test_weights_share_the_workers(cursor, production):
    heavy = queue.start_production(cursor, Production("user", "heavy", "0", weight=4.0))
    for number in (production, heavy):
        queue.enqueue(cursor, number, [NewJob("a", str(key)) for key in range(200)])
    cursor.execute("SELECT setseed(0.5)")
    claimed = [queue.claim(cursor, "w").production_id for _ in range(200)]
    assert 130 <= claimed.count(heavy) <= 185  # 160 expected, sigma 5.7


def test_two_workers_never_get_one_job(database):
    with closing(connect(database)) as one, closing(connect(database)) as two:
        with one, one.cursor() as cursor:
            number = queue.start_production(cursor, Production("user", "test", "0"))
            queue.enqueue(cursor, number, [NewJob("a", "one"), NewJob("a", "two")])
        with one.cursor() as first, two.cursor() as second:
            assert {queue.claim(first, "1").key, queue.claim(second, "2").key} == {"one", "two"}


def test_a_dependant_that_comes_while_its_requirement_finishes_is_freed(database):
    """The finishing worker must see a dependency that was committed after its statement began to wait."""
    with closing(connect(database)) as worker, closing(connect(database)) as maker:
        with worker, worker.cursor() as cursor:
            number = queue.start_production(cursor, Production("user", "test", "0"))
            queue.enqueue(cursor, number, [NewJob("a", "one")])
            job = queue.claim(cursor, "w")
        with maker.cursor() as cursor:
            queue.enqueue(cursor, number, [NewJob("b", "two", requires=["one"])])
        finishing = threading.Thread(target=lambda: _finish(worker, job))
        finishing.start()
        _until_blocked(database)
        maker.commit()
        finishing.join(10)
        with worker, worker.cursor() as cursor:
            assert states(cursor) == {"one": "done", "two": "ready"}


def _finish(session, job):
    with session, session.cursor() as cursor:
        queue.finish(cursor, job)


def _until_blocked(database):
    with closing(connect(database)) as session, session.cursor() as cursor:
        session.autocommit = True
        for _ in range(1000):
            cursor.execute("SELECT FROM pg_locks WHERE NOT granted")
            if cursor.rowcount:
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")
