"""What each role may do, cell by cell, by real logins."""

from contextlib import closing
from functools import cache
from io import StringIO

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from db import databases, freeze, queue, rights, users
from db.connect import connect, dsn
from db.release import ReleaseError
from migrations import upgrade

PASSWORD = "Stjerneborg 1584"
RELEASE = "dr7"
LOGINS = [role for role in rights.rules()["roles"] if role != "owner"]
CONNECTED = [
    (kind, role) for kind in rights.KINDS for role in LOGINS if "CONNECT" in rights.effective(kind, "database", role)
]
CELLS = [(kind, role, group) for kind, role in CONNECTED for group in rights.rules()["rights"][kind]]
CELLS = [pytest.param(*cell, id="-".join(cell)) for cell in CELLS if cell[2] != "database"]
STATEMENTS = {
    "SELECT": "SELECT * FROM {table} LIMIT 0",
    "INSERT": "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE": "UPDATE {table} SET {column} = NULL",
    "DELETE": "DELETE FROM {table}",
    "TRUNCATE": "TRUNCATE {table} CASCADE",
    "ALTER": "ALTER TABLE {table} SET (fillfactor = 50)",
    "DROP": "DROP TABLE {table} CASCADE",
}


@pytest.fixture(scope="module", autouse=True)
def logins(hub):
    """A login of each role."""
    for role in LOGINS:
        users.add(f"cell_{role}", role, PASSWORD)
    yield
    for role in LOGINS:
        users.drop(f"cell_{role}")


MADE = {"building": ("mini_building", 51), "frozen": ("mini_frozen", 52), "published": ("dr6", 6)}
"""What is building or frozen is a mini-DR here, which has truth tables besides."""


@pytest.fixture(scope="module")
def places(hub):
    """Return a function from a kind to a database of that kind, made when it is first asked for."""
    made = {"hub": hub, "level1": "level1_a"}

    def place(kind):
        if kind not in made:
            made[kind] = MADE[kind][0]
            upgrade.create_release(*MADE[kind])
            if kind != "building":
                freeze.freeze(made[kind])
            if kind == "published":
                freeze.publish(made[kind])
        return made[kind]

    yield place
    for kind in made.keys() & MADE.keys():
        with closing(connect("postgres")) as session, session.cursor() as cursor:
            session.autocommit = True
            cursor.execute(f"DROP DATABASE {made[kind]} (FORCE)")
        with closing(connect(hub)) as session, session, session.cursor() as cursor:
            cursor.execute("DELETE FROM hub.science_database WHERE name = %s", [made[kind]])


@cache
def tables(database):
    """Return group → (qualified name, first column that may be updated) of its tables."""
    layout = databases.layout(database)
    logical = {real: name for name, real in layout.schemas().items()}
    found = {}
    for table in layout.tables().sorted_tables:
        free = next(column.name for column in table.columns if column.identity is None)
        group = rights.group_of(logical[table.schema], table.name)
        found.setdefault(group, []).append((f"{table.schema}.{table.name}", free))
    return found


def login(database, role):
    return psycopg2.connect(dsn(database, f"cell_{role}"), password=PASSWORD)


def outcome(cursor, statement):
    """Return whether a statement is refused for want of a right; other complaints come after that check."""
    cursor.execute("SAVEPOINT before")
    try:
        cursor.execute(statement)
    except InsufficientPrivilege:
        return "refused"
    except psycopg2.Error as error:
        assert error.pgcode[:2] == "23", error  # a constraint
    finally:
        cursor.execute("ROLLBACK TO before")
    return "allowed"


@pytest.mark.parametrize("kind", rights.KINDS)
@pytest.mark.parametrize("role", LOGINS)
def test_the_door(places, kind, role):
    """Whoever the table does not let in is refused at login."""
    database = places(kind)
    allowed = rights.effective(kind, "database", role)
    if "CONNECT" not in allowed:
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database|does not have CONNECT"):
            login(database, role)
        return
    with closing(login(database, role)) as session, session.cursor() as cursor:
        cursor.execute("BEGIN")
        temporary = outcome(cursor, "CREATE TEMPORARY TABLE mine (id bigint)")
        assert (temporary == "allowed") == ("TEMPORARY" in allowed)
        for schema in [*databases.layout(database).schemas().values(), "public"]:
            assert outcome(cursor, f"CREATE TABLE {schema}.mine (id bigint)") == "refused"
        assert outcome(cursor, "CREATE SCHEMA mine") == "refused"
        assert outcome(cursor, "SELECT lo_from_bytea(0, 'x')") == "refused"
        assert outcome(cursor, "SELECT pg_advisory_lock(1)") == "refused"


@pytest.mark.parametrize(("kind", "role", "group"), CELLS)
def test_each_cell(places, kind, role, group):
    database = places(kind)
    allowed = rights.effective(kind, group, role)
    with closing(login(database, role)) as session, session.cursor() as cursor:
        for table, column in tables(database).get(group, ()):  # a published release has no truth
            names = [right[8:-1] for right in allowed if right.startswith("UPDATE (")]
            for right, statement in STATEMENTS.items():
                found = outcome(cursor, statement.format(table=table, column=column))
                assert (table, right, found) == (table, right, "allowed" if right in allowed else "refused")
            for name in names:
                assert outcome(cursor, f"UPDATE {table} SET {name} = {name}") == "allowed"


def test_every_table_is_in_exactly_one_group_with_rights():
    for database, kind in (("hub", "hub"), ("level1_a", "level1"), *((n, k) for k, (n, _) in MADE.items())):
        assert set(tables(database)) <= set(rights.rules()["rights"][kind])


def test_the_documentation_is_made_from_the_rights():
    assert (databases.ROOT / "docs" / "roles.md").read_text() == rights.markdown()


@pytest.mark.parametrize("kind", rights.KINDS)
def test_policy(kind):
    """What the table must never say, whoever edits it."""
    for group in rights.rules()["rights"][kind]:
        harmless = {"SELECT", "CONNECT", "TEMPORARY"}
        writes = {role: set(rights.effective(kind, group, role)) - harmless for role in LOGINS}
        assert not writes["public"] | writes["scientist"] | writes["level3"] | writes["release_admin"]
        assert not writes["operator"] or group in ("jobs", "productions", "feedback", "waivers")
        assert not writes["worker"] or group not in ("catalogue", "metadata", "directory", "hub")
    if kind in ("building", "frozen"):
        assert not rights.effective(kind, "database", "scientist")
    if kind != "published":
        assert not rights.effective(kind, "database", "public")


def test_applying_again_changes_nothing_and_takes_back_what_is_not_listed(database):
    layout = databases.layout(database)
    with closing(connect(database)) as session, session.cursor() as cursor:
        rights.apply(session, layout)
        assert rights.apply(session, layout) == 0
        cursor.execute("SELECT hven.ensure_partitions(0, 8107, 8107)")
        cursor.execute("GRANT INSERT ON level1.object, level1.source_r00_2017_12 TO hven_worker")
        cursor.execute("GRANT UPDATE (ra) ON level1.object TO PUBLIC")
        cursor.execute("GRANT CREATE ON SCHEMA level1 TO hven_scientist")
        assert rights.apply(session, layout) == 4
        assert rights.apply(session, layout) == 0


OBJECT = "INSERT INTO level1.object (object_id, ra, dec, healpix29, mean_ra, mean_dec) VALUES (5, 10, 20, 1, 10, 20)"
SNAP = "INSERT INTO level1.dia_source_snap (dia_source_id, snap, exposure_id, midpoint_tai) VALUES (%s, 1, 1, 58107)"


def test_rows_are_reached_through_the_parent_alone(database):
    """A partition that a worker makes gives no right to anybody; the parent's rights reach into it."""
    with closing(connect(database)) as session, session:
        rights.apply(session, databases.layout(database))
    with closing(login(database, "worker")) as session, session, session.cursor() as cursor:
        cursor.execute("SELECT hven.ensure_partitions(0, 8107, 8107), hven.first_id_of_night(0, 8107)")
        made, own = cursor.fetchone()
        assert made == 5
        assert outcome(cursor, cursor.mogrify(SNAP, [own])) == "refused"
    with closing(login(database, "release_admin")) as session, session, session.cursor() as cursor:
        assert outcome(cursor, cursor.mogrify(SNAP, [own])) == "refused"
        cursor.execute("SET ROLE hven_owner")
        cursor.execute(SNAP, [own])
    for role in ("scientist", "level3", "worker", "operator", "release_admin"):
        with closing(login(database, role)) as session, session.cursor() as cursor:
            cursor.execute("SELECT snap FROM dia_source_snap")
            assert cursor.fetchall() == [(1,)]
            for statement in STATEMENTS.values():
                partition = statement.format(table="level1.dia_source_snap_r00_2017_12", column="snap")
                assert outcome(cursor, partition) == "refused"


def test_only_a_worker_fills_staging_by_copy(places):
    places("level1")
    for role in ("scientist", "operator", "release_admin"):
        with (
            closing(login("level1_a", role)) as session,
            session.cursor() as cursor,
            pytest.raises(InsufficientPrivilege),
        ):
            cursor.copy_expert("COPY staging.dia_source_snap FROM STDIN", StringIO())
    with closing(login("level1_a", "worker")) as session, session.cursor() as cursor:
        cursor.copy_expert("COPY staging.dia_source_snap FROM STDIN", StringIO())


@pytest.mark.parametrize("role", ["scientist", "level3", "public"])
def test_functions_that_write_are_refused(database, role):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(f"GRANT CONNECT ON DATABASE {database} TO cell_{role}")
    with closing(login(database, role)) as session, session.cursor() as cursor:
        assert outcome(cursor, "SELECT hven.ensure_partitions(0, 8107, 8107)") == "refused"
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(f"REVOKE CONNECT ON DATABASE {database} FROM cell_{role}")


@pytest.mark.parametrize("kind", ["frozen", "published"])
def test_a_frozen_release_is_changed_by_nobody_but_the_superuser(places, kind):
    database = places(kind)
    with closing(login(database, "release_admin")) as session, session.cursor() as cursor:
        with pytest.raises(InsufficientPrivilege):
            cursor.execute("SET ROLE hven_frozen")
        session.rollback()
        cursor.execute("SET ROLE hven_owner")
        for table, column in [*tables(database)["catalogue"], ("hven.alembic_version", "version_num")]:
            for right, statement in STATEMENTS.items():
                found = outcome(cursor, statement.format(table=table, column=column))
                assert (table, right, found) == (table, right, "allowed" if right == "SELECT" else "refused")
        function = "hven.fail(anyelement, text, text, text) RETURNS anyelement LANGUAGE sql"
        for statement in (f"DROP SCHEMA {database} CASCADE", "DROP SCHEMA hven CASCADE",
                          f"CREATE TABLE {database}.x ()", f"CREATE OR REPLACE FUNCTION {function} RETURN 0"):
            assert outcome(cursor, statement) == "refused"
        session.rollback()
        session.autocommit = True
        with pytest.raises(InsufficientPrivilege):
            cursor.execute(f"DROP DATABASE {database}")
    with closing(connect(database)) as session, session.cursor() as cursor:
        assert outcome(cursor, f"DELETE FROM {database}.object") == "allowed"


def test_a_frozen_release_thaws(places):
    database = places("frozen")
    freeze.thaw(database)
    with closing(login(database, "release_admin")) as session, session.cursor() as cursor:
        cursor.execute("SET ROLE hven_owner")
        assert outcome(cursor, f"DELETE FROM {database}.object") == "allowed"
        assert outcome(cursor, f"DELETE FROM {database}.source_00") == "allowed"
    with closing(connect(database)) as session:
        assert rights.apply(session, databases.layout(database)) == 0
    freeze.freeze(database)


@pytest.mark.parametrize("database", ["level1_a", "hub", "release_template"])
def test_only_releases_are_frozen(hub, database):
    with pytest.raises(ReleaseError, match=f"{database} is no release. Remedy|only releases are frozen"):
        freeze.freeze(database)


def test_a_mini_release_is_never_published(places):
    with pytest.raises(ReleaseError, match="mini_frozen is a mini-DR, only releases are published"):
        freeze.publish(places("frozen"))


def test_a_release_administrator_creates_databases_as_the_owner(places):
    places("hub")
    with closing(login("hub", "release_admin")) as session, session.cursor() as cursor:
        session.autocommit = True
        with pytest.raises(InsufficientPrivilege):
            cursor.execute("CREATE DATABASE dr5 TEMPLATE release_template")
        cursor.execute("SET ROLE hven_owner")
        cursor.execute("CREATE DATABASE dr5 TEMPLATE release_template")
        cursor.execute("DROP DATABASE dr5")


def test_an_operator_sees_and_ends_others_statements(places):
    places("level1")
    with (
        closing(login("level1_a", "scientist")) as victim,
        closing(login("level1_a", "operator")) as session,
        session.cursor() as cursor,
    ):
        victim.cursor().execute("SELECT 1 AS looked_at_sky")
        cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [victim.info.backend_pid])
        assert "looked_at_sky" in cursor.fetchone()[0]
        cursor.execute("SELECT pg_terminate_backend(%s)", [victim.info.backend_pid])
        with pytest.raises(psycopg2.OperationalError):
            victim.cursor().execute("SELECT 1")


def test_an_operator_acknowledges_feedback_and_retries_a_job(database):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        rights.apply(session, databases.layout(database))
        cursor.execute("INSERT INTO ocs_feedback (topic, message) VALUES ('seeing', '{}')")
    with closing(login(database, "worker")) as session, session, session.cursor() as cursor:
        production = queue.start_production(cursor, queue.Production("alert", "night", "0"))
        jobs = [queue.NewJob("x", "1"), queue.NewJob("x", "2", requires=["1"]), queue.NewJob("x", "3", max_attempts=1)]
        queue.enqueue(cursor, production, jobs)
        queue.finish(cursor, queue.claim(cursor, "me"))
        queue.give_back(cursor, queue.claim(cursor, "me"))
        queue.heartbeat(cursor, job := queue.claim(cursor, "me"))
        queue.fail(cursor, job, "why", final=True)
        queue.tend(cursor)
    with closing(login(database, "operator")) as session, session.cursor() as cursor:
        cursor.execute("UPDATE ocs_feedback SET acknowledged = now(), acknowledged_by = session_user")
        assert queue.retry(cursor, [job.job_id]) == [job.job_id]
        assert queue.cancel(cursor, [job.job_id]) == [job.job_id]
        cursor.execute("UPDATE queue.production SET state = 'paused'")
        assert set(queue.counts(cursor)) == {"done", "cancelled", "ready"}
        assert outcome(cursor, "UPDATE ocs_feedback SET message = '[]'") == "refused"
        assert outcome(cursor, "UPDATE queue.job SET result = '{}'") == "refused"
