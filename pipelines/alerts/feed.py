"""A stream over HTTP: packets after a place, as lines of JSON, each with the place to go on from."""

import json
import time
from collections.abc import Mapping

from psycopg2.extensions import connection as Connection

from db.files import FileStore
from db.queries import queries
from pipelines.alerts.archive import NoSuchAlert

MOST = 1_000  # packets of an answer
LONGEST_WAIT = 30.0  # seconds
POLL = 0.1  # seconds between looks while an answer waits


def feed(session: Connection, store: FileStore, stream: str, values: Mapping[str, str]) -> bytes:
    """Return what a stream holds after a place: one line ``{"place": …, "ivorn": …, "voevent": …}`` an Alert.

    Parameters
    ----------
    session : Connection
        Of the role that asks; may write if it names a consumer.
    values : mapping of str to str
        after : place of the last Alert that the caller has (0). limit : at most so many (`MOST`).
        wait : seconds to wait for an Alert if there is none yet (0).
        consumer : a name under which the place is kept: `after` acknowledges, and may be left out.

    Raises
    ------
    ValueError
        A value is no number.
    NoSuchAlert
        There is no such stream.
    """
    after = int(values["after"]) if "after" in values else None
    limit = min(int(values.get("limit", MOST)), MOST)
    deadline = time.monotonic() + min(float(values.get("wait", 0)), LONGEST_WAIT)
    with session, session.cursor() as cursor:
        cursor.execute(queries("alerts")["stream_exists"], {"stream": stream})
        if not cursor.fetchone()[0]:
            raise NoSuchAlert(f"alerts: there is no stream {stream}", "`hven alerts filter list` names them")
        if "consumer" in values:
            step = {"consumer": values["consumer"], "stream": stream, "place": after}
            cursor.execute(queries("alerts")["acknowledge"], step)
            after = cursor.fetchone()[0]
    wanted = {"stream": stream, "after": after or 0, "limit": limit}
    while not (rows := _rows(session, wanted)) and time.monotonic() < deadline:
        time.sleep(POLL)
    return b"".join(_line(store, *row) for row in rows)


def _rows(session: Connection, wanted: Mapping) -> list[tuple]:
    with session, session.cursor() as cursor:
        cursor.execute(queries("alerts")["read"], wanted)
        return cursor.fetchall()


def _line(store: FileStore, place: int, ivorn: str, offset: int, length: int, sha256: memoryview) -> bytes:
    packet = store.part(bytes(sha256), offset, length).decode()
    return json.dumps({"place": place, "ivorn": ivorn, "voevent": packet}, ensure_ascii=False).encode() + b"\n"
