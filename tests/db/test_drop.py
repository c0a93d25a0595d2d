"""`hven drop`: what users rely on is refused."""

from contextlib import closing

import pytest
from click.testing import CliRunner

from db import release
from db.cli.drop import drop
from db.connect import connect
from migrations.upgrade import create


def run(*words):
    return CliRunner().invoke(drop, words)


@pytest.fixture
def spare(hub):
    """An empty database that the hub knows as a mini-DR."""
    create("mini_spare")
    with closing(connect(hub)) as session, session, session.cursor() as cursor:
        cursor.execute("INSERT INTO hub.science_database (name, database, kind, release, state)"
                       " VALUES ('mini_spare', 'mini_spare', 'mini', 60, 'building')")
    yield "mini_spare"
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("DROP DATABASE IF EXISTS mini_spare")
    with closing(connect(hub)) as session, session, session.cursor() as cursor:
        cursor.execute("DELETE FROM hub.science_database WHERE name = 'mini_spare'")


@pytest.mark.parametrize(("database", "said"), [
    ("hub", "drop: hub knows all others"),
    ("release_template", "release_template is what releases are made from"),
    ("level1_a", "level1_a is what level1 points to"),
    ("postgres", "postgres is no database of ours; there are "),
])
def test_what_others_need_is_refused(hub, database, said):
    ran = run(database, "--yes")
    assert isinstance(ran.exception, release.ReleaseError)
    assert said in str(ran.exception)


@pytest.mark.parametrize("change", ["state = 'published'", "state = 'frozen'", "is_current = true"])
def test_a_release_that_users_read_is_refused(spare, hub, change):
    with closing(connect(hub)) as session, session, session.cursor() as cursor:
        cursor.execute(f"UPDATE hub.science_database SET {change} WHERE name = %s", [spare])
    assert "drop: mini_spare is " in str(run(spare, "--yes").exception)


def test_what_is_dropped_is_gone_and_its_life_remembered(spare, hub):
    assert run(spare, "--yes").output == "mini_spare: dropped\n"
    with closing(connect(hub)) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_database WHERE datname = %s", [spare])
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT to_state FROM hub.life_cycle WHERE name = %s ORDER BY event_id DESC LIMIT 1", [spare])
        assert cursor.fetchone() == ("dropped",)


def test_who_is_asked_and_says_no_keeps_it(spare):
    ran = CliRunner().invoke(drop, [spare], input="n\n")
    assert ran.exit_code == 1
    assert "dropped" not in ran.output
