"""`hven up` and `hven upgrade`: from nothing to head, and what stops them."""

from contextlib import closing
from functools import partial

import pytest
from click.testing import CliRunner

from db.cluster import Cluster, start, stop
from db.connect import connect
from db.inventory import databases
from migrations import cli
from migrations.upgrade import UpgradeError, upgrade
from udf import deploy


@pytest.fixture
def empty(home):
    """Return a home without a cluster; what is started there is stopped."""
    yield home
    stop(Cluster(), "immediate")


def run(verb, *words):
    done = CliRunner().invoke(verb, words, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_first_up_gives_a_ready_science_database(empty):
    said = run(cli.up)
    assert "level1_a: created" in said
    assert (empty / "pg_service.conf").exists()
    with closing(connect("level1")) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM object")
    assert "level1_a" not in run(cli.up)  # it runs: left alone


def test_an_interrupted_first_up_is_finished_by_the_next(empty):
    start(Cluster(overrides={"fsync": "off"}))
    assert "level1_a: at " in run(cli.up)


def test_up_without_upgrade(empty):
    run(cli.up, "--no-upgrade")
    assert databases() == []


def test_upgrade_twice(hub):
    assert "level1_a: at science_" in run(cli.upgrade)


def test_existing_server_is_left_alone(monkeypatch):
    monkeypatch.setenv("PGHOST", "elsewhere")
    assert "nothing to start; `hven upgrade`" in run(cli.up)


def test_old_pgsphere(database):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute("UPDATE pg_extension SET extversion = '1.1.1' WHERE extname = 'pg_sphere'")
    with pytest.raises(UpgradeError, match="has pgSphere 1.1.1, Hven needs 1.4 or later. Remedy: install pgSphere"):
        upgrade(database)


def test_a_refusal_of_the_server_is_one_sentence(database):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute("DROP TABLE tap_schema.key_columns")
    with pytest.raises(UpgradeError, match=r'relation "tap_schema.key_columns" does not exist\); it is as it was'):
        upgrade(database)


def test_a_broken_function_file_is_one_sentence(database, tmp_path, monkeypatch):
    (tmp_path / "broken.sql").write_text(
        "-- minimum revision: base\n-- databases: level1\n-- execute: public\nSELECT nonsense;\n"
    )
    monkeypatch.setattr(deploy, "deploy", partial(deploy.deploy, tree=tmp_path))
    with pytest.raises(UpgradeError, match='broken.sql line 4: column "nonsense" does not exist'):
        upgrade(database)
