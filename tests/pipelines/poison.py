"""Kinds of jobs that harm their worker, each in its own way, and some that do no harm."""

import ctypes
import os
import time
from pathlib import Path

from db import queue
from pipelines.worker import Kind


def harmless(connection, _store, job):
    with connection, connection.cursor() as cursor:
        queue.finish(cursor, job, {"ok": True})


def raising(_connection, _store, _job):
    raise ValueError("poisoned")


def looping(_connection, _store, _job):
    while True:
        pass


def hogging(_connection, _store, _job):
    kept = []
    while True:
        kept.append(bytearray(64 << 20))


def crashing(_connection, _store, _job):
    ctypes.string_at(0)


def slow(connection, _store, job):
    time.sleep(1)
    harmless(connection, _store, job)


def telling(connection, _store, job):
    """Tell the priorities of this process and of its backend, and of their sessions."""
    pids = os.getpid(), connection.info.backend_pid
    groups = [Path(f"/proc/{pid}/autogroup") for pid in pids]
    told = {"leads": os.getsid(0) == os.getpid(), "nice": [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids],
            "sessions": [int(group.read_text().split()[-1]) for group in groups if group.exists()]}  # fmt: skip
    with connection, connection.cursor() as cursor:
        queue.finish(cursor, job, told)


KINDS = {
    "telling": Kind(telling),
    "harmless": Kind(harmless),
    "raising": Kind(raising),
    "looping": Kind(looping, seconds=1),
    "hogging": Kind(hogging, memory=256 << 20),
    "crashing": Kind(crashing),
    "slow": Kind(slow),
    "endless": Kind(looping),
}
