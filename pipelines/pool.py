"""A pool of worker processes on one machine: it holds their leases, enforces their limits, replaces the dead.

A job that loops, crashes or is killed takes its process with it, never the pool: the pool records the reason
and starts another process. A process that loses its connection ends too, and its job is given back unharmed:
the server may be restarting, so the pool goes on asking until it answers.
"""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from pathlib import Path

import psycopg2

from db import queue
from db.connect import connect
from db.files import FileStore
from db.queue import LEASE, Fenced, Job
from pipelines import worker
from pipelines.worker import Kind, Stop, load_kinds

BEAT = LEASE / 4  # seconds between heartbeats
TICK = 0.5  # seconds between looks at the limits
GRACE = 30.0  # seconds that a job may still take when the pool is told to stop
PAUSE = 0.2  # seconds before a process that died idle is replaced, and between attempts to reach a server
LOST_CONNECTION = os.EX_TEMPFAIL  # exit code of a process that lost its server


@dataclass(frozen=True)
class PoolParams:
    """What a pool serves and with how much.

    Parameters
    ----------
    databases : mapping of str to float
        Databases and their shares.
    root : Path
        Root of the file store.
    concurrency : int
        Processes.
    kinds : str
        Table of job kinds, as `module:attribute`.
    grace : float
        Seconds that a job may still take after SIGTERM, before it is killed and given back.
    """

    databases: Mapping[str, float]
    root: Path
    concurrency: int
    kinds: str = "pipelines.worker:KINDS"
    grace: float = GRACE


@dataclass
class Slot:
    """One process and the job in its hand."""

    process: multiprocessing.Process
    pipe: Pipe
    database: str | None = None
    job: Job | None = None
    began: float = field(default_factory=time.monotonic)
    killed: str | None = None
    doubted: Job | None = None


def run_pool(params: PoolParams, stop: Stop | None = None) -> None:
    """Keep workers at work until SIGTERM or SIGINT; then let them finish, or give their jobs back."""
    stop = stop or worker.install_stop()
    kinds = load_kinds(params.kinds)
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["pipelines.worker"])
    slots = [_start(start, params) for _ in range(params.concurrency)]
    beaten = time.monotonic()
    while not stop.asked:
        _listen(slots)
        _enforce(slots, kinds)
        slots = [_replace(slot, start, params) for slot in slots]
        if time.monotonic() - beaten > BEAT:
            _beat(slots)
            beaten = time.monotonic()
    _wind_down(slots, params.grace)


@contextmanager
def running(params: PoolParams) -> Iterator[threading.Thread]:
    """Keep a pool at work beside the caller's own; at the end it finishes the jobs in hand."""
    stop = Stop()
    thread = threading.Thread(target=run_pool, args=(params, stop))
    thread.start()
    try:
        yield thread
    finally:
        stop()
        thread.join()


def _child(params: PoolParams, pipe: Pipe, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)  # the fork server keeps the one that it began with, which may name another server
    threading.Thread(target=_end_with_pool, args=(pipe,), daemon=True).start()
    if os.nice(0) > 0:
        os.setsid()  # Linux shares processors among sessions first: `worker.step_back` makes ours a low one
    try:
        worker.work(
            params.databases, FileStore(params.root), kinds=load_kinds(params.kinds), stop=worker.install_stop(),
            report=lambda database, job: pipe.send((database, job)),
        )
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        sys.exit(LOST_CONNECTION)


def _end_with_pool(pipe: Pipe) -> None:
    """End this process when the pool is gone: nobody would hold its leases or enforce its limits."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)


def _start(start, params: PoolParams) -> Slot:
    ours, theirs = start.Pipe()
    process = start.Process(target=_child, args=(params, theirs, dict(os.environ)), daemon=True)
    process.start()
    theirs.close()
    return Slot(process, ours)


def _listen(slots: list[Slot]) -> None:
    """Take in what the processes report, waiting at most a tick; a closed pipe is a dead process."""
    waiting = {slot.pipe: slot for slot in slots}
    for pipe in wait(list(waiting), timeout=TICK):
        slot = waiting[pipe]
        try:
            while pipe.poll():
                slot.database, slot.job = pipe.recv()
                slot.began = time.monotonic()
        except (EOFError, OSError):
            slot.process.join(PAUSE)


def _enforce(slots: list[Slot], kinds: Mapping[str, Kind]) -> None:
    for slot in slots:
        limit = kinds[slot.job.kind].seconds if slot.job else float("inf")
        if slot.process.is_alive() and time.monotonic() - slot.began > limit:
            slot.killed = f"killed: it ran longer than the {limit:g} s that {slot.job.kind} may take"
            slot.process.kill()
            slot.process.join()


def _replace(slot: Slot, start, params: PoolParams) -> Slot:
    """Return the slot, or a new one where its process is dead, after recording why."""
    if slot.process.is_alive():
        return slot
    slot.process.join()
    if not slot.job:
        time.sleep(PAUSE)
    elif not _bury(slot):
        time.sleep(PAUSE)
        return slot
    slot.pipe.close()
    return _start(start, params)


def _bury(slot: Slot) -> bool:
    """Record the end of a job whose process is dead; return whether the server could be told."""
    try:
        with closing(connect(slot.database)) as connection, connection, connection.cursor() as cursor:
            if slot.process.exitcode == LOST_CONNECTION:
                queue.give_back(cursor, slot.job)
            else:
                exit_code = f"the worker process died with exit code {slot.process.exitcode}"
                queue.fail(cursor, slot.job, slot.killed or exit_code)
    except psycopg2.OperationalError:
        return False
    return True


def _beat(slots: list[Slot]) -> None:
    """Keep the leases of the jobs in hand; a job that is no longer ours is stopped."""
    for database in {slot.database for slot in slots if slot.job}:
        held = [slot for slot in slots if slot.job and slot.database == database]
        try:
            with closing(connect(database)) as connection, connection.cursor() as cursor:
                connection.autocommit = True
                for slot in held:
                    _beat_one(cursor, slot)
        except psycopg2.OperationalError:
            continue  # the leases last for several beats


def _beat_one(cursor, slot: Slot) -> None:
    """Keep a lease; one that is lost at two beats is lost: at one, the job may just have ended (its row was locked)."""
    try:
        queue.heartbeat(cursor, slot.job)
    except Fenced:
        if slot.doubted is slot.job:
            slot.killed = "its lease was lost"
            slot.process.kill()
        slot.doubted = slot.job


def _wind_down(slots: list[Slot], grace: float) -> None:
    """Let jobs in hand end within the grace time; kill and give back the others."""
    for slot in slots:
        slot.process.terminate()
    until = time.monotonic() + grace
    while time.monotonic() < until and any(slot.process.is_alive() for slot in slots):
        _listen([slot for slot in slots if slot.process.is_alive()] or slots[:1])
    for slot in slots:
        if slot.process.is_alive():
            slot.process.kill()
            slot.process.join()
            if slot.job:
                with closing(connect(slot.database)) as connection, connection, connection.cursor() as cursor:
                    queue.give_back(cursor, slot.job)
