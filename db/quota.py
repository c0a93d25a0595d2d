"""Quotas of Level 3: in each database with spaces, what writes into one that is full is stopped, again and again.

DDL is braked inside the database (`federation/level3.sql`); INSERT and COPY fire nothing that their owner could
not take away, so they are stopped from outside.
"""

from contextlib import closing
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import connection

from db.connect import MAINTENANCE, connect
from db.errors import HvenError
from db.queries import queries

PERIOD = 1.0  # seconds between looks: what a statement writes meanwhile is how far a quota can be passed


@dataclass(frozen=True)
class Swept:
    """A space that is full: bytes that it takes and may take, and how many statements or sessions were ended."""

    database: str
    login: str
    used: int
    quota: int
    stopped: int


def databases_with_spaces(session: connection) -> list[str]:
    """Return the databases in which some login has a schema of its own."""
    with session, session.cursor() as cursor:
        cursor.execute(queries("users")["databases_with_spaces"])
        return [name for (name,) in cursor]


def sweep(session: connection) -> list[Swept]:
    """Stop what writes into full spaces of one database, and clean up behind it.

    Parameters
    ----------
    session : connection
        Of a superuser, to that database.
    """
    session.autocommit = True  # VACUUM runs in no transaction
    with session.cursor() as cursor:
        cursor.execute("SELECT to_regclass('level3.space') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return []
        cursor.execute("SELECT * FROM level3.sweep()")
        found = cursor.fetchall()
        for relation in (one for *_, relations in found for one in relations):
            try:
                cursor.execute(f"VACUUM (TRUNCATE, SKIP_LOCKED) {relation}")
            except psycopg2.Error:  # dropped meanwhile, or busy: the next look comes soon
                continue
    return [Swept(session.info.dbname, *row[:4]) for row in found]


class Sweeper:
    """Connections to the databases with spaces, kept from look to look."""

    def __init__(self):
        self._sessions: dict[str, connection] = {}

    def look(self) -> list[Swept]:
        """Sweep all databases once; one that is gone or refuses is left for the next look."""
        found: list[Swept] = []
        with closing(connect(MAINTENANCE)) as session:
            wanted = databases_with_spaces(session)
        for name in self._sessions.keys() - set(wanted):
            self._sessions.pop(name).close()
        for name in wanted:
            try:
                if name not in self._sessions:
                    self._sessions[name] = connect(name)
                found += sweep(self._sessions[name])
            except (psycopg2.Error, HvenError):
                if name in self._sessions:
                    self._sessions.pop(name).close()
        return found

    def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()


def describe(swept: Swept) -> str:
    """Return one line for the log."""
    return (
        f"{swept.login} in {swept.database}: {swept.used} bytes, allowed are {swept.quota};"
        f" {swept.stopped} statements or sessions ended"
    )
