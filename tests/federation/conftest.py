"""A published release with two users' spaces."""

from contextlib import closing

import psycopg2
import pytest

from db import freeze, release, users
from db.connect import connect, dsn
from federation import spaces
from federation.spaces import Terms
from migrations import upgrade

PASSWORD = "Stjerneborg 1584"
RELEASE = "dr41"
MB = 1 << 20
USERS = ("alice", "bob")


@pytest.fixture(scope="session")
def published(hub):
    """The name of an empty published release, and Level 3 users alice and bob, a scientist and one of the public."""
    upgrade.create_release(RELEASE, 41)
    freeze.freeze(RELEASE)
    freeze.publish(RELEASE)
    release.set_state(RELEASE, "building", "published")
    for name in USERS:
        users.add(name, "level3", PASSWORD)
    users.add("carol", "scientist", PASSWORD)
    users.add("dave", "public", PASSWORD)
    yield RELEASE
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(f"DROP DATABASE {RELEASE} (FORCE)")
        cursor.execute("DROP ROLE IF EXISTS hven_job_alice, hven_job_bob")
    with closing(connect(hub)) as session, session, session.cursor() as cursor:
        cursor.execute("DELETE FROM hub.science_database WHERE name = %s", [RELEASE])
    for name in (*USERS, "carol", "dave"):
        users.drop(name)


@pytest.fixture(name="release")
def release_with_spaces(published):
    """The release, with empty spaces of 20 MB."""
    for name in USERS:
        spaces.open_space(name, published, Terms(20 * MB))
    yield published
    with closing(connect(published)) as session, session, session.cursor() as cursor:
        for name in USERS:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [name])
            cursor.execute(f"DROP SCHEMA IF EXISTS user_{name} CASCADE")
            cursor.execute("DELETE FROM level3.space WHERE login = %s", [name])


def login(name, database=RELEASE):
    """Log in with the user's own password."""
    return psycopg2.connect(dsn(database, name), password=PASSWORD, options="-c statement_timeout=20s")


def outcome(session, statement, values=None):
    """Return the rows that a statement returns, or the SQLSTATE that refuses it; nothing of it stays."""
    with session.cursor() as cursor:
        try:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else cursor.rowcount
        except psycopg2.Error as error:
            return error.pgcode
        finally:
            session.rollback()
