"""What the doctor finds in databases."""

import json

import pytest
from click.testing import CliRunner

from db.connect import connect
from migrations.cli import doctor
from migrations.doctor import database_findings, diagnose, revision
from migrations.upgrade import upgrade


@pytest.fixture
def session(database):
    """Return a committing connection to a clone that may be spoilt."""
    opened = connect(database)
    opened.autocommit = True
    yield opened.cursor()
    opened.close()


def test_upgraded_databases_are_healthy(hub):
    assert [finding for finding in diagnose() if finding.remedy and finding.what != "disk"] == []


def test_report_as_json(hub):
    done = CliRunner().invoke(doctor, ["--json"])
    report = json.loads(done.stdout)
    assert report["healthy"] is (done.exit_code == 0)
    assert {"server", "python in server", "hub: functions"} <= {entry["what"] for entry in report["findings"]}


def test_absent_server(monkeypatch, tmp_path):
    monkeypatch.setenv("HVEN_HOME", str(tmp_path))
    *_, finding = diagnose()
    assert finding.what == "server"
    assert "No such file or directory" in finding.found
    assert finding.remedy == "`hven up`"


def test_changed_and_missing_functions(database, session):
    session.execute("UPDATE hven.function_manifest SET sha256 = '' WHERE name = 'ids'")
    session.execute("DELETE FROM hven.function_manifest WHERE name = 'fail'")
    *_, functions = database_findings(database)
    assert functions.found == "fail missing, ids changed"
    assert functions.remedy == "`hven upgrade` deploys them"


def test_rights_that_are_not_in_the_table(database, session):
    upgrade(database)
    session.execute("GRANT UPDATE ON level1.object TO hven_scientist")
    session.execute("REVOKE SELECT ON level1.object FROM hven_operator")
    found = next(finding for finding in database_findings(database) if finding.what.endswith("rights"))
    assert found.found == ("2 differ, such as UPDATE on TABLE level1.object for hven_scientist is too much;"
                           " SELECT on TABLE level1.object for hven_operator is missing")
    assert found.remedy == "`hven upgrade` brings them in line"


def test_database_that_was_never_migrated(database, session):
    session.execute("DROP SCHEMA hven CASCADE")
    *_, schema = database_findings(database)
    assert (schema.found, schema.remedy) == ("none", "`hven upgrade`")


def test_revision_of_a_newer_hven():
    remedy = "this Hven is older than the database: use the one that upgraded it"
    assert revision("level1_a", "science_9999", frozen=False).remedy == remedy
