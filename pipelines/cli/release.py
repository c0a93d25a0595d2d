"""`hven release`: Data Releases, from an empty database to the public."""

from pathlib import Path

import click


@click.group()
def release() -> None:
    """Make Data Releases and mini-DRs, check, freeze and publish them."""


because = click.option("--reason", help="Why; it stands in the audit trail.")


@release.command("list")
def list_releases() -> None:
    """List releases and mini-DRs with their states."""
    from db import life_cycle

    for known in life_cycle.releases():
        mark = "  (current)" if known.is_current else ""
        click.echo(f"{known.name:24}{known.kind:12}{known.state:12}since {known.changed:%Y-%m-%d %H:%M}{mark}")


@release.command()
@click.argument("name")
def log(name: str) -> None:
    """Tell the life of a release: every step, by whom, why."""
    from db import life_cycle

    for step in life_cycle.history(name):
        said = f"  {step.reason}" if step.reason else ""
        click.echo(f"{step.written:%Y-%m-%d %H:%M:%S}  {step.from_state or '-'} → {step.to_state}  {step.actor}{said}")


@release.command()
@click.argument("name")
@because
def validate(name: str, reason: str | None) -> None:
    """Call a release valid that is built; its quality has to pass the gate `release`."""
    from db import release as releases

    releases.validate(name, reason)
    click.echo(f"{name}: validated")


@release.command()
@click.argument("old")
@click.argument("new")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write. Default OLD-NEW.html.")
def compare(old: str, new: str, output: Path | None) -> None:
    """Compare a release with an earlier one: schema, counts, and the match of their Objects, as one HTML file.

    While NEW is being built, the match becomes its table object_match.
    """
    from pipelines.report.comparison import compare as compare_releases

    found = compare_releases(old, new)
    target = output or Path(f"{old}-{new}.html")
    target.write_text(found.page())
    facts = dict(found.answers["matched"].facts())
    click.echo(f"{facts['matched_one_to_one']} of {facts['objects_before']} Objects matched one to one; {target}")


@release.command()
@click.argument("name")
@because
def freeze(name: str, reason: str | None) -> None:
    """Close a validated release: no role but the superuser changes a row of it from now on."""
    from db import life_cycle

    life_cycle.freeze(name, reason)
    click.echo(f"{name}: frozen")


@release.command()
@click.argument("name")
@because
def publish(name: str, reason: str | None) -> None:
    """Let the public read a frozen release, and make it `current`."""
    from db import life_cycle

    life_cycle.publish(name, reason)
    click.echo(f"{name}: published, and current")


@release.command()
@click.argument("name")
@click.option("--current", metavar="OTHER", help="The published release that becomes current instead.")
@click.option("--reason", required=True, help="Why; it stands in the audit trail.")
def withdraw(name: str, current: str | None, reason: str) -> None:
    """Close a published release to the public; its rows stay."""
    from db import life_cycle

    life_cycle.withdraw(name, reason, current)
    click.echo(f"{name}: withdrawn")
