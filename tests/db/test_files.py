"""The file store keeps content whole, once, and knows when it has changed."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.files import FileStore, FileStoreError, register


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "files")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary())
def test_content_comes_back(store, content):
    stored = store.put(content)
    assert store.get(stored.sha256).read_bytes() == content
    assert stored.size == len(content)


def test_a_file_is_copied_not_moved(store, tmp_path):
    original = tmp_path / "raw.fits"
    original.write_bytes(b"SIMPLE")
    assert store.get(store.put(original).sha256).read_bytes() == original.read_bytes() == b"SIMPLE"


def test_the_same_content_is_stored_once(store):
    place = store.get(store.put(b"twice").sha256)
    before = place.stat().st_ino
    store.put(b"twice")
    assert place.stat().st_ino == before


def test_changed_content_is_found(store):
    stored = store.put(b"as it was")
    place = store.get(stored.sha256)
    place.chmod(0o644)
    place.write_bytes(b"as it is!")
    with pytest.raises(FileStoreError, match=r"has changed on disk, its content is now [0-9a-f]{64}.*restore it"):
        store.verify(stored.sha256)


def test_changed_content_is_replaced_when_it_is_stored_again(store):
    place = store.get(store.put(b"as it was").sha256)
    place.chmod(0o644)
    place.write_bytes(b"as it is!")  # as long as before
    store.verify(store.put(b"as it was").sha256)


def test_absent_content_is_named(store):
    with pytest.raises(FileStoreError, match=f"{'00' * 32} is not under"):
        store.get(bytes(32))


def test_an_interrupted_write_leaves_nothing(store, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.put(b"half")
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_a_store_that_can_not_be_written_says_so(tmp_path):
    (tmp_path / "files").write_text("not a folder")
    with pytest.raises(FileStoreError, match="cannot write under .*files.*Remedy: make room"):
        FileStore(tmp_path / "files").put(b"content")


def test_a_file_has_one_row(connection, store):
    stored = store.put(b"content")
    with connection.cursor() as cursor:
        first = register(cursor, stored, "image/fits", name="a.fits")
        assert register(cursor, stored, "image/fits") == first
