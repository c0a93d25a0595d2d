"""Lanes: queries of users that run through the job queue, quick or long, within limits that no SET undoes.

The limits are held from outside: a thread beside each query looks at the clock, at the memory of the server's
processes, and at the lease.
"""

import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection

from db import queue
from db.connect import connect
from db.processes import slow_down
from db.queue import Fenced, Job
from db.settings import hven_home, uses_existing_server
from federation.errors import Level3Error
from federation.exporting import export_query
from federation.sessions import as_user, queries

LOOK = 0.2  # seconds between looks at a query that runs
GRACE = 5.0  # seconds after a cancelled statement until its session is ended
BEAT = 20.0  # seconds between renewals of the lease
POLL = 0.5  # seconds between looks for work
NICE = 15  # of a lane's server processes
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Lane:
    """Limits of a lane: time [s], memory of the server's processes [bytes], rows of the result."""

    seconds: float
    memory: int
    rows: int


LANES = {"quick": Lane(60, 1 << 30, 1_000_000), "long": Lane(4 * 3600, 4 << 30, 100_000_000)}


@dataclass(frozen=True)
class Wanted:
    """A query as its user submitted it."""

    query_id: int
    login: str
    lane: str
    text: str
    into_table: str | None
    into_file: str | None
    row_limit: int
    state: str


def submit(
    session: connection, text: str, lane: str = "quick", into_table: str | None = None, into_file: str | None = None
) -> int:
    """Put a query of the session's user into a lane; return its number. The caller commits.

    Parameters
    ----------
    into_table : str, optional
        A new table of the user's.
    into_file : str, optional
        Ending of a file, such as .parquet, for `result_file`; default .csv without a table.
    """
    file = into_file or (None if into_table else ".csv")
    values = {"text": text, "lane": lane, "rows": LANES[lane].rows, "into_table": into_table, "into_file": file}
    with session.cursor() as cursor:
        cursor.execute(queries("lanes")["submit"], values)
        return cursor.fetchone()[0]


def result_file(database: str, login: str, query_id: int, ending: str) -> Path:
    """Return where a query's result lies."""
    return hven_home() / "level3" / "results" / login / f"{database}-{query_id}{ending}"


def serve_one(database: str, lanes: Sequence[str], limits: dict[str, Lane] | None = None) -> bool:
    """Run the next query of some lanes of a database; return whether there was one."""
    with closing(connect(database)) as session:
        with session, session.cursor() as cursor:
            job = queue.claim(cursor, f"{socket.gethostname()}:{os.getpid()}", [f"level3_{lane}" for lane in lanes])
            if job is None:
                queue.tend(cursor)
        if job is None:
            return False
        wanted = _wanted(session, job)
        error = None
        if wanted.state in ("queued", "running"):
            error = _run(database, session, job, wanted, (limits or LANES)[wanted.lane])
        try:
            with session, session.cursor() as cursor:
                if error:
                    cursor.execute(queries("lanes")["failed"], {"query_id": wanted.query_id, "error": error})
                queue.finish(cursor, job, {"error": error} if error else None)
        except Fenced:
            session.rollback()  # cancelled by its user
    return True


def _wanted(session: connection, job: Job) -> Wanted:
    with session, session.cursor() as cursor:
        cursor.execute(queries("lanes")["wanted"], {"query_id": job.parameters["query_id"]})
        return Wanted(job.parameters["query_id"], *cursor.fetchone())


def _run(database: str, session: connection, job: Job, wanted: Wanted, lane: Lane) -> str | None:
    """Run a query as its user; return why it came to nothing, or None."""
    said: list[str] = []
    try:
        with as_user(database, wanted.login) as own, _guard(session, job, own.info.backend_pid, lane, said):
            with session, session.cursor() as cursor:
                cursor.execute(queries("lanes")["begin"], {"query_id": wanted.query_id, "pid": own.info.backend_pid})
                if not cursor.rowcount:
                    return None
            _keep(database, own, wanted, lane)
    except Level3Error as error:
        return said[0] if said else str(error)
    except psycopg2.Error as error:
        return said[0] if said else (error.diag.message_primary or str(error).strip())
    return said[0] if said else None


def _keep(database: str, own: connection, wanted: Wanted, lane: Lane) -> None:
    """Make the table, or the file, of a query's rows."""
    limit = min(wanted.row_limit, lane.rows)
    target = sql.Identifier(wanted.into_table or "hven_result")
    kind = sql.SQL("") if wanted.into_table else sql.SQL("TEMPORARY")
    with own.cursor() as cursor:
        cursor.execute("SELECT level3.use_names()")
        cursor.execute("SELECT level3.only_query(%s)", [wanted.text])
        text = sql.SQL(wanted.text.strip().rstrip(";"))
        make = sql.SQL("CREATE {} TABLE {} AS SELECT * FROM (\n{}\n) AS q LIMIT {}")
        cursor.execute(make.format(kind, target, text, sql.Literal(limit + 1)).as_string(own))
        if cursor.rowcount > limit:
            raise Level3Error(
                f"level3: the query returns more than {limit} rows", "ask for fewer, or use the long lane"
            )
        rows = cursor.rowcount
        if wanted.into_file:
            file = result_file(database, wanted.login, wanted.query_id, wanted.into_file)
            file.parent.mkdir(parents=True, exist_ok=True)
            export_query(own, f"SELECT * FROM {target.as_string(own)}", file)
        cursor.execute("SELECT level3.finish_query(%s, %s)", [wanted.query_id, rows])
        if not cursor.fetchone()[0]:
            raise Level3Error("level3: the query was cancelled", "nothing")


@contextmanager
def _guard(session: connection, job: Job, pid: int, lane: Lane, said: list[str]):
    """End a statement, then its session, when it is over a limit; `said` tells which."""
    ended = threading.Event()

    def watch() -> None:
        began = beat = time.monotonic()
        cancelled = None
        with closing(connect(session.info.dbname)) as own:
            own.autocommit = True
            with own.cursor() as cursor:
                while not ended.wait(LOOK):
                    now = time.monotonic()
                    cursor.execute(queries("lanes")["processes"], {"pid": pid})
                    processes = [one for (one,) in cursor]
                    for one in processes:
                        slow_down(one, NICE)
                    # A cancel that comes between two statements of the session ends neither.
                    cursor.execute(queries("lanes")["cancel_again"], {"query_id": job.parameters["query_id"]})
                    if cancelled is None and (over := _over(now - began, sum(map(_memory, processes)), lane)):
                        said.append(over)
                        cancelled = now
                        cursor.execute(queries("lanes")["cancel_backend"], {"pid": pid})
                    elif cancelled is not None and now - cancelled > GRACE:
                        cursor.execute(queries("lanes")["end_backend"], {"pid": pid})
                    if now - beat > BEAT:
                        beat = now
                        try:
                            queue.heartbeat(cursor, job)
                        except Fenced:
                            said.append("level3: the query was cancelled, or passed to another server of lanes")
                            cursor.execute(queries("lanes")["end_backend"], {"pid": pid})

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _over(seconds: float, memory: int, lane: Lane) -> str | None:
    if seconds > lane.seconds:
        return f"level3: the query took more than {lane.seconds:g} s. Remedy: ask for less, or use the long lane."
    if memory > lane.memory:
        return f"level3: the query took more than {lane.memory >> 20} MB of memory. Remedy: ask for less at a time."
    return None


def _memory(pid: int) -> int:
    """Bytes of a local server process that are its own; 0 where it can't be seen."""
    if uses_existing_server():
        return 0
    try:
        _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    except OSError:
        return 0
    return (resident - shared) * PAGE


def serve(databases: Sequence[str], threads: dict[str, int], stop: threading.Event, until_idle: bool = False) -> None:
    """Serve lanes until told to stop, or until they are empty.

    Parameters
    ----------
    threads : dict of str to int
        Lane → how many queries of it run side by side.
    """

    def work(lane: str) -> None:
        while not stop.is_set():
            if sum(serve_one(database, [lane]) for database in databases) == 0:
                if until_idle:
                    return
                stop.wait(POLL)

    workers = [threading.Thread(target=work, args=[lane]) for lane, count in threads.items() for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
