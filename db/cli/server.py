"""`hven down`, `status`, `sql`: the server and a way into it."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import click
from psycopg2.extensions import parse_dsn

from db import settings, watchdog
from db.cluster import Cluster, ClusterError, status, stop
from db.connect import dsn


@click.command()
def down() -> None:
    """Stop the database server."""
    if settings.uses_existing_server():
        raise ClusterError("the server that PG* variables name is not ours to stop", "unset them")
    watchdog.stop(Cluster())
    click.echo("server stopped" if stop(Cluster()) else "server was not running")


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_status(as_json: bool) -> None:
    """Say whether the database server runs, and where; list the databases with state and revision."""
    from db.inventory import databases

    state = status(Cluster()).as_dict() | {"existing_server": settings.uses_existing_server()}
    there = [asdict(entry) for entry in databases()] if state["pid"] or state["existing_server"] else []
    if as_json:
        click.echo(json.dumps(state | {"databases": there}))
        return
    if not there:
        click.echo("the server does not run; `hven up` starts it")
    for name, value in state.items():
        if value is not None:
            click.echo(f"{name:17} {value}")
    if there:
        click.echo()
        for row in (dict(zip(there[0], there[0], strict=True)), *there):
            click.echo(" ".join(f"{value or '-':17}" for value in row.values()).rstrip())


@click.command()
@click.option("--lines", "-n", default=30, show_default=True, help="How many of the last lines.")
@click.option("--follow", "-f", is_flag=True, help="Go on as the server writes, until Ctrl-C.")
def logs(lines: int, follow: bool) -> None:
    """Show the end of the private server's log."""
    log = Cluster().log
    if not log.exists():
        raise ClusterError(f"there is no log {log}", "`hven up` makes the server that writes it")
    tail = ["tail", "-n", str(lines), *(["-F"] if follow else []), str(log)]
    os.execvp(tail[0], tail)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[DB] [PSQL ARGUMENTS]...")
def sql(arguments: tuple[str, ...]) -> None:
    """Open psql in a database (default level1)."""
    named = bool(arguments) and not arguments[0].startswith("-")
    database = arguments[0] if named else "level1"
    if not settings.uses_existing_server() and not status(Cluster()).pid:
        raise ClusterError("the server does not run", "`hven up`")
    own = settings.BINARIES / "psql"
    psql = str(own) if own.exists() else "psql"
    # As the environment, which psql's own options such as -U override; they don't override a connection string.
    names = {f"PG{'DATABASE' if name == 'dbname' else name.upper()}": value
             for name, value in parse_dsn(dsn(database)).items()}  # fmt: skip
    os.execvpe(psql, [Path(psql).name, *arguments[named:]], os.environ | names)
