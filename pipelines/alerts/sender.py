"""The sender: archives what waits, filters it into streams, and sends these; each step commits for itself.

It may be killed at any moment and started again, also twice at once: places are given under a lock, and what is
being sent is held by a row lock. An Alert that was sent and not recorded as such is sent again; a broker knows it
by its bytes, which come from the archive and never change.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extras import RealDictCursor

from db.connect import connect
from db.errors import HvenError
from db.files import FileStore, FileStoreError
from db.queries import queries
from pipelines.alerts import streams, vtp
from pipelines.alerts.archive import archive_visit
from pipelines.alerts.delivery import deliver

log = logging.getLogger("hven.alerts")

POLL = 0.2  # seconds between looks
FIRST_DELAY = 1.0  # seconds until another attempt; doubled for each further one
LONGEST_DELAY = 60.0  # seconds
MOST_REFUSALS = 5  # of one Alert by its broker, after which it is dead
SETTLE = 10.0  # seconds that a broker's subscribers get to come back before it is sent more: VTP repeats nothing
TURN = 20  # Alerts of one stream before another has its turn


@dataclass
class Line:
    """What the sender knows of the way to one stream's receiver."""

    failures: int = 0
    not_before: float = 0.0
    is_down: bool = False


@dataclass
class Sender:
    """One database's sender."""

    database: str
    store: FileStore
    settle: float = SETTLE
    lines: dict[str, Line] = field(default_factory=dict)

    def run(self, *, until_idle: bool = False, stopped: Callable[[], bool] = lambda: False) -> None:
        """Work until stopped, or with `until_idle` until nothing can be done now; outlives restarts of the server."""
        connection: Connection | None = None
        while not stopped():
            try:
                if connection is None or connection.closed:
                    connection = connect(self.database)
                done = self.step(connection)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                if until_idle:
                    raise
                log.warning("%s", str(error).splitlines()[0])
                if connection is not None:
                    connection.close()
                done = 0
                time.sleep(FIRST_DELAY)
            if not done:
                if until_idle:
                    break
                time.sleep(POLL)
        if connection is not None:
            connection.close()

    def step(self, connection: Connection) -> int:
        """Do what can be done now, a turn of each; return how much it was."""
        done = self.archive(connection)
        for stream in streams.active(connection):
            done += streams.advance(connection, stream)
            if stream["target"]:
                done += self.send(connection, stream["name"], stream["target"])
        return done

    def archive(self, connection: Connection) -> int:
        """Archive the Alerts of the Visits that wait; what can't be archived waits for later with the reason."""
        with connection, connection.cursor() as cursor:
            cursor.execute(queries("alerts")["unarchived"])
            visits = [visit_id for visit_id, _ in cursor]
        done = 0
        for visit_id in visits:
            try:
                done += archive_visit(connection, self.store, visit_id)
            except (HvenError, OSError) as error:
                log.error("Visit %s: %s", visit_id, error)
                values = {"visit_id": visit_id, "error": str(error), "first": FIRST_DELAY, "longest": LONGEST_DELAY}
                with connection, connection.cursor() as cursor:
                    cursor.execute(queries("alerts")["postpone"], values)
        return done

    def send(self, connection: Connection, stream: str, target: str) -> int:
        """Send some Alerts of a stream; return how many were."""
        line = self.lines.setdefault(stream, Line())
        for done in range(TURN):
            if time.monotonic() < line.not_before or not self._send_next(connection, stream, target, line):
                return done
        return TURN

    def _send_next(self, connection: Connection, stream: str, target: str, line: Line) -> bool:
        with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(queries("alerts")["next"], {"stream": stream})
            row = cursor.fetchone()
            if row is None:
                return False
            if line.is_down and target.startswith("vtp:"):
                if not vtp.answers(target):
                    self._wait(line)
                    return False
                line.is_down = False
                line.not_before = time.monotonic() + self.settle
                return False
            try:
                packet = self.store.part(bytes(row["sha256"]), row["byte_offset"], row["byte_length"])
                deliver(target, packet, row["ivorn"], was_cut_off=vtp.CUT_OFF in (row["last_error"] or ""))
            except (FileStoreError, vtp.NotDelivered) as error:
                log.warning("stream %s: %s", stream, error)
                self._keep(cursor, row, error, line)
                return False
            line.failures = 0
            cursor.execute(queries("alerts")["sent"], row)
        return True

    def _keep(self, cursor, row: dict, error: HvenError, line: Line) -> None:
        """Record what an attempt met: a refusal or a lost packet is one Alert's, all else the way to the receiver."""
        is_refusal = isinstance(error, vtp.Refused | FileStoreError)
        delay = _delay(row["attempts"]) if is_refusal else 0
        values = {"outbox_id": row["outbox_id"], "error": str(error), "delay": delay,
                  "dead": is_refusal and row["attempts"] + 1 >= MOST_REFUSALS}
        cursor.execute(queries("alerts")["not_sent"], values)
        if not is_refusal:
            line.is_down = True
            self._wait(line)

    def _wait(self, line: Line) -> None:
        line.not_before = time.monotonic() + _delay(line.failures)
        line.failures += 1


def _delay(failures: int) -> float:
    return min(FIRST_DELAY * 2.0 ** min(failures, 20), LONGEST_DELAY)
