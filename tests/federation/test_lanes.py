"""Queries in lanes: as their user, within limits that no SET undoes, with a history."""

import threading
import time
from contextlib import closing

import pytest
from click.testing import CliRunner

from db.connect import connect
from federation import lanes
from federation.cli.level3 import level3
from federation.lanes import Lane
from federation.sessions import as_user
from tests.federation.conftest import login, outcome

TIGHT = {"quick": Lane(1.0, 200 << 20, 10)}


def run(release, text, limits=None, **into):
    """Submit and run a query; return its state, rows and error."""
    with as_user(release, "alice") as session:
        number = lanes.submit(session, text, **into)
    assert lanes.serve_one(release, ["quick"], limits)
    with closing(login("alice")) as session:
        ((state, rows, error),) = outcome(
            session, "SELECT state, rows, error FROM level3.queries WHERE query_id = %s", [number]
        )
    return number, state, rows, error


def test_a_query_becomes_a_table(release):
    _, *found = run(release, "SELECT i AS n FROM generate_series(1, 5) i; ", into_table="five")
    assert found == ["done", 5, None]
    with closing(login("alice")) as session:
        assert outcome(session, "SELECT sum(n) FROM five") == [(15,)]


def test_a_query_becomes_a_file(release):
    number, *found = run(release, "SELECT 1 AS a, 'x' AS b -- so", into_file=".csv")
    assert found == ["done", 1, None]
    assert lanes.result_file(release, "alice", number, ".csv").read_text() == 'a,b\n1,"x"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT pg_sleep(30)::text, set_config('statement_timeout', '0', false)", "took more than 1 s"),
        ("SELECT set_config('statement_timeout', '0', false) FROM pg_sleep(30)", "took more than 1 s"),
        ("SELECT generate_series(1, 11)", "returns more than 10 rows"),
        (
            "SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 900000)",
            "more than 200 MB of memory|took",
        ),
    ],
)
def test_limits_hold(release, text, message):
    began = time.monotonic()
    _, state, _, error = run(release, text, TIGHT, into_table="t")
    assert state == "failed"
    assert any(part in error for part in message.split("|"))
    assert time.monotonic() - began < 15
    with closing(login("alice")) as session:
        assert outcome(session, "SELECT * FROM t") == "42P01"


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE x",
        "SELECT 1; SELECT 2",
        "SELECT 1) q; CREATE TABLE y (); --",
        "",
        "INSERT INTO x VALUES (1) RETURNING 1",
        "WITH x AS (INSERT INTO y VALUES (1) RETURNING 1) SELECT * FROM x",
        "SELECT * FROM user_bob.secret",
        "COPY x TO STDOUT",
        "SELECT * FROM level3.space",
        "SET statement_timeout = 0",
    ],
)
def test_only_one_query_with_the_users_rights(release, text):
    assert run(release, text, into_table="t")[1] == "failed"


def test_a_query_is_cancelled_by_its_user_and_nobody_else(release):
    with as_user(release, "alice") as session:
        number = lanes.submit(session, "SELECT pg_sleep(20)::text")
    thread = threading.Thread(target=lanes.serve_one, args=[release, ["quick"]])
    thread.start()
    with closing(login("bob")) as session:
        assert outcome(session, "SELECT level3.cancel(%s)", [number]) == [(False,)]
        assert outcome(session, "SELECT * FROM level3.queries") == []
    with closing(login("alice")) as session, session.cursor() as cursor:
        session.autocommit = True
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            cursor.execute("SELECT state FROM level3.queries WHERE query_id = %s", [number])
            if cursor.fetchone() == ("running",):
                break
            time.sleep(0.05)
        cursor.execute("SELECT level3.cancel(%s)", [number])
        assert cursor.fetchone() == (True,)
        thread.join(10)
        assert not thread.is_alive()
        cursor.execute("SELECT state FROM level3.queries WHERE query_id = %s", [number])
        assert cursor.fetchone() == ("cancelled",)


def test_a_cancel_between_two_statements_is_not_lost(release, monkeypatch):
    kept = lanes._keep

    def cancelled_before(database, own, wanted, lane):
        with closing(login("alice")) as session, session, session.cursor() as cursor:
            cursor.execute("SELECT level3.cancel(%s)", [wanted.query_id])
        time.sleep(0.1)  # what was sent to the session is dealt with
        kept(database, own, wanted, lane)

    monkeypatch.setattr(lanes, "_keep", cancelled_before)
    begin = time.monotonic()
    run(release, "SELECT pg_sleep(20)::text")
    assert time.monotonic() - begin < 15


def test_the_lanes_have_room_for_so_many_of_a_user(release):
    with closing(login("alice")) as session, session.cursor() as cursor:
        for _ in range(50):
            cursor.execute("SELECT level3.submit('SELECT 1', 'long', 1)")
        assert outcome(session, "SELECT level3.submit('SELECT 1', 'long', 1)") == "VN050"


def test_a_crash_between_table_and_job_makes_no_second_table(release):
    number, *_ = run(release, "SELECT 1 AS a", into_table="once")
    with closing(connect(release)) as session, session, session.cursor() as cursor:
        cursor.execute("UPDATE queue.job SET state = 'ready' WHERE parameters = %s", [f'{{"query_id": {number}}}'])
    assert lanes.serve_one(release, ["quick"])
    with closing(login("alice")) as session:
        assert outcome(session, "SELECT state FROM level3.queries WHERE query_id = %s", [number]) == [("done",)]


def test_the_verbs(release, tmp_path):
    def hven(*words, given=None):
        done = CliRunner().invoke(level3, [*words, "--release", release, "--user", "alice"], input=given)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    (tmp_path / "in.csv").write_text("ra,dec,name\n10,20,A\n11,21,B\n")
    assert "mine: 2 rows in user_alice.t_" in hven("import", str(tmp_path / "in.csv"), "--as", "mine")
    assert hven("query", "--sql", "-", given="SELECT name FROM mine ORDER BY name") == 'name\n"A"\n"B"\n'
    assert hven("query", "--sql", "-", "--into", "kept", given="SELECT * FROM mine") == "kept: 2 rows\n"
    assert hven("export", "mine", str(tmp_path / "out.vot")).endswith("2 rows of mine\n")
    assert "mine" in hven("list")
    assert "done" in hven("history")
    number = hven("query", "--sql", "-", "--async", given="SELECT 1").strip()
    assert hven("cancel", number) == f"{number}: cancelled\n"
    assert "alice" in CliRunner().invoke(level3, ["usage", "--release", release]).output
