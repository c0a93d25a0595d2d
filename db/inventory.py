"""What databases there are, under which names users know them, and how to reach them by libpq's services."""

from contextlib import closing
from dataclasses import dataclass

from db import settings
from db.cluster import Cluster, status
from db.connect import HUB, MAINTENANCE, connect
from db.queries import queries

SERVICES = "pg_service.conf"
ANY_ADDRESS = {"*", "0.0.0.0", "::"}


@dataclass(frozen=True)
class Database:
    """A database of ours.

    Parameters
    ----------
    database : str
        Its name in PostgreSQL.
    name : str or None
        The name that users know, such as `level1`; None for the hub, the template and the spare level1.
    state : str or None
        Where it stands in its life, by the hub; `template` for the template.
    revision : str or None
        Of its schema; None if there is none, or if it lets nobody in.
    is_current : bool
        Whether it is the release that users mean by `current`.
    """

    database: str
    name: str | None
    state: str | None
    revision: str | None
    is_current: bool = False


def databases() -> list[Database]:
    """Return what the server has of ours.

    Raises
    ------
    ConnectionFailed
        There is no server.
    """
    open_to_us = dict(_rows(MAINTENANCE, "databases"))
    known = {}
    if open_to_us.get(HUB) and _is_made(HUB, "hub.science_database"):
        known = {database: facts for database, *facts in _rows(HUB, "known")}
    return [
        _database(database, *known.get(database, (None, None, False)))
        if is_open
        else Database(database, None, "template", None)
        for database, is_open in open_to_us.items()
    ]


def _database(database: str, name: str | None, state: str | None, is_current: bool) -> Database:
    return Database(database, name, state, _revision(database), is_current)


def write_services() -> None:
    """Write libpq's service file: a section for each database, and for each name that points to one.

    Left alone where PG* variables name an existing server: they say already how it is reached.
    """
    if settings.uses_existing_server():
        return
    state = status(Cluster())
    if state.listen:
        host = "localhost" if state.listen in ANY_ADDRESS else state.listen
        way = {"host": host, "port": state.port, "sslmode": "require"}
    else:
        way = {"host": state.socket, "port": state.port, "user": settings.ADMINISTRATOR}
    sections = {}
    for known in databases():
        sections[known.database] = known.database
        if known.name:
            sections[known.name] = known.database
        if known.is_current:
            sections["current"] = known.database
    lines = ["# Made anew by `hven up` and `hven upgrade`; export PGSERVICEFILE to use it.\n"]
    for name, database in sorted(sections.items()):
        lines += [f"\n[{name}]\ndbname={database}\n", *(f"{key}={value}\n" for key, value in way.items())]
    path = settings.hven_home() / SERVICES
    unfinished = path.with_suffix(".new")
    unfinished.write_text("".join(lines))
    unfinished.replace(path)


def _revision(database: str) -> str | None:
    if not _is_made(database, "hven.alembic_version"):
        return None
    return next((revision for (revision,) in _rows(database, "revision")), None)


def _is_made(database: str, table: str) -> bool:
    return _rows(database, "is_made", {"table": table})[0][0]


def _rows(database: str, query: str, values: dict | None = None) -> list[tuple]:
    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute(queries("inventory")[query], values)
        return cursor.fetchall()
