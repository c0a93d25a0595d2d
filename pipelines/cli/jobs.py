"""`hven jobs`: what the queue holds, why a job is not done, and what to do about it."""

import textwrap

import click

from db.cli.output import as_json, ask, in_database, show


@click.group()
def jobs() -> None:
    """Look at jobs, and retry or cancel them."""


@jobs.command("list")
@in_database
@click.option("--state", type=click.Choice(["waiting", "ready", "running", "done", "dead", "cancelled"]),
              help="Only those in this state.")
@click.option("--limit", default=50, show_default=True, help="How many at most.")
@as_json
def list_jobs(database: str, state: str | None, limit: int, as_json: bool) -> None:
    """List jobs, the latest first."""
    found = ask(database, "jobs", "list", {"state": state, "limit": limit})
    show(found, as_json, ("job_id", "production", "kind", "key", "state", "attempts", "created"), "there are no jobs")


@jobs.command()
@click.argument("job_id", type=int)
@in_database
@as_json
def why(job_id: int, database: str, as_json: bool) -> None:
    """Say what a job waits for, or what it died of."""
    from pipelines import worker

    found = names, rows = ask(database, "jobs", "why", {"job_id": job_id})
    if not rows:
        raise click.BadParameter(f"there is no job {job_id} in {database}; `hven jobs list` shows what there is")
    if as_json:
        show(found, as_json)
        return
    for row in rows:
        job = dict(zip(names, row, strict=True))
        click.echo(f"job {job['job_id']} ({job['kind']}, {job['key']}) is {job['state']}"
                   + (f": {job['reason']}" if job["reason"] else ""))
    if error := rows[0][names.index("error")]:
        click.echo(f"its last failure:\n{textwrap.indent(error.rstrip(), '  ')}")
    kind, state = rows[0][names.index("kind")], rows[0][names.index("state")]
    if state == "ready" and kind not in worker.KINDS:
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
