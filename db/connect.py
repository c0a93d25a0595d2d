"""Connections: to the server that libpq's PG* variables name, else to the private cluster."""

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2
from psycopg2.extensions import connection, make_dsn

from db.cluster import Cluster
from db.errors import HvenError
from db.queries import queries
from db.settings import ADMINISTRATOR, uses_existing_server

if TYPE_CHECKING:
    from sqlalchemy import Engine


class ConnectionFailed(HvenError, psycopg2.OperationalError):
    """The server cannot be reached, or refuses; also an OperationalError, so that retry loops see it."""

    exit_status = 4


HUB = "hub"
POINTERS = ("level1", "current")
MAINTENANCE = "postgres"  # the database that every server has
LEVEL1_AT_FIRST = "level1_a"


def resolve(name: str, user: str | None = None) -> str:
    """Return the database that a name stands for.

    `level1` points to one of two, `current` to the release that users mean; the hub knows to which. Asked anew each
    time, as the pointers move. `level1_a` while there is no hub.
    """
    if name not in POINTERS:
        return name
    try:
        with closing(connect(HUB, user=user)) as session, session.cursor() as cursor:
            cursor.execute(queries("inventory")["points_to"], {"name": name})
            found = cursor.fetchone()
        if found is None and name == "current":
            raise ConnectionFailed("no release is current yet", "`hven release publish NAME`")
        return found[0] if found else LEVEL1_AT_FIRST
    except psycopg2.errors.UndefinedTable:
        return LEVEL1_AT_FIRST
    except ConnectionFailed as error:
        if f'database "{HUB}" does not exist' in error.problem:
            return LEVEL1_AT_FIRST
        raise


def dsn(database: str, user: str | None = None) -> str:
    """Return libpq's connection string for a database.

    Parameters
    ----------
    database : str
        Name of the database, or a pointer such as `level1`.
    user : str, optional
        Role; default the administrator on the private cluster, libpq's own default elsewhere.
    """
    names: dict[str, str | int] = {"dbname": resolve(database, user)}
    if not uses_existing_server():
        cluster = Cluster()
        names |= {"host": str(cluster.run), "port": cluster.port, "user": ADMINISTRATOR}
    if user:
        names["user"] = user
    return make_dsn(**names)


def connect(database: str, *, user: str | None = None) -> connection:
    """Return a psycopg2 connection.

    Raises
    ------
    ConnectionFailed
        The server does not run, or refuses.
    """
    from db import adapt  # numpy takes its time

    try:
        session = psycopg2.connect(dsn(database, user), application_name="hven")
    except psycopg2.OperationalError as error:
        said = str(error).splitlines()[0].rstrip(".")
        raise ConnectionFailed(f"cannot connect to database {database} ({said})", _remedy(said)) from error
    adapt.register(session)
    return session


def _remedy(said: str) -> str:
    if uses_existing_server():
        return "look at the server that the PG* variables name"
    if "No such file" in said or "refused" in said:
        return "`hven up`"
    return "`hven status` lists the databases, `hven upgrade` makes the hub and level1"


def engine(database: str, *, user: str | None = None, **options) -> "Engine":
    """Return a SQLAlchemy engine; its driver is psycopg2, whose adapters are ours."""
    import sqlalchemy

    return sqlalchemy.create_engine("postgresql+psycopg2://", creator=lambda: connect(database, user=user), **options)
