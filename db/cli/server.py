"""`hven up`, `down`, `status`, `sql`: the server and a way into it."""

import json
import os
from pathlib import Path

import click

from db import settings
from db.cluster import Cluster, ClusterError, status, stop
from db.connect import dsn
from db.server import bring_up


@click.command()
@click.option(
    "--listen",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value="127.0.0.1",
    help="Listen on TCP too, with TLS and passwords; without ADDRESS on 127.0.0.1.",
)
def up(listen: str | None) -> None:
    """Start the database server (and make it, the first time)."""
    if settings.uses_existing_server():
        click.echo("an existing server is named by PG* variables: nothing to start")
        return
    started = bring_up(listen)
    state = status(Cluster())
    click.echo(f"server {'started' if started else 'runs already'}: pid {state.pid}, socket {state.socket}")
    if state.listen:
        click.echo(f"TCP: {state.listen} port {state.port}, certificate {Cluster().data / 'server.crt'}")


@click.command()
def down() -> None:
    """Stop the database server."""
    if settings.uses_existing_server():
        raise ClusterError("the server that PG* variables name is not ours to stop", "unset them")
    click.echo("server stopped" if stop(Cluster()) else "server was not running")


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_status(as_json: bool) -> None:
    """Say whether the database server runs, and where."""
    state = status(Cluster()).as_dict() | {"existing_server": settings.uses_existing_server()}
    if as_json:
        click.echo(json.dumps(state))
        return
    for name, value in state.items():
        click.echo(f"{name:16} {'-' if value is None else value}")


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[DB] [PSQL ARGUMENTS]...")
def sql(arguments: tuple[str, ...]) -> None:
    """Open psql in a database (default level1)."""
    named = bool(arguments) and not arguments[0].startswith("-")
    database = arguments[0] if named else "level1"
    own = settings.BINARIES / "psql"
    psql = str(own) if own.exists() else "psql"
    os.execvp(psql, [Path(psql).name, dsn(database), *arguments[named:]])
