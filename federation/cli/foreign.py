"""`hven level3 federate`."""

import click

from federation.cli.options import release


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="DB...")
@release
@click.option("--analyze", is_flag=True, help="Fetch statistics too, for the plans of joins.")
def federate(targets: tuple[str, ...], release: str, analyze: bool) -> None:
    """Make other releases and level1 (with its telemetry, live_efd) foreign schemas of a release; again: refresh."""
    from federation import foreign

    for target in targets:
        count = foreign.federate(release, target)
        if analyze:
            foreign.analyze(release, "level1" if target.startswith("level1") else target)
        click.echo(f"{target}: {count} tables in {release}")
