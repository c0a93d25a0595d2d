"""Backup and restore: what comes back is what was saved, or it does not come back."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from db.backup import BackupError, back_up
from db.checksum import digest, snapshot, subjects
from db.cli.backup import restore as verb
from db.cluster import Cluster, start, stop
from db.connect import connect, resolve
from db.restore import restore

HVEN = [sys.executable, str(Path(__file__).resolve().parents[2] / "hven")]
OBJECTS = """INSERT INTO release.object (object_id, ra, dec, healpix29, mean_ra, mean_dec)
    SELECT i, i * 0.1::float8 / 3, 0.1, i::bigint << 48, 1, 1 FROM generate_series(1, 3000) AS i"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname NOT LIKE 'pg_%' ORDER BY 1, 2"
SETTINGS = "SELECT setrole, setconfig FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase"
RIGHTS = """SELECT oid::regclass::text, relacl::text, relowner::regrole::text FROM pg_class
    WHERE relnamespace <> 'pg_toast'::regnamespace ORDER BY 1, 2"""


def ask(database: str, *statements: str) -> list:
    with closing(connect(database)) as session, session.cursor() as cursor:
        session.autocommit = True
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def digests(database: str) -> dict:
    with snapshot(database) as held:
        return digest(database, held, subjects(held[0], everything=True))


@pytest.fixture(scope="module")
def release(hub):
    """Return a database of a release's form, with rows, a user's table, a role's setting and grants."""
    ask(
        "postgres",
        "DROP ROLE IF EXISTS ada",
        "CREATE ROLE ada LOGIN PASSWORD 'stella' IN ROLE hven_scientist",
        "CREATE DATABASE saved TEMPLATE release_template",
        "ALTER DATABASE saved SET search_path = release, hven, public",
        "ALTER ROLE ada IN DATABASE saved SET work_mem = '64MB'",
        "GRANT CONNECT ON DATABASE saved TO ada",
    )
    ask(
        "saved",
        OBJECTS,
        "CREATE SCHEMA ada AUTHORIZATION ada",
        "CREATE TABLE ada.field (id int GENERATED ALWAYS AS IDENTITY, outline public.spoly)",
        "INSERT INTO ada.field (outline) VALUES ('{(0d,0d),(1.1d,0d),(1d,1.3d)}')",
        "ALTER TABLE ada.field OWNER TO ada",
    )
    yield "saved"
    ask("postgres", "DROP DATABASE saved (FORCE)", "DROP ROLE ada")


@pytest.fixture(scope="module")
def saved(release, tmp_path_factory) -> Path:
    """Return a backup of the hub, level1 and that database."""
    folder = tmp_path_factory.mktemp("backup") / "first"
    back_up(folder, ["hub", "level1", release], lambda _: None, passwords=True)
    return folder


@pytest.fixture
def restored(saved):
    """Return the name of the database restored beside itself."""
    restore(saved, ["saved"], lambda _: None, name="again")
    yield "again"
    ask("postgres", "DROP DATABASE again (FORCE)")


@pytest.fixture
def other_server(home):
    """Return a running, empty server, made the one that we work with."""
    own = Cluster(home, overrides={"fsync": "off", "shared_buffers": "64MB"})
    start(own)
    yield own
    stop(own, "immediate")


def test_a_restored_database_has_the_same_rows_indexes_and_rights(restored):
    assert digests(restored) == digests("saved")
    assert ask(restored, INDEXES) == ask("saved", INDEXES)
    assert ask(restored, RIGHTS) == ask("saved", RIGHTS)
    assert "gist (spoint_deg(ra, " in str(ask(restored, INDEXES))


def test_settings_of_the_database_come_back(restored):
    assert ask(restored, "SHOW search_path") == [("release, hven, public",)]
    expected = ask("postgres", f"{SETTINGS} WHERE datname = 'saved' ORDER BY 1")
    assert ask("postgres", f"{SETTINGS} WHERE datname = 'again' ORDER BY 1") == expected
    assert len(expected) == 2
    rights = "SELECT datacl::text FROM pg_database WHERE datname = "
    assert ask("postgres", f"{rights}'again'") == ask("postgres", f"{rights}'saved'")


def test_counters_go_on_where_they_were(restored):
    (own,) = ask(restored, "INSERT INTO ada.field DEFAULT VALUES RETURNING id")
    assert own == (2,)


def test_an_empty_server_gets_databases_roles_and_the_pointer(saved, release, other_server):
    expected = json.loads((saved / "manifest.json").read_text())["databases"]
    done = CliRunner().invoke(verb, [str(saved)], catch_exceptions=False)
    assert "ada, hven_frozen" in done.output
    assert "`hven upgrade` makes it" in done.output
    assert resolve("level1") == "level1_a"
    rows = sum(table.whole.rows for table in digests("saved").values())
    assert rows == expected["saved"]["rows"] > 3000
    (ada,) = ask("postgres", "SELECT rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname = 'ada'")
    assert ada == (True,)
    assert ask("postgres", "SELECT pg_has_role('ada', 'hven_scientist', 'member')") == [(True,)]


def test_passwords_stay_here_unless_asked_for(release, tmp_path):
    back_up(tmp_path / "b", [release], lambda _: None)
    assert "SCRAM" not in (tmp_path / "b/roles.sql").read_text()
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700


def test_rows_that_come_meanwhile_are_in_neither_dump_nor_digest(release, tmp_path):
    def say(text: str) -> None:
        if "taking digests" in text:
            ask(release, "INSERT INTO ada.field DEFAULT VALUES")

    back_up(tmp_path / "b", [release], say)
    try:
        restore(tmp_path / "b", [], lambda _: None, name="again")
        assert digests("again")["ada.field"].whole.rows == 1
    finally:
        ask(release, "DELETE FROM ada.field WHERE outline IS NULL")
        ask("postgres", "DROP DATABASE IF EXISTS again (FORCE)")


def test_a_database_is_never_overwritten(saved):
    with pytest.raises(BackupError, match="database hub exists and is never overwritten. Remedy: restore it `--as`"):
        restore(saved, [], lambda _: None)


@pytest.mark.parametrize("wanted, name, message", [
    (["dr3"], None, "has no dr3; it holds hub, level1_a, saved"),
    (["saved"], "A b", "got the name 'A b'; allowed are a-z"),
    ([], "one", "holds hub, level1_a, saved. Remedy: name the one"),
])  # fmt: skip
def test_a_wrong_wish_is_named(saved, wanted, name, message):
    with pytest.raises(BackupError, match=message):
        restore(saved, wanted, lambda _: None, name=name)


def test_no_backup(tmp_path):
    with pytest.raises(BackupError, match="is not a complete backup .*Remedy: name another folder"):
        restore(tmp_path, [], lambda _: None)


def damage_last_byte(folder: Path) -> None:
    path = max((folder / "saved").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [
    damage_last_byte,
    lambda folder: next((folder / "saved").glob("*.dat.gz")).unlink(),
    lambda folder: (folder / "saved/extra.dat").write_text("x"),
    lambda folder: (folder / "manifest.json").open("a").write("\n"),
    lambda folder: (folder / "SHA256SUMS").unlink(),
], ids=["damaged", "lost", "foreign", "manifest", "sums"])  # fmt: skip
def test_a_damaged_backup_is_refused(saved, tmp_path, damage):
    copy = shutil.copytree(saved, tmp_path / "copy")
    damage(copy)
    with pytest.raises(BackupError, match="has damaged, lost or foreign files: .*Remedy: use another backup"):
        restore(copy, ["saved"], lambda _: None, name="again")
    assert ask("postgres", "SELECT datname FROM pg_database WHERE datname LIKE '%again'") == []


def test_a_backup_that_restores_otherwise_does_not_get_the_name(saved, tmp_path):
    """As if a row had been lost between snapshot and file: the checksums of the files are right."""
    copy = shutil.copytree(saved, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    pixels = manifest["databases"]["saved"]["digests"]["tables"]["catalogue.object"]["pixels"]
    pixels["0"][0] += 1
    (copy / "manifest.json").write_text(json.dumps(manifest))
    sums = subprocess.run(["sha256sum", "manifest.json"], cwd=copy, capture_output=True, text=True, check=True).stdout
    lines = [line for line in (copy / "SHA256SUMS").read_text().splitlines() if "manifest" not in line]
    (copy / "SHA256SUMS").write_text("\n".join([*lines, sums]))
    with pytest.raises(BackupError, match="differs from the backup in catalogue.object; it stands as unfinished_"):
        restore(copy, ["saved"], lambda _: None, name="again")
    assert ask("postgres", "SELECT datname FROM pg_database WHERE datname LIKE '%again'") == [("unfinished_again",)]
    restore(saved, ["saved"], lambda _: None, name="again")  # replaces what the first attempt left
    assert ask("postgres", "SELECT datname FROM pg_database WHERE datname LIKE '%again'") == [("again",)]
    ask("postgres", "DROP DATABASE again (FORCE)")


def test_a_folder_that_exists_is_left_alone(release, tmp_path):
    with pytest.raises(BackupError, match="exists already. Remedy: name a folder that does not exist"):
        back_up(tmp_path, [release], lambda _: None)


def test_an_interrupted_backup_leaves_nothing(release, tmp_path):
    with subprocess.Popen([*HVEN, "backup", str(tmp_path / "b"), release], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.terminate()
        assert process.wait() != 0
    assert list(tmp_path.iterdir()) == []


def test_a_killed_backup_has_no_name_and_is_replaced(release, tmp_path):
    with subprocess.Popen([*HVEN, "backup", str(tmp_path / "b"), release], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "b").exists()
    deadline = time.monotonic() + 30
    while ask("postgres", "SELECT 1 FROM pg_stat_activity WHERE datname = 'saved'") and time.monotonic() < deadline:
        time.sleep(0.1)  # pg_dump outlives its parent for a moment
    back_up(tmp_path / "b", [release], lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_two_backups_into_one_folder(release, tmp_path):
    def say(_: str) -> None:
        with pytest.raises(BackupError, match="another one writes to .*/b. Remedy: wait for it"):
            back_up(tmp_path / "b", [release], lambda _: None)

    back_up(tmp_path / "b", [release], say)


def test_a_full_disk_is_named_and_leaves_nothing(release, small_disk):
    os.chown(small_disk, 0, 0)
    ask(release, "CREATE TABLE ada.noise AS SELECT sha512(i::text::bytea) FROM generate_series(1, 200000) i")
    try:
        with pytest.raises(BackupError, match="No space left on device.*Remedy: make room on the disk"):
            back_up(small_disk / "b", [release], lambda _: None)
        assert list(small_disk.iterdir()) == []
    finally:
        ask(release, "DROP TABLE ada.noise")
