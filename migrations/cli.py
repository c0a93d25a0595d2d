"""`hven up`, `upgrade`, `doctor`: the verbs that know what a database should be."""

import json
import sys
from dataclasses import asdict

import click

from db import inventory, settings, watchdog
from db.cluster import Cluster, status
from db.server import bring_up


@click.command()
@click.option(
    "--listen",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value="127.0.0.1",
    help="Listen on TCP too, with TLS and passwords; without ADDRESS on 127.0.0.1.",
)
@click.option("--upgrade/--no-upgrade", "wanted", default=True, help="Bring the databases to head after the start.")
def up(listen: str | None, wanted: bool) -> None:
    """Start the database server and, before anybody works with it, bring the databases to head.

    The first time it makes them. A server that runs already is left as it is.
    """
    if settings.uses_existing_server():
        click.echo("an existing server is named by PG* variables: nothing to start; `hven upgrade` makes the databases")
        return
    started = bring_up(listen)
    state = status(Cluster())
    click.echo(f"server {'started' if started else 'runs already'}: pid {state.pid}, socket {state.socket}")
    if state.listen:
        click.echo(f"TCP: {state.listen} port {state.port}, certificate {Cluster().data / 'server.crt'}")
    if wanted and (started or not inventory.databases()):  # none: the first start was interrupted
        _upgrade()
    watchdog.start(Cluster())
    inventory.write_services()


@click.command()
def upgrade() -> None:
    """Bring the hub, level1, the release template and unfrozen releases to head; make what is missing."""
    _upgrade()
    inventory.write_services()


def _upgrade() -> None:
    from migrations.upgrade import upgrade_all  # Alembic takes its time

    upgrade_all(click.echo)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Report on machine, server and databases; for each fault its remedy."""
    from migrations.doctor import diagnose

    findings = list(diagnose())
    faults = [finding for finding in findings if finding.remedy]
    if as_json:
        click.echo(json.dumps({"healthy": not faults, "findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            click.echo(f"{'FAULT' if finding.remedy else 'ok':6}{finding.what:28}{finding.found}")
            if finding.remedy:
                click.echo(f"{'':6}{'  remedy':28}{finding.remedy}")
    sys.exit(bool(faults))
