"""`hven report`, `hven show` and `hven transit`: pages to look at."""

from pathlib import Path

import click

in_database = click.option("--database", "-d", default="level1", show_default=True, help="Science Database.")


@click.command()
@click.argument("night", type=int, required=False)
@in_database
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write. Default report-NIGHT.html.")
def report(night: int | None, database: str, output: Path | None) -> None:
    """Write the report of a night (MJD of local noon − 50000; default the last) as one HTML file.

    Every number in it stands beside the SQL that gives it.
    """
    from contextlib import closing

    from db.connect import connect
    from pipelines.report.nightly import last_night, nightly_report

    with closing(connect(database)) as session:
        chosen = last_night(session) if night is None else night
        page = nightly_report(session, chosen, f"{database}, night {chosen}")
    target = output or Path(f"report-{chosen}.html")
    target.write_text(page)
    click.echo(target)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("what", metavar="OBJECT")
@in_database
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write. Default object-OBJECT.html.")
@click.option("--store", type=click.Path(path_type=Path), help="Root of the file store. Default $HVEN_HOME/files.")
def show(what: str, database: str, output: Path | None, store: Path | None) -> None:
    """Write the page of an Object or a MovingObject, by id or name, as one HTML file."""
    from contextlib import closing

    from db.connect import connect
    from db.files import FileStore
    from db.settings import hven_home
    from pipelines.report.object_page import object_page

    with closing(connect(database)) as session:
        page = object_page(session, FileStore(store or hven_home() / "files"), what)
    target = output or Path(f"object-{what.replace(' ', '_').replace('/', '_')}.html")
    target.write_text(page)
    click.echo(target)


@click.command()
@click.argument("planet", default="HAT-P-32 b")
@in_database
@click.option("--camera", default="microobservatory", show_default=True, help="The instrument, whose site it is.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write. Default transit-PLANET.html.")
def transit(planet: str, database: str, camera: str, output: Path | None) -> None:
    """Write the page of a planet's transit that the Sources of a night show: light curve, fit and its proof."""
    from contextlib import closing

    from db.connect import connect
    from pipelines.instruments import instrument
    from pipelines.report.transit_page import find, transit_page

    with closing(connect(database)) as session:
        page = transit_page(session, find(planet), instrument(camera).site)
    target = output or Path(f"transit-{planet.replace(' ', '_')}.html")
    target.write_text(page)
    click.echo(target)
