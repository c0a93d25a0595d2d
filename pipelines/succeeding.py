"""Hand over from a Data Release to the night: fill the other live database, replay what came since, switch the name."""

from collections.abc import Callable
from contextlib import closing
from itertools import groupby

from db import queue, succession
from db.connect import connect
from db.files import FileStore
from db.queries import queries
from db.queue import NewJob
from db.release import ReleaseError
from db.succession import Succession
from pipelines import live_night
from pipelines.live_night import Night
from pipelines.productions.ingest import Complete, complete, visit_jobs

Say = Callable[[str], None]
Jobs = Callable[[Complete], list[NewJob]]


def hand_over(
    release: str, store: FileStore, workers: int, make: Callable[[str], object], say: Say = lambda _: None, *,
    production: str = "night", jobs: Jobs = visit_jobs, kinds: str = "pipelines.worker:KINDS",
) -> Succession:
    """Let a published release be what the live database continues; goes on from wherever it was interrupted.

    Parameters
    ----------
    make : function
        Makes a database of a name anew, empty and at head.
    production : str
        The production of the live database whose nights after the cutoff are replayed.
    jobs, kinds
        A Visit's jobs, and the table of job kinds as `module:attribute`.

    Raises
    ------
    ReleaseError
        It is not published, or the live database continues it already.
    MidNight
        All is ready, but a night is not closed.
    """
    begun = succession.begin(release)
    if begun.is_empty:
        make(begun.new)
        rows = succession.fill(begun)
        say(f"{begun.new}: {rows['object']} Objects, {rows['dia_source']} DiaSources, {rows['alert']} Alerts")
    while True:
        succession.catch_up(begun)
        say(f"{begun.new}: {replay(begun, store, workers, production, jobs, kinds)} Visits replayed, nothing sent")
        found = succession.keep_names(begun)
        say(f"{begun.new}: {found['matched']} Objects known by old ids, {found['unknown']} of Alerts are unknown")
        if succession.switch(begun):
            return begun
        say(f"{begun.old}: more has come meanwhile")


def replay(
    begun: Succession, store: FileStore, workers: int, production: str, jobs: Jobs, kinds: str
) -> int:
    """Process the Visits after the cutoff anew, in their order, without sending; return how many there were.

    Raises
    ------
    ReleaseError
        Jobs gave up.
    """
    with closing(connect(begun.new)) as session:
        with session, session.cursor() as cursor:
            cursor.execute(queries("handover")["to_replay"])
            visits = cursor.fetchall()
        if not visits:
            return 0
        night = live_night.find_night(begun.new, store, succession.replay_of(production, begun.release))
        for number, of_night in groupby(visits, key=lambda row: row[0]):
            _replay_night(session, night, number, [visit_id for _, visit_id in of_night], workers, jobs, kinds)
    return len(visits)


def _replay_night(session, night: Night, number: int, visits: list[int], workers: int, jobs: Jobs, kinds: str) -> None:
    """Process one night's Visits and close it, as it was closed when it was live."""
    for visit_id in visits:
        with session, session.cursor() as cursor:
            visit = complete(cursor, visit_id, night.camera, night.production_id, is_live=True)
            queue.enqueue(cursor, night.production_id, jobs(visit))
    if dead := live_night.run(night, workers, kinds=kinds):
        raise ReleaseError(
            f"release: {dead} jobs of the replay of night {number} gave up in {night.database}",
            f"`hven jobs list -d {night.database} --state dead` says why; `hven jobs retry`, then hand over again",
        )
    for _ in live_night.tidy(session, night, number):
        pass
