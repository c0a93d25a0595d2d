"""A file store that is full or read-only: one clear error, and nothing is lost."""

import os
import subprocess
from contextlib import closing

import pytest

from db import queue
from db.connect import connect
from db.files import FileStore, register
from db.queue import NewJob, Production
from pipelines.worker import Kind, work

SIZES = {"small": 1 << 20, "large": 16 << 20}  # the disk holds 8 MB


def keep(connection, store, job):
    """Store as much as the job asks for."""
    content = os.urandom(SIZES[job.key.split()[0]])
    with connection, connection.cursor() as cursor:
        register(cursor, store.put(content), "application/octet-stream", name=job.key, job_id=job.job_id)
        queue.finish(cursor, job)


KINDS = {"keep": Kind(keep)}


@pytest.fixture
def session(database):
    with closing(connect(database)) as session, session.cursor() as cursor:
        production = queue.start_production(cursor, Production("user", "test", "0"))
        jobs = [NewJob("keep", key, max_attempts=1) for key in ("small 1", "large", "small 2")]
        queue.enqueue(cursor, production, jobs)
        session.commit()
        yield session


def states(session):
    with session, session.cursor() as cursor:
        cursor.execute("SELECT key, state FROM queue.job")
        return dict(cursor.fetchall())


def reason(session):
    with session, session.cursor() as cursor:
        cursor.execute("SELECT DISTINCT regexp_replace(rtrim(reason, E'\n'), '^.*\n', '') FROM queue.dead_job")
        ((found,),) = cursor.fetchall()
        return found


def retry_all(session):
    with session, session.cursor() as cursor:
        cursor.execute("SELECT job_id FROM queue.job")
        queue.retry(cursor, [job_id for (job_id,) in cursor.fetchall()])


def remount(folder, option):
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def test_on_a_full_disk_the_job_that_needs_room_dies_alone_and_lives_again_when_there_is_room(
    session, database, small_disk
):
    work({database: 1.0}, FileStore(small_disk), kinds=KINDS, until_idle=True)
    assert states(session) == {"small 1": "done", "large": "dead", "small 2": "done"}
    said = reason(session)
    assert f"file store: cannot write under {small_disk} (No space left on device). Remedy: make room" in said
    assert sum(place.is_file() for place in small_disk.rglob("*")) == 2
    remount(small_disk, "size=32m")
    retry_all(session)
    work({database: 1.0}, FileStore(small_disk), kinds=KINDS, until_idle=True)
    assert set(states(session).values()) == {"done"}


def test_on_a_read_only_disk_every_job_says_so_and_is_done_when_it_can_be_written(session, database, small_disk):
    remount(small_disk, "ro")
    work({database: 1.0}, FileStore(small_disk), kinds=KINDS, until_idle=True)
    assert set(states(session).values()) == {"dead"}
    assert f"cannot write under {small_disk} (Read-only file system). Remedy: make room, or make" in reason(session)
    remount(small_disk, "rw,size=32m")
    retry_all(session)
    work({database: 1.0}, FileStore(small_disk), kinds=KINDS, until_idle=True)
    assert set(states(session).values()) == {"done"}
