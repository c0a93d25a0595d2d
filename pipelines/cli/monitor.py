"""The live views of `hven jobs tail` and `hven night status`."""

from dataclasses import dataclass
from datetime import timedelta

from psycopg2.extensions import connection as Connection
from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table

from db.queries import queries

NIGHT = {
    "states": "Night {night}: Visits", "backlog": "Waiting for association",
    "latency": "Alerts: shutter close to outbox", "troubles": "Conditions",
}
"""Queries of the night's view, and the titles of their tables."""


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
    states = "done", "running", "ready", "waiting", "dead"
    productions = _table("Productions", "production", "", *states, "jobs/s", "left")
    for name, state, done, running, ready, waiting, dead, rate in view.progress:
        left = running + ready + waiting
        bar = ProgressBar(total=max(1, done + left), completed=done, width=10)
        counts = [f"{count:,}" for count in (done, running, ready, waiting, dead)]
        said = name if state == "running" else f"{name} ({state})"
        productions.add_row(said, bar, *counts, f"{rate:.1f}", eta(left, rate))
    work = _table("At work", "job", "kind", "key", "worker", "try", "seconds")
    for job_id, kind, key, worker, attempts, seconds in view.at_work:
        work.add_row(str(job_id), kind, key, worker, str(attempts), f"{seconds:.1f}")
    failures = _table("Latest failures", "when", "job", "key", "try", "now", "reason")
    for written, job_id, _, key, attempt, state, reason in view.failures:
        failures.add_row(f"{written:%H:%M:%S}", str(job_id), key, str(attempt), state, reason)
    return Group(productions, work, failures)


def night_picture(session: Connection, night: int) -> Group:
    """Return a night's Visits, backlog, latency and troubles as tables."""
    tables = []
    with session.cursor() as cursor:
        for name, title in NIGHT.items():
            cursor.execute(queries("live")[name], {"night": night})
            table = _table(title.format(night=night), *(column.name.replace("_", " ") for column in cursor.description))
            for row in cursor:
                table.add_row(*("–" if value is None else str(value) for value in row))
            tables.append(table)
    return Group(*tables)


def _table(title: str, *names: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name not in ("reason", "key", "production", "worker"))
    return table
