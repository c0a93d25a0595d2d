"""The live view of `hven jobs tail`."""

from dataclasses import dataclass
from datetime import timedelta

from psycopg2.extensions import connection as Connection
from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table

from db.queries import queries


@dataclass(frozen=True)
class View:
    """What a look at the queue found: rows of the queries of these names."""

    progress: list[tuple]
    at_work: list[tuple]
    failures: list[tuple]


def look(session: Connection) -> View:
    """Ask the queue."""
    found = {}
    with session.cursor() as cursor:
        for name in View.__dataclass_fields__:
            cursor.execute(queries("jobs")[name])
            found[name] = cursor.fetchall()
    return View(**found)


def eta(left: int, rate: float) -> str:
    """Return how long `left` jobs take at `rate` jobs a second, in words."""
    if not left:
        return "done"
    return f"{timedelta(seconds=round(left / rate))}" if rate > 0 else "–"


def picture(view: View) -> Group:
    """Return the tables to be shown."""
    productions = Table("production", "state", "", "done", "running", "ready", "waiting", "dead", "jobs/s", "time left",
                        title="Productions", title_justify="left")
    for name, state, done, running, ready, waiting, dead, rate in view.progress:
        left = running + ready + waiting
        bar = ProgressBar(total=max(1, done + left), completed=done, width=24)
        counts = [f"{count:,}" for count in (done, running, ready, waiting, dead)]
        productions.add_row(name, state, bar, *counts, f"{rate:.1f}", eta(left, rate))
    work = Table("job", "kind", "key", "worker", "attempt", "seconds", title="At work", title_justify="left")
    for job_id, kind, key, worker, attempts, seconds in view.at_work:
        work.add_row(str(job_id), kind, key, worker, str(attempts), f"{seconds:.1f}")
    failures = Table("when", "job", "kind", "key", "attempt", "now", "reason", title="Latest failures",
                     title_justify="left")
    for written, job_id, kind, key, attempt, state, reason in view.failures:
        failures.add_row(f"{written:%H:%M:%S}", str(job_id), kind, key, str(attempt), state, reason)
    return Group(productions, work, failures)
