"""Filtered streams: each reads the full stream, by places, and keeps where it is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import RealDictCursor

from db.errors import HvenError
from db.queries import queries

PATIENCE = 5.0  # seconds that a predicate may take for one batch
BATCH = 20_000  # places that are filtered at once
USERS_FAULT = ("VN030", "57014", "42501", "53400")  # no expression, no end, no right, too much temporary space
DATA = "22"  # class of errors of the data that an expression meets, such as a division by zero


class StreamError(HvenError):
    """A stream is refused, or there is none of this name."""

    exit_status = 27


def register(connection: Connection, name: str, predicate: str, target: str | None = None) -> None:
    """Register a filtered stream, from now on.

    Raises
    ------
    StreamError
        The predicate is not one boolean expression; the name is taken or none; the target is not for the caller.
    """
    from pipelines.alerts.delivery import check_target

    if target is not None:
        check_target(target)
    try:
        with connection, connection.cursor() as cursor:
            _limit(cursor)
            values = {"name": name, "predicate": predicate, "target": target}
            cursor.execute(queries("alerts")["register"], values)
    except psycopg2.Error as error:
        said = (error.diag.message_primary or str(error)).splitlines()[0]
        remedy = error.diag.message_hint or "choose another name, of lower-case letters, digits and _"
        raise StreamError(f"alerts: stream {name} is refused: {said}", remedy.rstrip(".")) from None


def advance(connection: Connection, stream: Mapping) -> int:
    """Filter the next batch of the full stream into another; return how many places that took it further.

    A predicate that fails stops its stream at its place: it can be mended, and nothing is lost.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("alerts")["last_place"])
        last = cursor.fetchone()[0]
    upto = min(last, stream["cursor"] + BATCH)
    if upto <= stream["cursor"]:
        return 0
    step = {**stream, "after": stream["cursor"], "upto": upto}
    try:
        with _undone(connection) as cursor:
            _limit(cursor)
            cursor.execute(queries("alerts")["filter"], step)
            places = [place for (place,) in cursor]
    except psycopg2.Error as error:
        if not (error.pgcode in USERS_FAULT or (error.pgcode or "").startswith(DATA)):
            raise
        said = "it took too long" if error.pgcode == "57014" else str(error).splitlines()[0]
        with connection, connection.cursor() as cursor:
            cursor.execute(queries("alerts")["stop"], {"name": stream["name"], "error": said})
        return 0
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("alerts")["lock"], {"stream": stream["name"]})
        cursor.execute(queries("alerts")["advance"], step)
        if cursor.rowcount:
            cursor.execute(queries("alerts")["admit"], step | {"places": places})
    return upto - stream["cursor"]


def active(connection: Connection) -> list[Mapping]:
    """Return the streams that may go on."""
    with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(queries("alerts")["streams"])
        return cursor.fetchall()


@contextmanager
def _undone(connection: Connection) -> Iterator[Cursor]:
    """Yield a cursor in a transaction that reads only, and is rolled back whatever a predicate did to its settings."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            yield cursor
    finally:
        if not connection.closed:
            connection.rollback()


def _limit(cursor: Cursor) -> None:
    cursor.execute("SET LOCAL statement_timeout = %s", [f"{PATIENCE * 1000:.0f}ms"])
