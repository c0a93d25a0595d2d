"""`hven user`: logins with the limits of their roles."""

import json
import os
import subprocess
import sys
from contextlib import closing

import psycopg2
import pytest
from click.testing import CliRunner

from db import rights, users
from db.cli.user import user
from db.connect import connect, dsn
from db.databases import ROOT
from db.users import UserError

PASSWORD = "Stjerneborg 1584"


def hven(*words, given=""):
    command = [sys.executable, str(ROOT / "hven"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, input=given, env=os.environ)


@pytest.fixture
def sophie(database):
    """A level3 login with a schema of its own in a clone of level1."""
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        users.add("sophie", "level3", PASSWORD, [database])
        cursor.execute(f"GRANT CONNECT ON DATABASE {database} TO hven_scientist")
    yield "sophie"
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute("DROP OWNED BY sophie")
    users.drop("sophie")


def login(database, name="sophie", password=PASSWORD):
    return psycopg2.connect(dsn(database, name), password=password)


def setting(cursor, name):
    cursor.execute("SELECT current_setting(%s)", [name])
    return cursor.fetchone()[0]


def test_limits_hold_from_login(database, sophie):
    with closing(login(database)) as session, session.cursor() as cursor:
        for name, value in (("statement_timeout", "2h"), ("work_mem", "64MB"), ("temp_file_limit", "50GB"),
                            ("idle_in_transaction_session_timeout", "5min")):
            assert setting(cursor, name) == value
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("SET temp_file_limit = -1")


def test_connections_are_limited(database, sophie):
    limit = rights.rules()["limits"]["level3"]["connections"]
    sessions = [login(database) for _ in range(limit)]
    with pytest.raises(psycopg2.OperationalError, match="too many connections for role"):
        login(database)
    for session in sessions:
        session.close()


def test_a_level3_user_makes_tables_in_its_own_schema(database, sophie):
    with closing(login(database)) as session, session, session.cursor() as cursor:
        assert setting(cursor, "search_path") == "user_sophie, level1, hven, public"
        cursor.execute("CREATE TABLE mine AS SELECT object_id FROM object LIMIT 1")
        cursor.execute("SELECT 'mine'::regclass = to_regclass('user_sophie.mine')")
        assert cursor.fetchone() == (True,)


def test_another_users_schema_is_closed(database, sophie):
    users.add("kirstine", "level3", PASSWORD, [database])
    with (
        closing(login(database, "kirstine")) as session,
        session.cursor() as cursor,
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
    ):
        cursor.execute("CREATE TABLE user_sophie.theirs ()")
    users.drop("kirstine")


def test_an_owner_of_tables_is_not_dropped(database, sophie):
    with closing(login(database)) as session, session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE mine ()")
    with pytest.raises(UserError, match="owns 1 objects in level1_clone: table user_sophie.mine. Remedy: .* REASSIGN"):
        users.drop("sophie")
    assert "sophie" in [one.name for one in users.listed()]


def test_dropping_ends_the_sessions(hub):
    users.add("kirstine", "operator", PASSWORD)
    with closing(login("level1_a", "kirstine")) as session:
        users.drop("kirstine")
        with pytest.raises(psycopg2.OperationalError):
            session.cursor().execute("SELECT 1")


def test_the_maintenance_database_is_closed(hub):
    users.add("kirstine", "operator", PASSWORD)
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        login("postgres", "kirstine")
    users.drop("kirstine")


def test_no_password_reaches_the_log(cluster):
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("ALTER SYSTEM SET log_statement = 'all'")
        cursor.execute("SELECT pg_reload_conf()")
        try:
            users.add("kirstine", "worker", PASSWORD)
            users.drop("kirstine")
        finally:
            cursor.execute("ALTER SYSTEM RESET log_statement")
            cursor.execute("SELECT pg_reload_conf()")
    said = cluster.log.read_text()
    assert 'CREATE ROLE "kirstine"' in said
    assert PASSWORD not in said


@pytest.mark.parametrize(("name", "role", "password", "message"), [
    ("Tycho", "scientist", PASSWORD, "got the name 'Tycho'; allowed are a-z, 0-9 and _"),
    ("hven_me", "scientist", PASSWORD, "not beginning with hven_ or pg_"),
    ("tycho", "king", PASSWORD, "got the role 'king'; allowed are public, scientist, level3, worker"),
    ("tycho", "owner", PASSWORD, "got the role 'owner'"),
    ("tycho", "scientist", "", "the password of tycho has 0 characters, allowed are 12 or more"),
    ("tycho", "scientist", "uraniborg", "has 9 characters"),
    ("tycho", "scientist", "tycho tycho tycho", "contains the name"),
    ("tycho", "scientist", "aaaaaaaaaaab", "repeats 2 different characters, allowed are 6 or more"),
])
def test_bad_input_is_refused(hub, name, role, password, message):
    with pytest.raises(UserError, match=message):
        users.add(name, role, password)


def test_only_level3_gets_a_schema(hub):
    with pytest.raises(UserError, match="a scientist has no schema of its own, only level3 has"):
        users.add("tycho", "scientist", PASSWORD, ["level1_a"])


@pytest.mark.parametrize("name", ["nobody_here", "postgres", "hven_owner"])
def test_only_users_of_ours_are_dropped(hub, name):
    with pytest.raises(UserError, match=f"{name} is no user of Hven. Remedy: `hven user list` shows them"):
        users.drop(name)


def test_a_changed_limit_reaches_known_logins(hub, monkeypatch):
    users.add("kirstine", "scientist", PASSWORD)
    monkeypatch.setitem(rights.rules()["limits"], "scientist", {"connections": 3, "work_mem": "8MB"})
    users.refresh()
    with closing(login("level1_a", "kirstine")) as session, session.cursor() as cursor:
        assert (setting(cursor, "work_mem"), setting(cursor, "statement_timeout")) == ("8MB", "0")
    assert [one.connections for one in users.listed() if one.name == "kirstine"] == [3]
    users.drop("kirstine")


def test_the_verbs(hub, tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    done = hven("user", "add", "kirstine", "--role", "worker", "--password-file", str(file))
    assert (done.stdout, done.returncode) == ("kirstine: added as worker\n", 0)
    again = hven("user", "add", "kirstine", "--role", "worker", "--password-file", str(file))
    assert again.returncode == 10
    assert again.stderr == ("hven: user: kirstine exists already, in hven_worker."
                            " Remedy: choose another name, or drop it first.\n")
    assert {"name": "kirstine", "role": "worker", "connections": 64, "sessions": 0} in json.loads(
        hven("user", "list", "--json").stdout)
    assert "kirstine" in hven("user", "list").stdout
    new = "another long password"
    assert hven("user", "password", "kirstine", "--password-file", "-", given=new).returncode == 0
    login("level1_a", "kirstine", new).close()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        login("level1_a", "kirstine")
    assert hven("user", "drop", "kirstine").stdout == "kirstine: dropped\n"


def test_a_password_is_asked_for_twice(hub):
    done = CliRunner().invoke(user, ["add", "kirstine", "--role", "public"], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert done.output.endswith("kirstine: added as public\n")
    assert PASSWORD not in done.output
    users.drop("kirstine")


def test_psql_opens_as_the_user_that_is_named(hub):
    users.add("kirstine", "scientist", PASSWORD)
    command = [sys.executable, str(ROOT / "hven"), "sql", "level1", "-U", "kirstine", "-Atc", "SELECT current_user"]
    environment = os.environ | {"PGPASSWORD": PASSWORD}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "kirstine\n"
    users.drop("kirstine")


def test_an_unknown_role_is_a_usage_error(hub):
    done = hven("user", "add", "kirstine", "--role", "king")
    assert done.returncode == 2
    assert "'king' is not one of 'public', 'scientist', 'level3'" in done.stderr


def test_where_nobody_answers_the_password_can_come_from_a_file():
    ran = CliRunner().invoke(user, ["add", "ada", "--role", "public"], input="")
    assert "got no password for ada. Remedy: type one, or give --password-file" in str(ran.exception)
