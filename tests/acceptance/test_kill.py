"""kill -9 of the postmaster or of ourselves, amid a load and amid an upgrade: all of it or nothing."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from db import databases
from db.checksum import digest, snapshot, subjects
from db.cluster import Cluster, start, status, stop
from db.connect import connect
from db.load import load
from db.queries import queries
from migrations import upgrade
from migrations.compare import differences
from udf import deploy

HVEN = [sys.executable, str(Path(__file__).resolve().parents[2] / "hven")]
ROWS = 300_000
PATIENCE = 60  # seconds
REVISION = """
import time
from pathlib import Path
from alembic import op

revision, down_revision, branch_labels, depends_on = "science_9999", "{head}", None, None

def upgrade():
    op.execute("ALTER TABLE level1.filter ADD COLUMN half real; UPDATE level1.filter SET half = bandwidth / 2")
    Path("{folder}/reached").touch()
    while not Path("{folder}/go").exists():
        time.sleep(0.01)
    op.execute("ALTER TABLE level1.filter ALTER COLUMN half SET NOT NULL")
"""


def ask(database: str, statement: str):
    with closing(connect(database)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def digests(database: str) -> dict:
    with snapshot(database) as held:
        return digest(database, held, subjects(held[0], everything=True))


def wait_until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def kill(victim: str, server: Cluster, client: int) -> None:
    """Kill the postmaster or the client, and bring the server back."""
    os.kill(status(server).pid if victim == "postmaster" else client, signal.SIGKILL)
    if victim == "client":
        wait_until(lambda: not ask("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname ~ '^(hub|level1)'"))
    else:
        wait_until(lambda: status(server).pid is None)
        start(server)


@pytest.fixture(scope="module")
def live(new_folder):
    """Return a server that keeps what it has committed, with a Science Database that holds a little."""
    with pytest.MonkeyPatch.context() as patch:
        home = new_folder()
        patch.setenv("HVEN_HOME", str(home))
        server = Cluster(home, overrides={"shared_buffers": "64MB"})
        start(server)
        upgrade.upgrade_all()
        load_visit(1, 10)
        ask("level1", "INSERT INTO filter (filter_id, name, bandwidth) VALUES (1, 'u', 50), (2, 'g', 140)")
        yield server
        stop(server, "immediate")


def load_visit(visit: int, rows: int) -> None:
    number = np.arange(rows)
    ids = {"dia_source_id": (visit << 31) + number, "exposure_id": number, "visit_id": np.full(rows, visit)}
    ids |= {"job_id": number, "detector_id": np.zeros(rows, "i2"), "filter_id": np.ones(rows, "i2")}
    place = {"ra": number % 360.0, "dec": number % 90.0, "healpix29": number, "midpoint_tai": number + 0.5}
    with closing(connect("level1")) as session:
        load(session, "staging.dia_source", ids | place)
        session.commit()


def in_child(task, *arguments):
    """Run a function in a process of its own, which can be killed."""
    child = get_context("fork").Process(target=task, args=arguments)
    child.start()
    return child


@pytest.mark.parametrize("victim", ["postmaster", "client"])
def test_a_load_that_is_killed_leaves_what_was_there(live, victim):
    before = digests("level1")
    child = in_child(load_visit, 2, ROWS)
    wait_until(lambda: ask("postgres", "SELECT max(tuples_processed) FROM pg_stat_progress_copy"))
    kill(victim, live, child.pid)
    child.join(PATIENCE)
    assert digests("level1") == before
    load_visit(2, ROWS)
    assert ask("level1", "SELECT count(*) FROM staging.dia_source WHERE visit_id = 2") == ROWS
    ask("level1", "DELETE FROM staging.dia_source WHERE visit_id = 2")


@pytest.mark.parametrize("victim", ["postmaster", "client"])
def test_a_migration_that_is_killed_leaves_what_was_there(live, victim, tmp_path, monkeypatch):
    head = upgrade.head("science")
    (tmp_path / "9999_test.py").write_text(REVISION.format(head=head, folder=tmp_path))
    plain = upgrade.configuration

    def with_test_revision(*arguments):
        config = plain(*arguments)
        config.set_main_option("version_locations", f"{config.get_main_option('version_locations')}:{tmp_path}")
        return config

    before = digests("level1")
    monkeypatch.setattr(upgrade, "configuration", with_test_revision)
    child = in_child(upgrade.upgrade, "level1_a")
    wait_until((tmp_path / "reached").exists)
    kill(victim, live, child.pid)
    (tmp_path / "go").touch()
    child.join(PATIENCE)
    assert child.exitcode != 0
    assert digests("level1") == before
    upgrade.upgrade("level1_a")
    assert ask("level1", "SELECT string_agg(half::text, ' ' ORDER BY filter_id) FROM filter") == "25 70"
    assert ask("level1", "SELECT version_num FROM hven.alembic_version") == "science_9999"
    ask("level1", "ALTER TABLE level1.filter DROP COLUMN half")
    ask("level1", f"UPDATE hven.alembic_version SET version_num = '{head}'")


@pytest.mark.parametrize("database, victim", [
    ("hub", "postmaster"), ("level1_a", "postmaster"), ("level1_a", "client"), ("release_template", "postmaster"),
])  # fmt: skip
def test_a_first_upgrade_that_is_killed_leaves_nothing_half(server, database, victim):
    with subprocess.Popen([*HVEN, "upgrade"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        while f"{database}: created" not in client.stdout.readline():
            pass
        wait_until(lambda: ask("postgres", f"SELECT count(*) FROM pg_locks WHERE {OF.format(database)}") > 60)
        kill(victim, server, client.pid)
        assert client.wait() != 0
        if victim == "postmaster":
            assert f"hven: {database} could not be brought to head" in client.stderr.read()
    for there in ("hub", "level1_a"):
        if ask("postgres", f"SELECT count(*) FROM pg_database WHERE datname = '{there}'"):
            assert is_complete(there) if is_made(there) else is_empty(there)
    upgrade.upgrade_all()
    assert is_complete("hub")
    assert is_complete("level1_a")
    assert ask("postgres", "SELECT datistemplate AND NOT datallowconn FROM pg_database WHERE datname ~ '^release'")


OF = "database = (SELECT oid FROM pg_database WHERE datname = '{}') AND mode = 'AccessExclusiveLock'"


def is_made(database: str) -> bool:
    return ask(database, "SELECT to_regclass('hven.alembic_version') IS NOT NULL")


def is_empty(database: str) -> bool:
    return ask(database, f"SELECT count(*) FROM ({queries('databases')['relations_of_ours']}) AS ours") == 0


def is_complete(database: str) -> bool:
    layout = databases.layout(database)
    with closing(connect(database)) as session:
        functions = deploy.difference(session, None if layout.kind == "hub" else layout.catalogue)
    return differences(database) == [] and functions == {}
