"""Settings of the private server."""

from pathlib import Path

import pytest

from db.settings import GB, MB, SOCKET_PATH_LIMIT, hven_home, socket_folder, tuned


@pytest.mark.parametrize(
    ("memory", "shared_buffers"),
    [(256 * MB, "128MB"), (24 * GB, "6144MB"), (1024 * GB, "32768MB")],  # a quarter, within 128 MB and 32 GB
)
def test_shared_buffers_follow_the_memory(memory, shared_buffers):
    assert tuned(memory, 2, 100 * GB, 2 * GB)["shared_buffers"][0] == shared_buffers


def test_wal_follows_the_free_disk():
    assert tuned(GB, 2, 8 * GB, 2 * GB)["max_wal_size"][0] == "1024MB"


def test_small_shared_memory_is_avoided():
    assert tuned(GB, 2, GB, 64 * MB)["dynamic_shared_memory_type"][0] == "sysv"
    assert "dynamic_shared_memory_type" not in tuned(GB, 2, GB, 2 * GB)


def test_each_setting_has_a_reason():
    assert all(reason for _, reason in tuned(GB, 2, GB, 0).values())


def test_socket_lies_in_home_unless_its_path_is_too_long():
    assert socket_folder(Path("/a")) == Path("/a/run")
    long = Path("/" + "x" * SOCKET_PATH_LIMIT)
    assert len(str(socket_folder(long))) < SOCKET_PATH_LIMIT
    assert socket_folder(long) != socket_folder(long / "y")


def test_home_is_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("HVEN_HOME", "/a/b")
    assert hven_home() == Path("/a/b")


def test_home_of_root(monkeypatch):
    monkeypatch.delenv("HVEN_HOME")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert hven_home() == Path("/var/lib/hven")


def test_home_of_a_user(monkeypatch):
    monkeypatch.delenv("HVEN_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert hven_home() == Path("/data/hven")
