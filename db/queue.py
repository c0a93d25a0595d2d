"""The queue: the database hands out the work.

Claims are at-least-once, effects exactly once: a worker writes its results and calls `finish` in one transaction,
and `finish` refuses a worker whose lease has passed to another (the fencing token). No function here commits.

A job's life::

    waiting  → ready      all that it waits for is done and run_after has come, or run_by has come
    ready    → running    claim
    running  → done       finish
    running  → waiting    fail: another attempt, later
    running  → ready      give_back, or the lease expired
    running  → dead       fail or expiry at the last attempt; retry makes it ready again
    any but done → cancelled
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from graphlib import CycleError, TopologicalSorter

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from db.errors import HvenError
from db.queries import queries

CHANNEL = "hven_job"
LEASE = 60.0  # seconds
FIRST_DELAY = 2.0  # seconds until the second attempt; doubled for each further one
LONGEST_DELAY = 300.0  # seconds

QUERIES = queries("queue")


class QueueError(HvenError):
    """The queue refuses what was asked."""

    exit_status = 7


class Fenced(QueueError):
    """The job has passed to another worker, or was cancelled: nothing of this attempt may be written."""


@dataclass(frozen=True)
class NewJob:
    """A job to be enqueued.

    Parameters
    ----------
    kind : str
        What is to be done.
    key : str
        Names the work within its production; a second job of one key is not made.
    parameters : mapping
        What it works on; JSON.
    requires : sequence of str
        Keys of jobs, in this batch or enqueued before, that must be done first.
    priority : int
        Highest first.
    deadline, run_after, run_by : datetime, optional
        Earlier deadlines first; not before `run_after`; at `run_by` even if `requires` is not met.
    max_attempts : int
        Dead after so many.
    """

    kind: str
    key: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    requires: Sequence[str] = ()
    priority: int = 0
    deadline: datetime | None = None
    run_after: datetime | None = None
    run_by: datetime | None = None
    max_attempts: int = 5


@dataclass(frozen=True)
class Job:
    """A claimed job; `token` fences its writes."""

    job_id: int
    production_id: int
    kind: str
    key: str
    parameters: Mapping[str, object]
    token: int
    attempts: int
    max_attempts: int
    deadline: datetime | None


@dataclass(frozen=True)
class Production:
    """A coordinated group of jobs with one software version and one set of parameters."""

    kind: str
    name: str
    software_version: str
    software_commit: str | None = None
    lock_sha256: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    weight: float = 1.0


def start_production(cursor: Cursor, production: Production) -> int:
    """Return the id of the production of this name, made unless it exists."""
    cursor.execute(QUERIES["start_production"], vars(production) | {"parameters": Json(production.parameters)})
    return cursor.fetchone()[0]


def enqueue(cursor: Cursor, production_id: int, jobs: Sequence[NewJob]) -> dict[str, int]:
    """Add jobs and return key → job_id; jobs whose key is there already are left as they are.

    Raises
    ------
    QueueError
        Jobs wait for each other in a circle, or for one that does not exist.
    """
    _check_order(jobs)
    arrays: dict[str, list] = {
        name: [getattr(job, name) for job in jobs]
        for name in ("kind", "key", "priority", "deadline", "run_after", "run_by", "max_attempts")
    }
    arrays["parameters"] = [json.dumps(dict(job.parameters)) for job in jobs]
    cursor.execute(QUERIES["enqueue"], arrays | {"production_id": production_id})
    new = dict(cursor.fetchall())
    keys = sorted({job.key for job in jobs} | {key for job in jobs for key in job.requires})
    cursor.execute(QUERIES["named"], {"production_id": production_id, "keys": keys})
    ids = {key: job_id for key, job_id, _ in cursor}
    pairs = [(job, key) for job in jobs if job.key in new for key in job.requires]
    for job, key in pairs:
        if key not in ids:
            raise QueueError(
                f"queue: job {job.key} requires {key}, which this production does not have",
                "enqueue the required job first, or in the same call",
            )
    if pairs:
        links = {"job": [ids[job.key] for job, _ in pairs], "requires": [ids[key] for _, key in pairs]}
        cursor.execute(QUERIES["depend"], links)
    cursor.execute(QUERIES["release"], {"jobs": list(new.values())})
    return {job.key: ids[job.key] for job in jobs}


def claim(cursor: Cursor, worker: str, kinds: Sequence[str] | None = None, lease: float = LEASE) -> Job | None:
    """Take the next job for `lease` seconds, or None.

    Commit at once, so that others see it, and nothing else with it: this commit does not wait for the disk.
    """
    cursor.execute(QUERIES["claim"], {"worker": worker, "kinds": list(kinds) if kinds else None, "lease": lease})
    row = cursor.fetchone()
    return Job(*row) if row else None


def heartbeat(cursor: Cursor, job: Job, lease: float = LEASE) -> None:
    """Keep the lease; raises `Fenced` if it is lost."""
    _must_be_ours(cursor, "heartbeat", job, lease=lease)


def fence(cursor: Cursor, job: Job) -> None:
    """Make sure that the job is ours until the end of the transaction; raises `Fenced` if it is not."""
    _must_be_ours(cursor, "fence", job)


def finish(cursor: Cursor, job: Job, result: Mapping[str, object] | None = None) -> None:
    """End a job in the transaction that holds its results; raises `Fenced` if it is no longer ours."""
    _must_be_ours(cursor, "finish", job, result=Json(result))


def fail(cursor: Cursor, job: Job, reason: str, *, final: bool = False) -> str | None:
    """Record a failed attempt; return the job's new state (waiting or dead), None if it was not ours any more."""
    delay = min(FIRST_DELAY * 2 ** (job.attempts - 1), LONGEST_DELAY) * random.uniform(0.5, 1.5)
    values = {"job_id": job.job_id, "token": job.token, "reason": reason, "final": final, "delay": delay}
    cursor.execute(QUERIES["fail"], values)
    row = cursor.fetchone()
    return row[0] if row else None


def give_back(cursor: Cursor, job: Job) -> None:
    """Return a job unharmed, as a worker that is told to stop does."""
    cursor.execute(QUERIES["give_back"], {"job_id": job.job_id, "token": job.token})
    cursor.execute(QUERIES["notify"])


def tend(cursor: Cursor) -> int:
    """Make ready what is due and take back what was lost; return how many jobs changed. Any worker may call it."""
    changed = 0
    for name in ("promote", "expire"):
        cursor.execute(QUERIES[name])
        changed += sum(row[0] for row in cursor)
    return changed


def cancel(cursor: Cursor, jobs: Sequence[int]) -> list[int]:
    """Cancel jobs and all that wait for them; return the ids of those cancelled."""
    cursor.execute(QUERIES["cancel"], {"jobs": list(jobs)})
    return [job_id for (job_id,) in cursor]


def retry(cursor: Cursor, jobs: Sequence[int]) -> list[int]:
    """Give dead jobs a new life; return the ids of those that were dead."""
    cursor.execute(QUERIES["retry"], {"jobs": list(jobs)})
    revived = [job_id for (job_id,) in cursor]
    cursor.execute(QUERIES["notify"])
    return revived


def counts(cursor: Cursor, production_id: int | None = None) -> dict[str, int]:
    """Return the number of jobs in each state."""
    cursor.execute(QUERIES["counts"], {"production_id": production_id})
    return dict(cursor.fetchall())


def _check_order(jobs: Sequence[NewJob]) -> None:
    try:
        TopologicalSorter({job.key: job.requires for job in jobs}).prepare()
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise QueueError(
            f"queue: jobs wait for each other in a circle, {circle}", "take one of the requirements out"
        ) from None


def _must_be_ours(cursor: Cursor, query: str, job: Job, **values: object) -> None:
    cursor.execute(QUERIES[query], {"job_id": job.job_id, "token": job.token, **values})
    if cursor.rowcount != 1:
        raise Fenced(
            f"queue: job {job.job_id} ({job.key}) is no longer held under token {job.token}: its lease expired"
            " or it was cancelled",
            "nothing; whoever holds it now does the work",
        )
