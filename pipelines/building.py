"""Build a Data Release: plan it, fill its database with what was observed, keep workers at it until it is done."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg2
from psycopg2.extras import RealDictCursor

from db import build, queue
from db.connect import connect
from db.files import FileStore
from db.queries import queries
from db.queue import Production
from db.release import ReleaseError
from db.software import software
from pipelines.pool import PoolParams, run_pool
from pipelines.productions import synthesis
from pipelines.productions.release import first_jobs, params_of
from pipelines.worker import Stop

PERIOD = 1.0  # seconds between two looks at the progress


@dataclass(frozen=True)
class Phase:
    """How far the jobs of one kind are; `seconds` is what each takes on average."""

    kind: str
    jobs: int
    done: int
    seconds: float


Progress = Callable[[list[Phase], float | None], None]
"""Told the phases, and the seconds that the jobs known so far will take; None before any is done."""


def plan(name: str, cutoff_tai: float, given: Mapping) -> int:
    """Write down what a release is to be made from; return its number.

    A mini-DR may have an `area` (ra, dec, radius_deg), begin at `from_tai`, and `inject` synthetic objects.

    Raises
    ------
    ReleaseError, ParamsError, UnknownInstrument
    """
    number = build.number_of(name)
    build.plan(name, number, asdict(params_of(number, cutoff_tai, given)))
    return number


def fill(name: str, store: FileStore) -> None:
    """Put what was observed until the cutoff and the first jobs into an empty release, all of it or nothing."""
    parameters = build.planned(name)
    with closing(connect(name)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("build")["production"])
        if cursor.fetchone():
            return
        build.gather(session, parameters)
        for table in build.BULK:
            cursor.execute(queries("build")["drop_indexes"], {"table": table})
        wanted = build.places(session)
        if parameters.get("inject"):
            with closing(connect(build.LIVE)) as live:
                synthesis.fill(live, session, parameters, [place.midpoint_tai for place in wanted])
        masters = build.best_masters(parameters["instrument"], wanted)
        build.check_files(session, store, {sha for kinds in masters for sha in kinds.values()})
        production = Production("release", name, **vars(software()), parameters=parameters)
        queue.enqueue(cursor, queue.start_production(cursor, production), first_jobs(wanted, masters))


def run(name: str, store: Path, workers: int, progress: Progress = lambda *_: None) -> dict[str, int]:
    """Keep workers at a release until all its jobs are done; return how many rows it has of what.

    Raises
    ------
    ReleaseError
        Jobs gave up; it names the first of them and their reasons.
    """
    with closing(connect(name)) as session, session.cursor() as cursor:
        cursor.execute(queries("build")["production"])
        production = cursor.fetchone()[0]
    with _workers(name, store, workers) as pool:
        while pool.is_alive():
            try:
                with closing(connect(name)) as session:
                    if _look(session, production, workers, progress):
                        break
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                pass  # the server may be restarting; the pool goes on asking too
            pool.join(PERIOD)
    return _result(name, production)


def _look(session, production: int, workers: int, progress: Progress) -> bool:
    """Report how far a production is; return whether no job of it can go on."""
    session.autocommit = True
    with session.cursor() as cursor:
        queue.tend(cursor)
        counts = queue.counts(cursor, production)
        cursor.execute(queries("build")["progress"], {"production_id": production})
        phases = [Phase(*row) for row in cursor]
    known = [phase for phase in phases if phase.done]
    left = sum((phase.jobs - phase.done) * phase.seconds for phase in known) / workers if known else None
    progress(phases, left)
    busy = counts.get("ready", 0) + counts.get("running", 0)
    return not busy and not (counts.get("waiting", 0) and not counts.get("dead", 0))


def _result(name: str, production: int) -> dict[str, int]:
    with closing(connect(name)) as session, session.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(queries("build")["dead"], {"production_id": production})
        dead = cursor.fetchall()
        if dead:
            shown = "; ".join(f"job {row['job_id']} ({row['key']}): {row['reason']}" for row in dead)
            raise ReleaseError(
                f"release: {name} is not complete: {shown}",
                f"mend what the reasons say, `hven jobs retry ID -d {name}`, then `hven release run {name}` again",
            )
        cursor.execute(queries("build")["count"])
        return dict(cursor.fetchone())


@contextmanager
def _workers(name: str, store: Path, workers: int) -> Iterator[threading.Thread]:
    stop = Stop()
    pool = threading.Thread(target=run_pool, args=(PoolParams({name: 1.0}, store, workers), stop), name="workers")
    pool.start()
    try:
        yield pool
    finally:
        stop()
        pool.join()


def eta(seconds: float | None) -> str:
    """Return a time left as people say it."""
    return "?" if seconds is None else time.strftime("%H:%M:%S", time.gmtime(seconds))
