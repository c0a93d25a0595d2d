"""The disk is full while a release is built: one reason, nothing lost, and it goes on where there is room."""

from contextlib import closing

import pytest

from db import queue, release
from db.connect import connect
from db.queue import NewJob, Production
from db.release import ReleaseError
from migrations.upgrade import create_release
from pipelines import building
from tests.udf.test_bulk import ROWS

NAME = "dr13"
MANY = 150_000  # rows: a quarter of them, 5 MB, lies in the partition, whose copy finds no room


def ask(name, *statements):
    with closing(connect(name)) as session, session.cursor() as cursor:
        session.autocommit = True  # tablespaces want no transaction
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def on_small_disk(hub, small_disk):
    """A release whose first partition of forced_source lies on a disk of 8 MB, half full, and is to be indexed."""
    create_release(NAME, 13)
    ask(NAME, f"CREATE TABLESPACE small LOCATION '{small_disk}'", "SELECT hven.drop_indexes('forced_source')",
        f"ALTER TABLE {NAME}.forced_source_04 SET TABLESPACE small", ROWS % MANY)  # fmt: skip
    with closing(connect(NAME)) as session, session, session.cursor() as cursor:
        production = queue.start_production(cursor, Production("release", NAME, "1"))
        queue.enqueue(cursor, production, [
            NewJob("release_index", "index", {"table": "forced_source", "part": 4}, max_attempts=1)
        ])  # fmt: skip
    yield
    release.drop(NAME)
    ask("postgres", "DROP TABLESPACE small")


def test_a_full_disk_is_told_and_leaves_all_rows(on_small_disk, tmp_path):
    with pytest.raises(ReleaseError, match=rf"{NAME} is not complete: job \d+ \(index\): .*No space left on device"):
        building.run(NAME, tmp_path, 1)
    assert ask(NAME, "SELECT count(*) FROM forced_source") == [(MANY,)]
    ask(NAME, f"ALTER TABLE {NAME}.forced_source_04 SET TABLESPACE pg_default",
        "UPDATE queue.job SET state = 'ready', attempts = 0")  # fmt: skip
    building.run(NAME, tmp_path, 1)
    assert ask(NAME, "SELECT state FROM queue.job") == [("done",)]
