"""Nobody passes a quota: neither by DDL nor by rows, neither in tables nor beside them."""

import threading
import time
from contextlib import closing

import psycopg2
import pytest

from db import quota
from db.connect import connect
from federation import spaces
from tests.federation.conftest import MB, login, outcome

WIDE = "SELECT repeat(md5(i::text), 30) AS t FROM generate_series(1, {rows}) i"
TOO_MANY = 40_000  # rows of a kilobyte: 40 MB, twice the quota
DDL = {
    "create table as": f"CREATE TABLE big AS {WIDE.format(rows=TOO_MANY)}",
    "select into": f"SELECT * INTO big FROM ({WIDE.format(rows=TOO_MANY)}) w",
    "materialised view": f"CREATE MATERIALIZED VIEW big AS {WIDE.format(rows=TOO_MANY)}",
    "temporary table": f"CREATE TEMPORARY TABLE big AS {WIDE.format(rows=TOO_MANY)}",
    "TOAST": "CREATE TABLE big AS SELECT string_agg(md5(random()::text || i), '') AS t"
    " FROM generate_series(1, 1000000) i GROUP BY i % 300",
}


@pytest.mark.parametrize("how", DDL)
def test_ddl_is_braked(release, how):
    with closing(login("alice")) as session:
        assert outcome(session, DDL[how]) == "VN050"
    assert spaces.space(release, "alice").used < 20 * MB


def test_the_message_says_how_much_is_allowed(release):
    said = r"CREATE TABLE AS would take \d\d MB, allowed to alice are 20 MB"
    with closing(login("alice")) as session, session.cursor() as cursor, pytest.raises(psycopg2.Error, match=said):
        cursor.execute(DDL["create table as"])


def test_an_index_counts(release):
    with closing(login("alice")) as session, session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE half AS SELECT md5(i::text) AS t FROM generate_series(1, 150000) i")
    with closing(login("alice")) as session:
        assert outcome(session, "CREATE INDEX ON half (t, reverse(t), t)") == "VN050"


@pytest.fixture
def sweeper(release):
    """The watchdog's sweeps, in a thread."""
    ended = threading.Event()

    def run():
        with closing(connect(release)) as session:
            while not ended.is_set():
                quota.sweep(session)
                time.sleep(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    ended.set()
    thread.join()


def below_quota(release, seconds=10):
    """Wait until what the user keeps is below the quota again."""
    deadline = time.monotonic() + seconds
    while spaces.space(release, "alice").used > 20 * MB and time.monotonic() < deadline:
        time.sleep(0.1)
    return spaces.space(release, "alice").used <= 20 * MB


def write(how, session):
    """Write for ever in some way."""
    with session.cursor() as cursor:
        if how == "INSERT":
            cursor.execute(f"INSERT INTO t {WIDE.format(rows=3_000_000)}")
        elif how == "COPY":
            cursor.copy_expert("COPY t FROM STDIN", Long())
        elif how == "INSERT into TOAST":
            cursor.execute(
                "INSERT INTO t SELECT (SELECT string_agg(md5(random()::text || i || j), '')"
                " FROM generate_series(1, 3000) j) FROM generate_series(1, 1000000) i"
            )
        elif how == "INSERT into what the transaction made":
            cursor.execute("CREATE TABLE fresh (t text)")
            cursor.execute(f"INSERT INTO fresh {WIDE.format(rows=3_000_000)}")
        elif how == "INSERT into what the transaction truncated":
            cursor.execute("TRUNCATE t")
            cursor.execute(f"INSERT INTO t {WIDE.format(rows=3_000_000)}")
        elif how == "INSERT into a temporary table":
            cursor.execute("CREATE TEMPORARY TABLE x (t text)")
            session.commit()
            cursor.execute(f"INSERT INTO x {WIDE.format(rows=3_000_000)}")
        elif how == "UPDATE":
            cursor.execute("INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
            session.commit()
            while True:
                cursor.execute("UPDATE t SET t = reverse(t)")
                session.commit()


class Long:
    """A file of 100 MB: the client of a COPY that was stopped hears of it when it has sent all."""

    left = 1000

    def read(self, _):
        self.left -= 1
        time.sleep(0.001)
        return ("x" * 999 + "\n") * 100 if self.left >= 0 else ""


WRITERS = [
    "INSERT",
    "COPY",
    "INSERT into TOAST",
    "INSERT into what the transaction made",
    "UPDATE",
    "INSERT into what the transaction truncated",
    "INSERT into a temporary table",
]


@pytest.mark.parametrize("how", WRITERS)
def test_writing_is_stopped(release, sweeper, how):
    with closing(login("alice")) as session:
        with session, session.cursor() as cursor:
            cursor.execute("CREATE TABLE t (t text)")
        with pytest.raises(psycopg2.Error, match="due to user request|terminat|closed|permission denied"):
            write(how, session)
    assert how == "UPDATE" or below_quota(release)


def test_many_small_writes_are_stopped_by_taking_the_right(release, sweeper):
    with closing(login("alice")) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("CREATE TABLE t (t text)")
            with pytest.raises(psycopg2.Error):
                for _ in range(1000):
                    cursor.execute(f"INSERT INTO t {WIDE.format(rows=200)}")
            time.sleep(0.3)
            for statement in (
                "INSERT INTO t VALUES ('x')",
                "UPDATE t SET t = ''",
                "GRANT INSERT ON t TO alice",
                "CREATE TABLE u ()",
                "ALTER TABLE t ADD COLUMN u text DEFAULT 'x'",
            ):
                with pytest.raises(psycopg2.Error):
                    cursor.execute(statement)
            cursor.execute("TRUNCATE t")
            time.sleep(0.5)
            cursor.execute("INSERT INTO t VALUES ('x')")
    assert spaces.space(release, "alice").state == "open"


@pytest.mark.parametrize("statement", ["SELECT lo_from_bytea(0, 'x')", "SELECT lo_create(0)", "SELECT lo_creat(-1)"])
def test_large_objects_are_refused(release, statement):
    with closing(login("alice")) as session:
        assert outcome(session, statement) == "42501"


LONG = "DO $$ BEGIN EXECUTE '{} ' || quote_literal({}); END $$"
X = "repeat('x', 2000000)"


@pytest.mark.parametrize(
    "statement",
    [
        LONG.format("COMMENT ON TABLE t IS", X),
        LONG.format("CREATE FUNCTION f() RETURNS text LANGUAGE sql RETURN", X),
        LONG.format("CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS", f"'BEGIN --' || {X} || chr(10) || ' END'"),
        LONG.format("CREATE VIEW v AS SELECT", X),
        LONG.format("ALTER TABLE t ALTER t SET DEFAULT", X),
        "ALTER TABLE t OWNER TO hven_scientist",
    ],
)
def test_what_no_quota_would_count_is_refused(release, statement):
    with closing(login("alice")) as session, session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE t (t text)")
        cursor.execute("GRANT CREATE ON SCHEMA user_alice TO hven_scientist")
    with closing(login("alice")) as session:
        assert outcome(session, statement) in ("VN051", "42501")
