"""`hven jobs`: what the queue holds, why a job is not done, and what to do about it."""

import json

import click


@click.group()
def jobs() -> None:
    """Look at jobs, and retry or cancel them."""


def _rows(database: str, query: str, values: dict) -> tuple[list[str], list[tuple]]:
    from contextlib import closing

    from db.connect import connect
    from db.queries import queries

    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute(queries("jobs")[query], values)
        return [column.name for column in cursor.description], cursor.fetchall()


def _show(names: list[str], rows: list[tuple], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=str))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*names)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    Console().print(table)


in_database = click.option("--database", "-d", default="level1", show_default=True, help="Science Database.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@jobs.command("list")
@in_database
@click.option("--state", type=click.Choice(["waiting", "ready", "running", "done", "dead", "cancelled"]))
@click.option("--limit", default=50, show_default=True)
@as_json
def list_jobs(database: str, state: str | None, limit: int, as_json: bool) -> None:
    """List jobs, the latest first."""
    _show(*_rows(database, "list", {"state": state, "limit": limit}), as_json)


@jobs.command()
@click.argument("job_id", type=int)
@in_database
@as_json
def why(job_id: int, database: str, as_json: bool) -> None:
    """Say what a job waits for, or what it died of."""
    from pipelines import worker

    names, rows = _rows(database, "why", {"job_id": job_id})
    if not rows:
        raise click.BadParameter(f"there is no job {job_id} in {database}; `hven jobs list` shows what there is")
    _show(names, rows, as_json)
    kind, state = rows[0][names.index("kind")], rows[0][names.index("state")]
    if not as_json and state == "ready" and kind not in worker.KINDS:
        known = ", ".join(worker.KINDS)
        click.echo(f"this version of Hven knows no kind {kind}, only {known}: cancel the job, or start workers of the"
                   " version that enqueued it")


def _change(database: str, job_ids: tuple[int, ...], action: str) -> None:
    from contextlib import closing

    from db import queue
    from db.connect import connect

    with closing(connect(database)) as session, session, session.cursor() as cursor:
        changed = getattr(queue, action)(cursor, job_ids)
    click.echo(f"{len(changed)} jobs changed: {', '.join(map(str, changed)) or 'none was in a state that allows it'}")


@jobs.command()
@in_database
@click.option("--every", default=1.0, show_default=True, help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Look once, and end.")
def tail(database: str, every: float, once: bool) -> None:
    """Watch productions, running jobs and failures live, with rates and when each production will be done."""
    import time
    from contextlib import closing

    from rich.live import Live

    from db.connect import connect
    from pipelines.cli.monitor import look, picture

    with closing(connect(database)) as session:
        session.autocommit = True
        if once:
            from rich.console import Console

            Console().print(picture(look(session)))
            return
        with Live(picture(look(session)), auto_refresh=False, screen=False) as live:
            while True:
                time.sleep(every)
                live.update(picture(look(session)), refresh=True)


@jobs.command()
@click.argument("job_ids", type=int, nargs=-1, required=True)
@in_database
def retry(job_ids: tuple[int, ...], database: str) -> None:
    """Give dead jobs a new life."""
    _change(database, job_ids, "retry")


@jobs.command()
@click.argument("job_ids", type=int, nargs=-1, required=True)
@in_database
def cancel(job_ids: tuple[int, ...], database: str) -> None:
    """Cancel jobs and all that wait for them."""
    _change(database, job_ids, "cancel")
