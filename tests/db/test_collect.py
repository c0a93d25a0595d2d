"""The collector deletes what no database needs, later, and nothing else."""

import os
import time
from contextlib import closing

import pytest
from click.testing import CliRunner

from db import collect, queue
from db.cli.files import files
from db.connect import connect
from db.files import FileStore, FileStoreError, register
from db.ids import ExposureId, Kind, pack
from db.queries import queries
from db.queue import NewJob, Production

LONG_AGO = time.time() - 3600


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "files")


def keep(database, stored):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        return register(cursor, stored, "text/plain")


def age(store):
    """Let all that is in the store, tombstones too, be an hour old."""
    for path in store.root.rglob("*"):
        if path.is_file():
            os.utime(path, (LONG_AGO, LONG_AGO))


def collect_late(store, database):
    age(store)
    return collect.collect(store, [database], grace=60)


def test_an_orphan_is_buried_then_deleted(store, database):
    orphan = store.put(b"orphan").sha256
    keep(database, kept := store.put(b"kept"))
    assert collect_late(store, database).buried == [orphan.hex()]
    assert collect.collect(store, [database], grace=60).deleted == []
    assert collect_late(store, database).deleted == [orphan.hex()]
    assert [place.name for place in store.files()] == [kept.sha256.hex()]


def test_a_row_that_comes_within_the_grace_time_saves_its_file(store, database):
    stored = store.put(b"late")
    collect_late(store, database)
    keep(database, stored)
    assert collect_late(store, database).revived == [stored.sha256.hex()]
    assert collect_late(store, database).deleted == []


def test_content_that_is_stored_again_counts_as_new(store, database):
    stored = store.put(b"again")
    collect_late(store, database)
    age(store)
    store.put(b"again")
    assert collect.collect(store, [database], grace=60).deleted == []
    store.verify(stored.sha256)


def test_a_row_that_comes_between_the_last_looks_brings_the_file_back(store, database, monkeypatch):
    stored = store.put(b"at the last moment")
    collect_late(store, database)
    age(store)
    move = collect._move_aside
    monkeypatch.setattr(collect, "_move_aside", lambda *given: (move(*given), keep(database, stored))[0])
    assert collect.collect(store, [database], grace=60).revived == [stored.sha256.hex()]
    store.verify(stored.sha256)


def test_what_can_be_recreated_is_let_go(store, database):
    file_id = keep(database, store.put(b"calibrated"))
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("files")["drop_content"], {"files": [file_id]})
    collect_late(store, database)
    assert len(collect_late(store, database).deleted) == 1


def exposure_of(database, store, content, *, days, kind="calibrated", job_kind="detector"):
    """An Exposure whose file was made so long ago; return its file_id."""
    file_id = keep(database, store.put(content))
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        job = queue.enqueue(cursor, queue.start_production(cursor, Production("user", "old", "0")),
                            [NewJob(job_kind, content.decode())])
        cursor.execute("INSERT INTO filter VALUES (1, 'r') ON CONFLICT DO NOTHING;"
                       "INSERT INTO detector VALUES (0, 'test', '0', 10, 10, 1) ON CONFLICT DO NOTHING;"
                       "INSERT INTO visit (visit_id, night, sequence, filter_id, snaps, detectors)"
                       " VALUES (%s, 8000, %s, 1, 1, 1)", [4096 * 8000 + file_id, file_id])
        cursor.execute("INSERT INTO exposure (exposure_id, visit_id, detector_id, snap, kind, filter_id, midpoint_tai,"
                       " exposure_time, file_id, job_id) VALUES (%s, %s, 0, CASE %s WHEN 'raw' THEN 1 ELSE 0 END, %s,"
                       " 1, 58000, 15, %s, %s)",
                       [int(pack(ExposureId(4096 * 8000 + file_id, 0, int(kind == "raw"), Kind[kind.upper()]))),
                        4096 * 8000 + file_id, kind, kind, file_id, *job.values()])
        cursor.execute("UPDATE queue.file SET created = now() - %s * interval '1 day' WHERE file_id = %s",
                       [days, file_id])
    return file_id


def test_only_old_files_that_can_be_made_again_are_let_go_by_age(store, database):
    old = exposure_of(database, store, b"old", days=40)
    exposure_of(database, store, b"young", days=20)
    exposure_of(database, store, b"old raw", days=40, kind="raw")
    exposure_of(database, store, b"old, of another origin", days=40, job_kind="template")
    ran = CliRunner().invoke(files, ["drop", "--older-than", "30", "-d", database], catch_exceptions=False)
    assert ran.output.startswith("1 files, 0.000 GB")
    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute("SELECT file_id FROM queue.file WHERE removed IS NOT NULL")
        assert cursor.fetchall() == [(old,)]


def test_rows_without_files_are_named_with_their_database(store, database):
    stored = store.put(b"lost")
    keep(database, stored)
    store.get(stored.sha256).unlink()
    assert collect.look(store, [database]).missing == {stored.sha256.hex(): [database]}


def test_a_database_that_can_not_be_asked_stops_all_deletion(store, database):
    store.put(b"whose")
    with pytest.raises(collect.CollectError, match="absent can't be asked which files it needs .* none is deleted"):
        collect.collect(store, [database, "absent"])
    assert len(list(store.files())) == 1


def test_verify_finds_what_has_changed_and_notes_what_is_sound(store, database):
    keep(database, store.put(b"sound"))
    keep(database, changed := store.put(b"as it was"))
    place = store.get(changed.sha256)
    place.chmod(0o644)
    place.write_bytes(b"as it is!")
    account = collect.verify(store, [database])
    assert list(account.changed) == [changed.sha256.hex()]
    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM queue.file WHERE verified IS NOT NULL")
        assert cursor.fetchone() == (1,)


def test_a_clock_that_jumped_ahead_deletes_nothing_early(store, database):
    orphan = store.put(b"from the future")
    collect.collect(store, [database], grace=60)
    for path in store.root.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() + 1e6,) * 2)
    assert collect.collect(store, [database], grace=60).deleted == []
    store.verify(orphan.sha256)


def test_a_pack_gives_back_its_parts(store):
    parts = [b"one", b"", b"three"]
    stored, extents = store.put_pack(parts)
    assert [store.part(stored.sha256, extent.offset, extent.length) for extent in extents] == parts


def test_a_part_beyond_the_end_is_refused(store):
    stored, _ = store.put_pack([b"one"])
    with pytest.raises(FileStoreError, match="has 1 of the 5 bytes that were asked for at 2"):
        store.part(stored.sha256, 2, 5)


def test_a_full_store_says_so_and_keeps_nothing(store, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileStoreError, match=r"cannot write under .* \(No space left on device\). Remedy: make room"):
        store.put(b"content")
    monkeypatch.undo()
    assert list(store.files()) == []
