"""What databases there are, and the names that point to them."""

import configparser
import json
from contextlib import closing

import psycopg2
import pytest
from click.testing import CliRunner

from db.cli.server import show_status
from db.connect import ConnectionFailed, connect, resolve
from db.inventory import Database, databases, write_services
from db.settings import hven_home


@pytest.fixture
def pointer(hub):
    """Return a cursor that commits in the hub; the pointer is set back afterwards."""
    with closing(connect("hub")) as session, session.cursor() as cursor:
        session.autocommit = True
        yield cursor
        cursor.execute("UPDATE hub.science_database SET database = 'level1_a' WHERE name = 'level1'")


def test_databases_have_names_states_and_revisions(hub):
    known = {entry.database: entry for entry in databases()}
    assert known["level1_a"] == Database("level1_a", "level1", "live", known["level1_a"].revision)
    assert known["level1_a"].revision.startswith("science_")
    assert known["hub"].revision.startswith("hub_")
    assert known["release_template"].state == "template"


def test_level1_follows_its_pointer(pointer):
    assert resolve("level1") == "level1_a"
    pointer.execute("UPDATE hub.science_database SET database = 'level1_b' WHERE name = 'level1'")
    assert resolve("level1") == "level1_b"


def test_other_names_are_databases():
    assert resolve("dr1") == "dr1"


def test_level1_without_a_server_is_an_error_not_a_guess(monkeypatch, tmp_path):
    monkeypatch.setenv("HVEN_HOME", str(tmp_path))
    with pytest.raises(ConnectionFailed, match="database hub .*`hven up`"):
        resolve("level1")


def test_services_lead_to_the_databases(pointer, monkeypatch):
    pointer.execute("UPDATE hub.science_database SET database = 'hub' WHERE name = 'level1'")
    write_services()
    path = hven_home() / "pg_service.conf"
    written = configparser.ConfigParser()
    written.read(path)
    assert {"hub", "level1", "level1_a"} <= set(written.sections())
    monkeypatch.setenv("PGSERVICEFILE", str(path))
    with closing(psycopg2.connect("service=level1")) as session:
        assert session.info.dbname == "hub"


def test_services_of_an_existing_server_are_left_alone(monkeypatch, hub):
    path = hven_home() / "pg_service.conf"
    path.write_text("kept")
    monkeypatch.setenv("PGHOST", "elsewhere")
    write_services()
    assert path.read_text() == "kept"
    path.unlink()


def test_status_lists_the_databases(hub):
    said = CliRunner().invoke(show_status).output
    assert "level1_a          level1            live              science_" in said
    listed = json.loads(CliRunner().invoke(show_status, ["--json"]).output)
    assert {"hub", "level1_a", "release_template"} <= {entry["database"] for entry in listed["databases"]}
