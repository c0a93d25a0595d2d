"""The recipe of docs/operations.md: a base backup and archived WAL bring back any moment, on another home."""

import os
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from db.cluster import Cluster, start, stop
from db.connect import connect, dsn
from db.processes import run_as_server
from db.settings import BINARIES, server_user

MODEST = {"shared_buffers": "32MB"}


def ask(*statements: str):
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


@pytest.fixture
def archive(new_folder) -> Path:
    """Return a folder of the server's user for WAL and base backup."""
    folder = new_folder()
    os.chown(folder, server_user().pw_uid, server_user().pw_gid)
    return folder


def test_a_moment_between_backups_comes_back(server, archive, new_folder, monkeypatch):
    ask(
        "ALTER SYSTEM SET archive_mode = on",
        f"ALTER SYSTEM SET archive_command = 'test ! -f {archive}/%f && cp %p {archive}/%f'",
    )
    stop(server)
    start(server)
    ask("CREATE TABLE night (visit bigint)")
    base = ["-X", "stream", "-c", "fast", "-D", archive / "base", "-d", dsn("postgres")]
    made = run_as_server([BINARIES / "pg_basebackup", *base], server.venv)
    assert made.returncode == 0, made.stderr
    ask("INSERT INTO night VALUES (1)")
    moment = ask("SELECT clock_timestamp()")
    ask("DELETE FROM night", "SELECT pg_switch_wal()")  # the mistake
    stop(server)  # archives what is left

    home = new_folder()
    monkeypatch.setenv("HVEN_HOME", str(home))
    (archive / "base").rename(home / "cluster")
    with (home / "cluster/postgresql.auto.conf").open("a") as settings:
        settings.write(f"archive_mode = off\nrestore_command = 'cp {archive}/%f %p'\n")
        settings.write(f"recovery_target_time = '{moment}'\nrecovery_target_action = promote\n")
    (home / "cluster/recovery.signal").touch()
    restored = Cluster(home, overrides=MODEST)
    start(restored)
    try:
        assert ask("SELECT visit FROM night") == 1
    finally:
        stop(restored, "immediate")


def test_a_base_backup_verifies(server, archive):
    command = [BINARIES / "pg_basebackup", "-X", "stream", "-c", "fast", "-D", archive / "base", "-d", dsn("postgres")]
    assert run_as_server(command, server.venv).returncode == 0
    verify = [BINARIES / "pg_verifybackup", archive / "base"]
    verified = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert verified.stdout == "backup successfully verified\n", verified.stderr
