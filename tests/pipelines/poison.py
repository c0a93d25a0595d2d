"""Kinds of jobs that harm their worker, each in its own way, and some that do no harm."""

import ctypes
import time

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


KINDS = {
    "harmless": Kind(harmless),
    "raising": Kind(raising),
    "looping": Kind(looping, seconds=1),
    "hogging": Kind(hogging, memory=256 << 20),
    "crashing": Kind(crashing),
    "slow": Kind(slow),
    "endless": Kind(looping),
}
