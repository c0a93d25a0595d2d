"""A live night: frames are taken in as they come, workers process them, and in the end the night is closed."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import connection as Connection

from db import queue
from db.connect import connect
from db.errors import HvenError
from db.files import FileStore
from db.queries import queries
from db.queue import NewJob
from db.site import read_order
from pipelines import sdqa
from pipelines.alerts.sender import Sender
from pipelines.instruments import Instrument, instrument
from pipelines.pool import PoolParams, running
from pipelines.productions.alert import second_pass
from pipelines.productions.follow import follow
from pipelines.productions.ingest import Complete, ingest, visit_jobs
from pipelines.real_night import ENDINGS
from pipelines.report.nightly import nightly_report
from pipelines.worker import work

PERIOD = 0.2  # seconds between two looks at a folder
TEND = 5.0  # seconds between two looks for Visits whose frames don't come
OVERDUE = 120.0  # seconds after its shutter closed that a Visit may lack frames
SWEPT = ("object", "object_flux", "object_moved", "force_list", "outbox", "visit", "staging.dia_source",
         "staging.dia_source_snap", "staging.forced_dia_source", "queue.job")
"""Tables that a night updates or empties."""
MEASURED = ("source", "dia_source", "dia_source_snap", "forced_source", "forced_dia_source")


class NoNight(HvenError):
    """There is no production to take frames in for."""

    exit_status = 7


class NotClosed(HvenError):
    """Jobs of the night are still to be done."""

    exit_status = 7


@dataclass(frozen=True)
class Night:
    """A production that is under way: its number, its camera and where its files lie."""

    database: str
    production_id: int
    camera: Instrument
    store: FileStore


@dataclass(frozen=True)
class Frame:
    """A file that was taken in, with its Visit; or that could not be, with the reason."""

    path: Path
    visit_id: int | None = None
    reason: str = ""


def find_night(database: str, store: FileStore, name: str = "night", camera: str | None = None) -> Night:
    """Return the running production of a name; its camera is the production's own unless another is named.

    Raises
    ------
    NoNight
    """
    with closing(connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(queries("live")["production"], {"name": name})
        found = cursor.fetchone()
    if found is None:
        raise NoNight(f"night: {database} has no running production {name!r}", "begin one: hven night prepare")
    production_id, parameters = found
    return Night(database, production_id, instrument(camera or parameters["instrument"]), store)


def arrivals(folder: Path, seen: set[tuple]) -> list[Path]:
    """Return the frames of a folder that are not in `seen`, oldest first, and add them to it.

    Names that begin with a dot or end otherwise than FITS files do are still being written. A file that changes
    comes again; not so one that lies in a file store too, which sets the time of whatever it is given once more.
    """
    found = []
    for entry in os.scandir(folder):
        if entry.name.startswith(".") or not entry.name.lower().endswith(ENDINGS):
            continue
        status = entry.stat()
        is_linked = entry.is_symlink() or status.st_nlink > 1
        key = (entry.name, status.st_size, 0 if is_linked else status.st_mtime_ns)
        if key not in seen:
            seen.add(key)
            found.append((status.st_mtime_ns, entry.name))
    return [folder / name for _, name in sorted(found)]


def take_in(
    night: Night, folder: Path, *, watch: Callable[[], bool] = lambda: False,
    jobs: Callable[[Complete], list[NewJob]] = visit_jobs, order: Path | None = None,
) -> Iterator[Frame]:
    """Take in the frames of a folder, then those that come while `watch` says so; yield each.

    A frame that can't be read is told, and the night goes on. With `order`, the file that another site sends, Visits
    get their jobs in that order, as far as it goes.
    """
    seen: set[tuple] = set()
    jobs = jobs if order is None else _none
    with closing(connect(night.database)) as connection:
        tended, followed = time.monotonic(), -TEND
        while True:
            new = arrivals(folder, seen)
            for path in new:
                yield _take_in(connection, night, path, jobs)
            if order is not None and (new or time.monotonic() - followed > TEND) and (order.exists() or not watch()):
                followed = time.monotonic()
                follow(connection, night.production_id, read_order(order))
            if not new and not watch():
                return
            if time.monotonic() - tended > TEND:
                tended = time.monotonic()
                _run(connection, "overdue", patience=OVERDUE, night=None)
            if not new:
                time.sleep(PERIOD)


def _none(_: Complete) -> list[NewJob]:
    return []


def _take_in(connection: Connection, night: Night, path: Path, jobs: Callable) -> Frame:
    try:
        return Frame(path, ingest(connection, night.store, path, night.camera, night.production_id, jobs=jobs))
    except (HvenError, FileNotFoundError) as error:
        connection.rollback()
        with connection, connection.cursor() as cursor:
            sdqa.tell_failure(cursor, None, path.name, str(error))
        return Frame(path, reason=str(error))


@contextmanager
def sending(night: Night) -> Iterator[None]:
    """Archive and send the Alerts of a night meanwhile, and what can be sent at the end."""
    over, sender = threading.Event(), Sender(night.database, night.store)
    thread = threading.Thread(target=sender.run, kwargs={"stopped": over.is_set})
    thread.start()
    try:
        yield
        over.set()
        thread.join()
        sender.run(until_idle=True)
    finally:
        over.set()
        thread.join()


def run(
    night: Night, workers: int, *, stay: Callable[[], bool] = lambda: False, kinds: str = "pipelines.worker:KINDS"
) -> int:
    """Keep workers at the night's jobs until none is left, and as long as `stay` says so; return how many are dead.

    `kinds` is the table of job kinds, as `module:attribute`.
    """
    params = PoolParams({night.database: 1.0}, night.store.root, workers, kinds)
    with closing(connect(night.database)) as connection, running(params) as pool:
        connection.autocommit = True
        while pool.is_alive() and (_left(connection, night) or stay()):
            pool.join(1.0)
        with connection.cursor() as cursor:
            return queue.counts(cursor, night.production_id).get("dead", 0)


def _left(connection: Connection, night: Night) -> int:
    with connection.cursor() as cursor:
        queue.tend(cursor)
        cursor.execute(queries("live")["left_to_do"], {"production_id": night.production_id})
        return cursor.fetchone()[0]


def close(night: Night, number: int, report: Path) -> Iterator[str]:
    """Close a night: what is late is associated, doubles are merged, tables swept, the report written; tell each.

    Parameters
    ----------
    number : int
        MJD of local noon − 50000.
    report : Path
        The file to write.

    Raises
    ------
    NotClosed
        Jobs are still to be done.
    """
    with closing(connect(night.database)) as connection:
        yield from tidy(connection, night, number)
        yield f"references: {_dangling(_run(connection, 'dangling', night=number))}"
        late = _run(connection, "late_telemetry", night=number)
        yield f"telemetry: {_telemetry(late)}"
        report.write_text(nightly_report(connection, number, f"{night.database}, night {number}"))
        yield f"report: {report}"


def tidy(connection: Connection, night: Night, number: int) -> Iterator[str]:
    """Do of closing a night what concerns its rows; tell each."""
    yield from _settle(connection, night, number)
    begin = _run(connection, "begin_of_night", night=number)[0][0]
    merged = _run(connection, "deduplicate", since_tai=begin)[0][0]
    yield f"{merged['merged']} of {merged['suspects']} new Objects merged with their doubles"
    yield f"{len(_run(connection, 'reindex_moved'))} Objects indexed where they are now"
    yield f"{len(_run(connection, 'close_visits', night=number))} Visits closed"
    yield from merge_years(connection, number)
    _sweep(connection, SWEPT)
    yield f"{len(SWEPT)} tables swept"


def merge_years(connection: Connection, number: int) -> Iterator[str]:
    """Merge the monthly partitions of the years before a night's, each year in a transaction of its own; tell each.

    Writers wait meanwhile. A year needs as much free disk as it takes.
    """
    over = _run(connection, "years_over", night=number)
    for release, year in over:
        rows = _run(connection, "merge_year", release=release, year=year)[0][0]
        yield f"{rows} rows of {year} merged into one partition a table"
    if over:  # light curves are read from the index alone, once vacuum has marked the pages
        _sweep(connection, MEASURED)


def _settle(connection: Connection, night: Night, number: int) -> Iterator[str]:
    """Bring every Visit of the night to an end: associated, or failed with a condition."""
    values = {"night": number, "production_id": night.production_id, "patience": 0.0}
    for query, told in (("overdue", "Visits lack frames"), ("blame_detectors", "raw exposures of detectors that died")):
        yield f"{len(_run(connection, query, **values))} {told}"
    _run(connection, "stop_waiting", **values)
    late = [visit_id for (visit_id,) in _run(connection, "left_over", **values)]
    with connection, connection.cursor() as cursor:
        queue.enqueue(cursor, night.production_id, [second_pass(visit_id, "close") for visit_id in late])
    work({night.database: 1.0}, night.store, until_idle=True)
    if left := _left(connection, night):
        connection.rollback()
        raise NotClosed(f"night: {left} jobs of night {number} are still to be done", "hven night run, then close")
    yield f"{len(late)} Visits associated once more with what was late"
    yield f"{len(_run(connection, 'give_up', **values))} Visits could not be associated"


def _run(connection: Connection, query: str, **values) -> list[tuple]:
    """Run a statement in a transaction of its own; return its rows."""
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("live")[query], values)
        return cursor.fetchall()


def _sweep(connection: Connection, tables: tuple[str, ...]) -> None:
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"VACUUM (ANALYZE) {table}")
    finally:
        connection.autocommit = False


def _dangling(missing: list[tuple]) -> str:
    if not missing:
        return "every measurement has its parents"
    named = ", ".join(f"{reference} of {count} rows, such as {parent}" for reference, count, parent in missing)
    return f"parents are missing ({named}); `hven.check_references` names the rows"


def _telemetry(late: list[tuple]) -> str:
    if not late:
        return "complete to the end of the night"
    named = ", ".join(f"{name} to MJD {reach:.4f}" if reach else f"{name} not at all" for name, reach in late)
    return f"not complete ({named}); `hven efd sync` copies the rest"
