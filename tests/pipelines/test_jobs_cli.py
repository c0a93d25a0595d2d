"""What `hven jobs` and `hven worker` show and say."""

from contextlib import closing

import pytest
from click.testing import CliRunner

from db import queue
from db.connect import ConnectionFailed, connect
from db.queue import NewJob, Production
from pipelines.cli.jobs import jobs
from pipelines.cli.monitor import eta
from pipelines.cli.worker import strange_jobs, worker


@pytest.fixture
def ids(database):
    """Jobs of a production: one done, one failed, one at work, one of a kind that nobody knows."""
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        production = queue.start_production(cursor, Production("user", "night of tests", "0"))
        made = queue.enqueue(
            cursor,
            production,
            [NewJob("associate", key, priority=number) for number, key in enumerate(("at work", "failed", "finished"))],
        )
        queue.finish(cursor, queue.claim(cursor, "w"))
        queue.fail(cursor, queue.claim(cursor, "w"), "Traceback\n  line\nValueError: bad pixels")
        queue.claim(cursor, "host:17")
        return made | queue.enqueue(cursor, production, [NewJob("divine", "unknown")])


def hven_jobs(*words):
    return CliRunner().invoke(jobs, words, catch_exceptions=False, env={"COLUMNS": "160"}).output


def test_tail_shows_productions_work_and_failures(ids, database):
    shown = hven_jobs("tail", "--once", "-d", database)
    assert all(text in shown for text in ("night of tests", "host:17", "ValueError: bad pixels", "jobs/s"))


def test_why_names_a_kind_that_no_worker_knows(ids, database):
    said = hven_jobs("why", str(ids["unknown"]), "-d", database)
    assert "knows no kind divine, only " in said
    assert "detector, associate" in said


def test_a_worker_says_at_once_which_jobs_it_leaves_alone(ids, database):
    (said,) = strange_jobs(database)
    assert said.startswith(f"{database}: 1 jobs of the kind divine stay where they are: this version knows ")


@pytest.mark.parametrize(("left", "rate", "words"), [(0, 0.0, "done"), (10, 0.0, "–"), (7200, 2.0, "1:00:00")])
def test_time_left(left, rate, words):
    assert eta(left, rate) == words


def test_a_worker_of_a_database_that_is_not_there_says_so(cluster):
    ran = CliRunner().invoke(worker, ["-d", "level1_nowhere"])
    assert isinstance(ran.exception, ConnectionFailed)
    assert "cannot connect to database level1_nowhere" in str(ran.exception)
