"""`hven level3 query`, `history`, `cancel`, `serve`."""

import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import click

from federation.cli.options import release, user
from federation.errors import Level3Error

WAIT = 0.1  # seconds between looks at a query that runs


@click.command()
@click.option("--sql", "file", type=click.File(), required=True, help="File with one query; - is standard input.")
@user
@release
@click.option("--lane", type=click.Choice(["quick", "long"]), default="quick", show_default=True)
@click.option("--into", "table", help="Keep the rows as a new table.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File; its ending tells the format.")
@click.option("--async", "later", is_flag=True, help="Don't wait: print the query's number.")
def query(file, user: str, release: str, lane: str, table: str | None, output: Path | None, later: bool) -> None:
    """Run a query for a user through the queue; without --into or --output, print CSV."""
    from federation import lanes
    from federation.sessions import as_user
    from federation.spaces import refusals

    ending = output.suffix if output else None
    with as_user(release, user) as session, refusals():
        number = lanes.submit(session, file.read(), lane, table, ending)
    if later:
        click.echo(number)
        return
    while (found := _state(release, user, number))[0] in ("queued", "running"):
        if os.environ.get("PGPASSWORD") or not lanes.serve_one(release, [lane]):
            time.sleep(WAIT)
    state, rows, error, _, kept = found
    if state != "done":
        raise Level3Error(f"query {number} {state}: {(error or 'by its user').rstrip('.')}", "`hven level3 history`")
    if table:
        click.echo(f"{table}: {rows} rows")
    elif output:
        shutil.copyfile(lanes.result_file(release, user, number, kept), output)
        click.echo(f"{output}: {rows} rows")
    else:
        sys.stdout.write(lanes.result_file(release, user, number, kept).read_text())


def _state(database: str, login: str, number: int) -> tuple:
    from federation.sessions import as_user, queries

    with as_user(database, login) as session, session.cursor() as cursor:
        cursor.execute(queries("lanes")["state"], {"query_id": number})
        return cursor.fetchone()


@click.command()
@user
@release
def history(user: str, release: str) -> None:
    """Show a user's queries, newest first."""
    from federation.sessions import as_user, queries

    with as_user(release, user) as session, session.cursor() as cursor:
        cursor.execute(queries("lanes")["history"])
        for number, lane, state, submitted, took, rows, text, error in cursor:
            click.echo(
                f"{number:6} {submitted:%Y-%m-%d %H:%M} {lane:5} {state:9} {took or ''!s:15} {rows or '':>9}"
                f"  {text}{f'  ({error})' if error else ''}"
            )


@click.command()
@click.argument("number", type=int)
@user
@release
def cancel(number: int, user: str, release: str) -> None:
    """Cancel a query of a user's."""
    from federation.sessions import as_user, queries

    with as_user(release, user) as session, session.cursor() as cursor:
        cursor.execute(queries("lanes")["cancel"], {"query_id": number})
        done = cursor.fetchone()[0]
    click.echo(f"{number}: {'cancelled' if done else 'has ended already, or is not of ' + user}")


@click.command()
@release
@click.option("--quick", default=2, show_default=True, help="Quick queries side by side.")
@click.option("--long", "slow", default=1, show_default=True, help="Long queries side by side.")
@click.option("--until-idle", is_flag=True, help="End when the lanes are empty.")
def serve(release: str, quick: int, slow: int, until_idle: bool) -> None:
    """Serve the lanes of a release."""
    from federation import lanes

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    lanes.serve([release], {"quick": quick, "long": slow}, stop, until_idle)
