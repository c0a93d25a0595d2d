"""The worker: takes jobs from the queues of some databases and runs them, one after the other.

One process runs one job at a time; `pipelines.pool` keeps several such processes, holds their leases and
enforces their limits.
"""

import os
import random
import resource
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from psycopg2.extensions import connection as Connection

from db import queue
from db.connect import connect
from db.files import FileStore
from db.processes import slow_down
from db.queue import CHANNEL, Fenced, Job
from pipelines.productions import alert, bootstrap, release, release_difference, release_sky
from pipelines.productions.predict import predict
from pipelines.productions.template import make_template

POLL = 2.0  # seconds without a wake-up after which the queues are looked at all the same
TEND = 1.0  # seconds after which a busy worker tends a queue
GB = 1 << 30


@dataclass(frozen=True)
class Kind:
    """What runs one kind of job, and how much time and memory it may take.

    Parameters
    ----------
    run : function of connection, file store and job
        Commits its results and the job's end in one transaction.
    seconds : float
        Wall time after which the job is killed.
    memory : int
        Bytes of data that the job may allocate beyond what the worker held before.
    """

    run: Callable[[Connection, FileStore, Job], None]
    seconds: float = 600.0
    memory: int = 4 * GB


KINDS: dict[str, Kind] = {
    "predict": Kind(predict, seconds=60),
    "detector": Kind(alert.process_detector),
    "associate": Kind(alert.associate, seconds=120),
    "dark": Kind(bootstrap.dark),
    "calibrate": Kind(bootstrap.calibrate),
    "join": Kind(bootstrap.join),
    "measure": Kind(bootstrap.measure),
    "associate_sources": Kind(bootstrap.associate_sources, seconds=120),
    "template": Kind(make_template, seconds=1200),
    "release_calibrate": Kind(release.calibrate),
    "release_patches": Kind(release_sky.plan_patches),
    "release_coadd": Kind(release_sky.make_coadds, seconds=3600, memory=16 * GB),
    "release_objects": Kind(release_sky.find_objects),
    "release_difference": Kind(release_difference.subtract_template),
    "release_dia_objects": Kind(release_difference.link_dia_sources, seconds=3600, memory=16 * GB),
    "release_forced": Kind(release_difference.force),
    "release_loaded": Kind(release_difference.loaded),
    "release_index": Kind(release_difference.index, seconds=6 * 3600),
    "release_finish": Kind(release_difference.finish, seconds=3600),
}

Report = Callable[[str, Job | None], None]
"""Told the database and the job when one begins, and None when it has ended."""


def load_kinds(place: str) -> dict[str, Kind]:
    """Return a table of kinds by `module:attribute`."""
    module, attribute = place.split(":")
    return getattr(import_module(module), attribute)


@dataclass
class Desk:
    """A database that is served, and when this worker last tended its queue."""

    database: str
    connection: Connection
    tended: float = 0.0


@dataclass
class Stop:
    """Set by SIGTERM and SIGINT: the job in hand is finished, no other is begun."""

    asked: bool = False

    def __call__(self, *_):
        """Take the signal."""
        self.asked = True


def work(
    databases: Mapping[str, float],
    store: FileStore,
    *,
    kinds: Mapping[str, Kind] = KINDS,
    until_idle: bool = False,
    stop: Stop | None = None,
    report: Report = lambda *_: None,
) -> int:
    """Run jobs until told to stop, or with `until_idle` until none is ready; return how many were run.

    Parameters
    ----------
    databases : mapping of str to float
        Databases to serve, and the share of the worker's time that each gets while all have work.
    """
    stop = stop or Stop()
    done = 0
    desks = {database: Desk(database, connect(database)) for database in databases}
    try:
        for desk in desks.values():
            with desk.connection, desk.connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        while not stop.asked:
            if any(_run_one(desks[database], store, kinds, report) for database in _by_weight(databases)):
                done += 1
            elif until_idle:
                break
            else:
                _sleep([desk.connection for desk in desks.values()])
        return done
    finally:
        for desk in desks.values():
            desk.connection.close()


def worker_name() -> str:
    """Return what the queue knows this process by."""
    return f"{socket.gethostname()}:{os.getpid()}"


def install_stop() -> Stop:
    """Let SIGTERM and SIGINT ask for an end after the job in hand."""
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stop


def _run_one(desk: Desk, store: FileStore, kinds: Mapping[str, Kind], report: Report) -> bool:
    """Claim and run one job; return whether there was one."""
    job, connection = _take(desk, list(kinds)), desk.connection
    if job is None:
        return False
    report(desk.database, job)
    step_back(connection)
    try:
        with _memory_limit(kinds[job.kind].memory):
            kinds[job.kind].run(connection, store, job)
    except Fenced:
        connection.rollback()
    except Exception:  # whatever a job does, its reason is kept and the worker goes on
        if connection.closed:
            raise
        connection.rollback()
        with connection, connection.cursor() as cursor:
            queue.fail(cursor, job, traceback.format_exc())
    report(desk.database, None)
    return True


def step_back(connection: Connection) -> None:
    """Let others go first where this process was begun with `nice`: its session, if it leads one, and its backend.

    Asked before each job, as Linux refuses one of two that come at the same time.
    """
    nice = os.nice(0)
    if nice > 0:
        slow_down(connection.info.backend_pid, nice)
        if os.getsid(0) == os.getpid():
            slow_down(os.getpid(), nice)


def _take(desk: Desk, kinds: list[str]) -> Job | None:
    """Claim a job; tend the queue when there is none, and now and then."""
    desk.connection.autocommit = True  # a claim is one round trip, and commits alone
    try:
        with desk.connection.cursor() as cursor:
            job = queue.claim(cursor, worker_name(), kinds)
            if job is None or time.monotonic() - desk.tended > TEND:
                desk.tended = time.monotonic()
                if queue.tend(cursor) and job is None:
                    job = queue.claim(cursor, worker_name(), kinds)
            return job
    finally:
        if not desk.connection.closed:
            desk.connection.autocommit = False


def _by_weight(databases: Mapping[str, float]) -> list[str]:
    """Return the databases in an order drawn by weight (Efraimidis & Spirakis 2006)."""
    return sorted(databases, key=lambda name: random.expovariate(databases[name]))


def _sleep(connections: Sequence[Connection]) -> None:
    """Wait for a wake-up from any database, at most POLL seconds.

    One that came amid a claim has been read from the socket already, which select would not see.
    """
    if not any(connection.notifies for connection in connections):
        select.select(connections, [], [], POLL)
    for connection in connections:
        connection.poll()
        connection.notifies.clear()


class _memory_limit:
    """Let a job allocate so much and no more: it gets a MemoryError, the worker lives."""

    def __init__(self, memory: int):
        self.memory = memory

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_DATA)
        held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (held + self.memory, self.before[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_DATA, self.before)
