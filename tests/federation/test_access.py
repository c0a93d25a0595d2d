"""Who sees what: no role reads or changes another's private rows, statistics, staging, or a mini-DR."""

from contextlib import closing

import psycopg2
import pytest

from db import users
from db.connect import connect
from federation import spaces
from federation.errors import Level3Error
from federation.sessions import as_user
from tests.federation.conftest import PASSWORD, login, outcome

REFUSED = "42501"
STATEMENTS = {
    "SELECT": "SELECT * FROM user_alice.secret",
    "COPY": "COPY user_alice.secret TO STDOUT",
    "INSERT": "INSERT INTO user_alice.secret VALUES (1)",
    "UPDATE": "UPDATE user_alice.secret SET x = 2",
    "DELETE": "DELETE FROM user_alice.secret",
    "TRUNCATE": "TRUNCATE user_alice.secret",
    "LOCK": "LOCK user_alice.secret",
    "MERGE": "MERGE INTO user_alice.secret s USING (SELECT 1) o ON true WHEN MATCHED THEN DELETE",
    "ALTER": "ALTER TABLE user_alice.secret ADD y int",
    "DROP": "DROP TABLE user_alice.secret",
    "INDEX": "CREATE INDEX ON user_alice.secret (x)",
    "TRIGGER": "CREATE TRIGGER t BEFORE INSERT ON user_alice.secret"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "EXPLAIN": "EXPLAIN SELECT * FROM user_alice.secret",
    "COMMENT": "COMMENT ON TABLE user_alice.secret IS 'x'",
    "GRANT": "GRANT SELECT ON user_alice.secret TO bob",
    "INHERIT": "CREATE TEMPORARY TABLE mine () INHERITS (user_alice.secret)",
    "LIKE": "CREATE TEMPORARY TABLE mine (LIKE user_alice.secret)",
    "VIEW": "CREATE TEMPORARY VIEW mine AS SELECT * FROM user_alice.secret",
    "FOREIGN KEY": "CREATE TEMPORARY TABLE mine (x int REFERENCES user_alice.secret)",
    "ANALYZE": "ANALYZE user_alice.secret",
    "statistics": "SELECT * FROM pg_statistic",
    "the rest of pg_authid": "SELECT rolpassword FROM pg_authid",
    "the role": "SET ROLE alice",
    "the second login": "SET ROLE hven_job_alice",
    "the files": "SELECT pg_read_file('PG_VERSION')",
    "the folder": "SELECT pg_ls_dir('base')",
    "a program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "staging": "SELECT * FROM staging.dia_source",
    "staging's rows": "DELETE FROM staging.dia_source",
    "the catalogue": "DELETE FROM object",
    "the spaces": "SELECT * FROM level3.space",
    "the registry": "SELECT * FROM level3.product",
    "its columns": "UPDATE level3.product_column SET unit = ''",
    "queries": "SELECT * FROM level3.query",
    "used": "SELECT level3.used('alice')",
    "share_as": "SELECT level3.share_as('alice', 'secret', 'public', '{}', NULL)",
    "sweep": "SELECT level3.sweep()",
    "stop_writers": "SELECT level3.stop_writers('alice')",
}


@pytest.fixture
def secret(release):
    """A private table of alice's with statistics."""
    with closing(login("alice")) as session, session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE secret AS SELECT 1234567 AS x FROM generate_series(1, 1000)")
        cursor.execute("ANALYZE secret")
    return "secret"


@pytest.mark.parametrize("who", ["bob", "carol", "dave"])
def test_others_are_refused(secret, who):
    with closing(login(who)) as session:
        found = {what: outcome(session, statement) for what, statement in STATEMENTS.items()}
    assert found == dict.fromkeys(STATEMENTS, REFUSED)


@pytest.mark.parametrize("who", ["bob", "carol", "dave"])
def test_nothing_of_it_shows(secret, who):
    with closing(login(who)) as session:
        assert outcome(session, "SELECT * FROM pg_stats WHERE tablename = 'secret'") == []
        assert outcome(session, "SELECT * FROM pg_stats_ext") == []
        assert outcome(session, "SELECT * FROM level3.tables") == []
        assert (
            outcome(session, "SELECT query FROM pg_stat_activity WHERE usename = 'alice' AND query LIKE '%%x%%'") == []
        )


def test_the_owner_sees_it(secret):
    with closing(login("alice")) as session:
        assert outcome(session, "SELECT name, access FROM level3.tables") == [("secret", "private")]
        assert outcome(session, "SELECT count(*) FROM pg_stats WHERE tablename = 'secret'") == [(1,)]
        assert outcome(session, "SELECT used > 0, state FROM level3.usage()") == [(True, "open")]


def test_a_group_reads_what_is_shared_with_it_and_nobody_else(secret):
    spaces.create_group("lensing", ["bob"])
    with closing(login("alice")) as session, session, session.cursor() as cursor:
        cursor.execute("SELECT level3.share('secret', 'group', ARRAY['group_lensing'])")
    with closing(login("bob")) as session:
        assert outcome(session, "SELECT count(*) FROM user_alice.secret") == [(1000,)]
        assert outcome(session, "SELECT owner, name FROM level3.tables") == [("alice", "secret")]
        assert outcome(session, "DELETE FROM user_alice.secret") == REFUSED
    for who in ("carol", "dave"):
        with closing(login(who)) as session:
            assert outcome(session, "SELECT * FROM user_alice.secret") == REFUSED
            assert outcome(session, "SELECT * FROM level3.tables") == []
    with closing(login("alice")) as session, session, session.cursor() as cursor:
        cursor.execute("SELECT level3.share('secret', 'private')")
    with closing(login("bob")) as session:
        assert outcome(session, "SELECT * FROM user_alice.secret") == REFUSED
    spaces.create_group("lensing", [])


def test_a_proprietary_table_becomes_public_on_its_date(secret, release):
    spaces.share("alice", release, "secret", "private", [], None)
    with closing(connect(release)) as session, session, session.cursor() as cursor:
        cursor.execute("UPDATE level3.product SET public_from = current_date + 1")
        cursor.execute("SELECT level3.publish_due()")
    with closing(login("dave")) as session:
        assert outcome(session, "SELECT * FROM user_alice.secret") == REFUSED
    with closing(connect(release)) as session, session, session.cursor() as cursor:
        cursor.execute("UPDATE level3.product SET public_from = current_date")
        cursor.execute("SELECT level3.publish_due()")
    with closing(login("dave")) as session:
        assert outcome(session, "SELECT count(*) FROM user_alice.secret") == [(1000,)]


def test_only_its_owner_shares_a_product(secret):
    with closing(login("bob")) as session:
        assert outcome(session, "SELECT level3.share('secret', 'public')") == "VN052"


@pytest.mark.parametrize("readers", ["ARRAY['nobody; DROP TABLE x']", "'{}'"])
def test_readers_must_exist(secret, readers):
    with closing(login("alice")) as session:
        assert outcome(session, f"SELECT level3.share('secret', 'group', {readers})") == "VN052"


def test_a_lane_can_do_what_its_user_may_and_no_more(secret, release):
    with as_user(release, "bob") as session:
        assert outcome(session, "SELECT current_user, session_user, level3.me()") == [("bob", "hven_job_bob", "bob")]
        for statement in (
            "SET ROLE alice",
            "SET SESSION AUTHORIZATION postgres",
            "SELECT * FROM user_alice.secret",
            "ALTER ROLE hven_job_bob SUPERUSER",
            "SELECT set_config('role', 'postgres', false)",
        ):
            assert outcome(session, statement) == REFUSED
        assert outcome(session, "RESET ROLE; SELECT * FROM user_alice.secret") == REFUSED
        assert outcome(
            session,
            "CREATE TABLE of_a_lane AS SELECT 1; SELECT relowner::regrole::text FROM pg_class"
            " WHERE relname = 'of_a_lane'",
        ) == [("bob",)]


def test_a_space_is_for_level3_users_in_what_they_may_enter(release, hub):
    with pytest.raises(Level3Error, match="carol is a scientist; spaces are for level3 users"):
        spaces.open_space("carol", release, spaces.Terms(1))
    with pytest.raises(Level3Error, match="alice may not enter hub"):
        with closing(connect(hub)) as session, session, session.cursor() as cursor:
            cursor.execute("REVOKE CONNECT ON DATABASE hub FROM hven_scientist")
        try:
            spaces.open_space("alice", hub, spaces.Terms(1))
        finally:
            with closing(connect(hub)) as session, session, session.cursor() as cursor:
                cursor.execute("GRANT CONNECT ON DATABASE hub TO hven_scientist")


def test_a_mini_release_is_closed_to_all_of_them(release):
    from migrations import upgrade

    upgrade.create_release("mini_closed", 63)
    try:
        for who in ("alice", "bob", "carol", "dave"):
            with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
                login(who, "mini_closed")
        with pytest.raises(Level3Error, match="alice may not enter mini_closed"):
            spaces.open_space("alice", "mini_closed", spaces.Terms(1))
    finally:
        with closing(connect("postgres")) as session, session.cursor() as cursor:
            session.autocommit = True
            cursor.execute("DROP DATABASE mini_closed (FORCE)")
        with closing(connect("hub")) as session, session, session.cursor() as cursor:
            cursor.execute("DELETE FROM hub.science_database WHERE name = 'mini_closed'")


def test_terms_are_recorded_with_reason_and_cost(release):
    spaces.set_terms(
        "alice", release, "quota", spaces.Terms(spaces.size("40 MB"), None, "archive", "a catalogue of voids", "12 EUR")
    )
    *_, last = spaces.records("alice", release)
    assert last[1:] == ("quota", 40 << 20, None, "a catalogue of voids", "12 EUR")


@pytest.mark.parametrize("text", ["", "5 parsec", "-1GB", "0"])
def test_a_wrong_size_is_refused(text):
    with pytest.raises(Level3Error, match="allowed are such as 500MB"):
        spaces.size(text)


def test_users_and_password_are_as_before(published):
    assert {user.name: user.role for user in users.listed()}["alice"] == "level3"
    login("alice").close()
    assert PASSWORD
