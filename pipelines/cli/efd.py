"""`hven efd`: the archive copy of the Engineering and Facility Database."""

import click

in_database = click.option("--database", "-d", default="level1", show_default=True, help="Science Database.")


@click.group()
def efd() -> None:
    """Copy telemetry of the observatory into the Science Database."""


@efd.command()
@click.option("--source", required=True, envvar="HVEN_EFD", help="libpq's words for the observatory's database.")
@click.option("--schema", default="public", show_default=True, help="Its schema of topics.")
@click.option("--every", type=float, help="Go on, and synchronise again after so many hours.")
@in_database
def sync(source: str, schema: str, every: float | None, database: str) -> None:
    """Copy what is new or has changed, a day of a topic at a time, and compare counts and digests.

    A day that is interrupted is copied again by the next call; what was committed before stays.
    """
    import time

    while True:
        _sync(source, database, schema)
        if every is None:
            return
        time.sleep(every * 3600)


def _sync(source: str, database: str, schema: str) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from db import efd as archive

    console = Console()
    days = copied = samples = 0
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("telemetry", total=None)
        for day in archive.sync(source, database, schema=schema):
            days += 1
            copied += day.copied
            samples += day.samples if day.copied else 0
            progress.update(task, advance=1, description=f"{day.topic} {day.day}")
    click.echo(f"{database}: {samples} samples of {copied} days of topics copied, {days - copied} as they were")


@efd.command()
@in_database
def topics(database: str) -> None:
    """List the topics that are here, with their fields and how far they reach."""
    from contextlib import closing

    from db.connect import connect
    from db.queries import queries

    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute(queries("efd")["state"])
        for name, fields, units, days, samples, to_tai, _ in cursor:
            named = ", ".join(f"{field} [{unit}]" if unit else field for field, unit in zip(fields, units, strict=True))
            reach = f"{samples} samples of {days} days, to MJD {to_tai:.5f}" if days else "nothing yet"
            click.echo(f"{name}: {named}; {reach}")


@efd.command()
@click.argument("name", default="efd_source")
@click.option("--first", "first_tai", type=float, default=60700.0, show_default=True, help="First moment (TAI, MJD).")
@click.option("--days", type=float, default=1.0, show_default=True, help="How long.")
def simulate(name: str, first_tai: float, days: float) -> None:
    """Make a database with an imagined observatory's telemetry, to copy from."""
    from db.connect import dsn
    from pipelines.productions.telemetry import make_source

    click.echo(f"{name}: {make_source(name, first_tai, days)} samples; now `hven efd sync --source '{dsn(name)}'`")
