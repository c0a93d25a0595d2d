"""Bring databases to head: extensions, migrations, functions, comments, rights, in one transaction each."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain
from typing import Any

import psycopg2
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg2.extensions import AsIs
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.exc import DBAPIError

from db import databases, describe, metrics, release, rights, users
from db.bootstrap import PGSPHERE_LEAST
from db.connect import MAINTENANCE, connect, engine
from db.databases import HUB, LEVEL1, OWNER, ROOT, TEMPLATE
from db.errors import HvenError
from db.queries import queries
from db.settings import uses_existing_server
from migrations.script import execute
from udf import deploy

LOCK = 0x4876656E  # "Hven": one upgrade of a database at a time

Say = Callable[[str], None]


class UpgradeError(HvenError):
    """A database can't be brought to head."""

    exit_status = 9


@contextmanager
def _refused(database: str) -> Iterator[None]:
    """Say in one sentence what the server or a function file refused."""
    try:
        yield
    except (DBAPIError, psycopg2.Error, deploy.DeployError) as error:
        cause = getattr(error, "orig", error)
        if isinstance(cause, HvenError):  # it says already what to do
            raise cause from None
        said = str(cause).splitlines()[0].rstrip(".")
        raise UpgradeError(
            f"{database} could not be brought to head ({said}); it is as it was",
            "mend that, then `hven upgrade`",
        ) from error


def configuration(connection: Connection | None = None, database: str | None = None) -> Config:
    """Return Alembic's configuration, with an open connection to work on."""
    config = Config(ROOT / "alembic.ini", stdout=io.StringIO())
    config.attributes |= {} if connection is None else {"connection": connection, "database": database}
    return config


def head(branch: str) -> str:
    """Return the newest revision of a branch: science or hub."""
    return ScriptDirectory.from_config(configuration()).get_revision(f"{branch}@head").revision


def upgrade(database: str, revision: str = "head") -> None:
    """Bring one existing database to a revision (of its own branch), with its comments and functions.

    All of it is one transaction: an interruption leaves the database as it was.
    """
    layout = databases.layout(database)
    set_search_path(database)
    with _refused(database), engine(database, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        check_pgsphere(connection, database)
        _prepare(connection, database)
        connection.exec_driver_sql(f"SET LOCAL ROLE {OWNER}")
        command.upgrade(configuration(connection, database), f"{layout.branch}@{revision}")
        connection.exec_driver_sql("RESET ROLE")
        if revision == "head":
            session: Any = connection.connection.driver_connection  # psycopg2's own
            deploy.deploy(session, None if layout.kind == "hub" else layout.catalogue)
            connection.exec_driver_sql(f"SET LOCAL ROLE {OWNER}")
            describe.describe(connection, layout)
            if layout.kind != "hub":
                with session.cursor() as cursor:
                    metrics.load(cursor)
            connection.exec_driver_sql("RESET ROLE")
            rights.apply(session, layout)


def downgrade(database: str, revision: str = "base") -> None:
    """Take one database back to an earlier revision, functions first."""
    layout = databases.layout(database)
    with engine(database, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        execute(connection, queries("databases")["drop_functions"])
        connection.exec_driver_sql(f"SET LOCAL ROLE {OWNER}")
        command.downgrade(configuration(connection, database), f"{layout.branch}@{revision}")


def create(database: str) -> bool:
    """Create an empty database unless it exists; return whether it was created."""
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        session.autocommit = True  # CREATE DATABASE can't run in a transaction
        cursor.execute(queries("databases")["exists"], {"database": database})
        if cursor.rowcount:
            return False
        cursor.execute("CREATE DATABASE %s TEMPLATE template0", [AsIs(database)])
        return True


def upgrade_all(say: Say = lambda _: None) -> None:
    """Make the hub, level1 and the release template where they are missing, and bring all but the frozen to head."""
    for database in chain([HUB], _to_upgrade()):
        if create(database):
            say(f"{database}: created")
        with _open_to_us(database):
            upgrade(database)
        say(f"{database}: at {head(databases.layout(database).branch)}, functions in place")
    live = {"name": "level1", "database": LEVEL1[0], "kind": "level1", "release": 0, "state": "live"}
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("databases")["register"], live)
    users.refresh()
    if not uses_existing_server():  # which may have other tenants
        with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
            cursor.execute(f"REVOKE ALL ON DATABASE {MAINTENANCE}, template1 FROM PUBLIC")


def recreate(database: str) -> bool:
    """Make a database anew, empty and at head; return whether there was one, which is gone with all that it held."""
    existed = _drop(database)
    create(database)
    upgrade(database)
    return existed


def recreate_release(name: str, release_number: int) -> bool:
    """Make the empty database of a release anew, unknown to the hub; return whether there was one, which is gone."""
    existed = _drop(name)
    release.clone(name, release_number)
    upgrade(name)
    return existed


def _drop(database: str) -> bool:
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(queries("databases")["exists"], {"database": database})
        existed = cursor.rowcount > 0
        cursor.execute("DROP DATABASE IF EXISTS %s (FORCE)", [AsIs(database)])
    return existed


def create_release(name: str, release_number: int, fill: Callable[[], None] = lambda: None) -> None:
    """Make the Science Database of a release or mini-DR, ready to be built; goes on from wherever it was interrupted.

    `fill` puts in what it is made from; it may be called again after it was interrupted.
    """
    release.begin(name, release_number)
    upgrade(name)
    fill()
    release.set_state(name, "creating", "building")


def _to_upgrade() -> Iterator[str]:
    """Yield level1, the template and every release that is not frozen; asked for when the hub is up to date."""
    with closing(connect(HUB)) as session, session.cursor() as cursor:
        cursor.execute(queries("databases")["state"], {"name": "level1"})
        live = (cursor.fetchone() or (None, None, None, LEVEL1[0]))[3]
    yield live
    yield TEMPLATE
    with closing(connect(HUB)) as session, session.cursor() as cursor:
        cursor.execute(queries("databases")["by_state"], {"states": ["creating", "building", "validated", "live"]})
        known = [database for (database,) in cursor]
    yield from (database for database in known if database != live)


@contextmanager
def _open_to_us(database: str) -> Iterator[None]:
    """Let connections into the template while it is upgraded: nobody else may hold it open when it is cloned."""
    if database != TEMPLATE:
        yield
        return
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
        closed = f"ALTER DATABASE {database} ALLOW_CONNECTIONS false IS_TEMPLATE true"
        try:
            yield
        except BaseException:
            with suppress(psycopg2.Error):  # the server may be gone, and what went wrong matters more
                cursor.execute(closed)
            raise
        cursor.execute(closed)


def check_pgsphere(connection: Connection, database: str) -> None:
    """Refuse a pgSphere that is too old before its own installation fails with words that tell nobody why."""
    found = connection.execute(text(queries("databases")["pgsphere"])).scalar()
    if tuple(map(int, re.findall(r"\d+", found or ""))) < PGSPHERE_LEAST:
        least = ".".join(map(str, PGSPHERE_LEAST))
        raise UpgradeError(
            f"{database} has {f'pgSphere {found}' if found else 'no pgSphere'}, Hven needs {least} or later",
            f"install pgSphere {least} on the server, then ALTER EXTENSION pg_sphere UPDATE where an older one is",
        )


def _prepare(connection: Connection, database: str) -> None:
    """Put in place what only a superuser can: roles, extensions, our schema, the search path."""
    connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS plpython3u")
    connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_sphere SCHEMA public")
    execute(connection, (ROOT / "db" / "roles.sql").read_text())
    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS hven AUTHORIZATION {OWNER}")
    connection.exec_driver_sql(f"GRANT CREATE ON DATABASE {database} TO {OWNER}")


def set_search_path(database: str) -> None:
    """Let names in a database mean its catalogue, then our functions."""
    path = ", ".join(databases.search_path(database))
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {database} SET search_path = {path}")
