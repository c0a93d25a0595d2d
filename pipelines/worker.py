"""The worker: takes jobs from the queue of a database and runs them, one after the other."""

import os
import select
import socket
import traceback
from contextlib import closing

from psycopg2.extensions import connection as Connection

from db import queue
from db.connect import connect
from db.files import FileStore
from db.queue import CHANNEL, Fenced
from pipelines.productions import alert

KINDS = {"detector": alert.process_detector, "associate": alert.associate}
"""Kind of job → what runs it: a function of connection, file store and job that commits its results with the job."""

POLL = 5.0  # seconds without a wake-up after which the queue is looked at all the same


def work(database: str, store: FileStore, *, until_idle: bool = False) -> int:
    """Run jobs until told to stop (or, with `until_idle`, until none is ready); return how many were run."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    done = 0
    with closing(connect(database)) as connection, closing(connect(database)) as listener:
        listener.autocommit = True
        with listener.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        while True:
            if run_one(connection, store, name):
                done += 1
            elif until_idle:
                return done
            else:
                select.select([listener], [], [], POLL)
                listener.poll()
                listener.notifies.clear()


def run_one(connection: Connection, store: FileStore, name: str) -> bool:
    """Claim and run one job; return whether there was one."""
    with connection, connection.cursor() as cursor:
        queue.tend(cursor)
        job = queue.claim(cursor, name, list(KINDS))
    if job is None:
        return False
    try:
        KINDS[job.kind](connection, store, job)
    except Fenced:
        connection.rollback()
    except Exception:  # whatever a job does, its reason is kept and the worker goes on
        connection.rollback()
        with connection, connection.cursor() as cursor:
            queue.fail(cursor, job, traceback.format_exc())
    return True
