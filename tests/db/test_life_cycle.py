"""A release is validated, frozen, published and withdrawn, each step once and in order."""

from contextlib import closing

import psycopg2
import pytest
from click.testing import CliRunner

from db import life_cycle, release
from db.connect import ConnectionFailed, connect, resolve
from db.release import ReleaseError
from db.settings import hven_home
from migrations.upgrade import create_release
from pipelines.cli.release import publish

NAMES = ("dr8", "dr9")


@pytest.fixture(scope="module")
def validated(hub):
    for name in NAMES:
        create_release(name, int(name[2:]))
        release.set_state(name, "building", "validated", "a trial")
    yield hub
    with closing(connect(hub)) as session, session, session.cursor() as cursor:
        end = "UPDATE hub.science_database SET is_current = false, state = 'withdrawn' WHERE name = ANY (%s)"
        cursor.execute(end, [list(NAMES)])
        cursor.execute("DELETE FROM hub.data_release WHERE name = ANY (%s)", [list(NAMES)])
    for name in NAMES:
        release.drop(name)


def reads(name, role):
    """Whether a role may read the Objects of a release."""
    with closing(connect(name)) as session, session.cursor() as cursor:
        cursor.execute(f"SET ROLE hven_{role}")
        try:
            cursor.execute("SELECT FROM object LIMIT 1")
        except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.UndefinedTable):  # a closed schema is unseen
            return False
        return True


def state(name):
    return next(one.state for one in life_cycle.releases() if one.name == name)


def test_a_step_out_of_order_is_refused(validated):
    with pytest.raises(ReleaseError, match=r"can't publish dr8: it is validated, and has to be frozen\. Remedy:"):
        life_cycle.publish("dr8")
    with pytest.raises(ReleaseError, match="there is no dr11; there are .*dr8, dr9"):
        life_cycle.freeze("dr11")
    with pytest.raises(ConnectionFailed, match="no release is current yet"):
        resolve("current")


def test_what_is_published_is_public_and_current_and_described(validated):
    life_cycle.freeze("dr8")
    assert not reads("dr8", "public")
    done = CliRunner().invoke(publish, ["dr8", "--reason", "for everybody"], catch_exceptions=False)
    assert "dr8.forced_source" in (hven_home() / "pages/dr8/dr8.html").read_text()
    assert done.output.startswith("dr8: published, and current; its schema: ")
    assert reads("dr8", "public")
    assert resolve("current") == "dr8"
    with closing(connect("hub")) as session, session.cursor() as cursor:
        known = "SELECT schema_revision IS NOT NULL, published IS NOT NULL FROM hub.data_release WHERE name = 'dr8'"
        cursor.execute(known)
        assert cursor.fetchone() == (True, True)


def test_the_next_release_takes_the_place_of_the_current_one(validated):
    life_cycle.freeze("dr9")
    life_cycle.publish("dr9")
    assert resolve("current") == "dr9"
    assert reads("dr8", "public")  # it stays published


def test_the_current_release_is_withdrawn_only_for_another(validated):
    with pytest.raises(ReleaseError, match="dr9 is the current release; others that are published: dr8"):
        life_cycle.withdraw("dr9", "an error in the zeropoints")
    life_cycle.withdraw("dr9", "an error in the zeropoints", current="dr8")
    assert resolve("current") == "dr8"
    assert not reads("dr9", "public")


def test_every_step_stands_in_the_audit_trail(validated):
    steps = [(step.to_state, step.reason) for step in life_cycle.history("dr9")]
    expected = ["creating", "building", "validated", "frozen", "published", "withdrawn"]
    assert [to_state for to_state, _ in steps] == expected
    assert steps[-1][1] == "an error in the zeropoints"


def test_an_interrupted_publication_is_taken_again(validated, monkeypatch):
    release.set_state("dr9", "withdrawn", "frozen")
    with monkeypatch.context() as patch:
        patch.setattr(life_cycle, "software", lambda: 1 / 0)  # after the grants, before the hub's commit
        with pytest.raises(ZeroDivisionError):
            life_cycle.publish("dr9")
    assert state("dr9") == "frozen"
    life_cycle.publish("dr9")
    assert state("dr9") == "published"
