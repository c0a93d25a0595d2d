"""`hven night`: a live night, from the first frame to the report."""

import os
from pathlib import Path

import click

in_database = click.option("--database", "-d", default="level1", show_default=True, help="Science Database.")
in_production = click.option("--production", "name", default="night", show_default=True, help="The production's name.")
with_store = click.option("--store", type=click.Path(path_type=Path),
                          help="Root of the file store. Default $HVEN_HOME/files.")
folder = click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
of_night = click.argument("number", metavar="[NIGHT]", type=int, required=False)


@click.group()
def night() -> None:
    """Run a night: prepare, ingest, run, status, close."""


@night.command()
@folder
@click.option("--instrument", default="simcam", show_default=True, help="The camera.")
@in_database
@in_production
@with_store
def prepare(folder: Path, instrument: str, database: str, name: str, store: Path | None) -> None:
    """Make a field ready from DIR: masters, templates, reference stars, Objects, orbits."""
    from contextlib import closing

    from db.connect import connect
    from pipelines.instruments import instrument as find
    from pipelines.productions import field

    with closing(connect(database)) as session:
        production = field.prepare(session, _store(store), folder, find(instrument), name)
    click.echo(f"{database}: production {name} is number {production}; now `hven night ingest DIR`")


@night.command()
@folder
@click.option("--instrument", help="The camera. Default the production's.")
@click.option("--watch", is_flag=True, help="Go on with the frames that come, until Ctrl-C.")
@click.option("--follow", metavar="FILE", type=click.Path(path_type=Path),
              help="Associate in the order of another site, as its `hven site send` tells it.")
@in_database
@in_production
@with_store
def ingest(
    folder: Path, instrument: str | None, watch: bool, follow: Path | None, database: str, name: str, store: Path | None
) -> None:
    """Take in the raw frames of DIR; each that completes its Visit enqueues the Visit's jobs."""
    from pipelines import live_night
    from pipelines.worker import install_stop

    stop = install_stop()
    found = live_night.find_night(database, _store(store), name, instrument)
    refused = 0
    for frame in live_night.take_in(found, folder, watch=lambda: watch and not stop.asked, order=follow):
        refused += bool(frame.reason)
        click.echo(f"{frame.path.name}: {frame.reason or f'Visit {frame.visit_id}'}")
    if refused:
        raise SystemExit(65)


@night.command()
@click.option("--concurrency", "-c", type=click.IntRange(1), help="Processes. Default one a core.")
@click.option("--stay", is_flag=True, help="Stay while frames come, until Ctrl-C.")
@in_database
@in_production
@with_store
def run(concurrency: int | None, stay: bool, database: str, name: str, store: Path | None) -> None:
    """Keep workers at the night's jobs until they are done, and send its Alerts."""
    from pipelines import live_night
    from pipelines.worker import install_stop

    stop = install_stop()
    found = live_night.find_night(database, _store(store), name)
    count = concurrency or len(os.sched_getaffinity(0))
    with live_night.sending(found):
        dead = live_night.run(found, count, stay=lambda: stay and not stop.asked)
    click.echo(f"{dead} jobs are dead; `hven jobs list -d {database} --state dead` says which" if dead else "all done")


@night.command()
@of_night
@in_database
@click.option("--every", default=2.0, show_default=True, help="Seconds between looks, on a terminal.")
@click.option("--once", is_flag=True, help="Look once, and end.")
def status(number: int | None, database: str, every: float, once: bool) -> None:
    """Show a night: Visits by state, backlog, latency, failures; live on a terminal."""
    import time
    from contextlib import closing

    from rich.console import Console
    from rich.live import Live

    from db.connect import connect
    from pipelines.cli.monitor import night_picture
    from pipelines.report.nightly import last_night

    console = Console()
    with closing(connect(database)) as session:
        session.autocommit = True
        chosen = last_night(session) if number is None else number
        if once or not console.is_terminal:
            console.print(night_picture(session, chosen))
            return
        with Live(night_picture(session, chosen), auto_refresh=False, console=console) as live:
            while True:
                time.sleep(every)
                live.update(night_picture(session, chosen), refresh=True)


@night.command()
@of_night
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Report's file. Default report-NIGHT.html.")
@in_database
@in_production
@with_store
def close(number: int | None, output: Path | None, database: str, name: str, store: Path | None) -> None:
    """Close a night: late detectors, doubles, moved Objects, vacuum, telemetry, report."""
    from contextlib import closing

    from db.connect import connect
    from pipelines import live_night
    from pipelines.report.nightly import last_night

    with closing(connect(database)) as session:
        chosen = last_night(session) if number is None else number
    found = live_night.find_night(database, _store(store), name)
    for told in live_night.close(found, chosen, output or Path(f"report-{chosen}.html")):
        click.echo(told)


def _store(root: Path | None):
    from db.files import FileStore
    from db.settings import hven_home

    return FileStore(root or hven_home() / "files")
