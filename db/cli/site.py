"""`hven site`: other sites that process the same exposures."""

import sys
import time
from pathlib import Path

import click


@click.group()
def site() -> None:
    """Ship raw files to another site, and compare what it makes of them."""


@site.command()
@click.argument("name")
@click.option("--connection", required=True, help="How its server is reached (libpq), without password.")
@click.option("--root", type=click.Path(path_type=Path), required=True, help="Its file store, as mounted here.")
def add(name: str, connection: str, root: Path) -> None:
    """Tell the hub of a site."""
    from db import site as sites

    sites.add(name, connection, root)


@site.command("list")
def list_sites() -> None:
    """List the other sites."""
    from db import site as sites

    for known in sites.sites():
        click.echo(f"{known.name}: {known.connection}; files under {known.root}")


@site.command()
@click.argument("name")
@click.option("--database", "-d", default="level1", show_default=True, help="Science Database whose raw files go.")
@click.option("--store", type=click.Path(path_type=Path), help="Root of the file store here. Default $HVEN_HOME/files.")
def send(name: str, database: str, store: Path | None) -> None:
    """Ship the raw files that a site has not got; its night takes them from the folder `incoming`.

    Every file is verified by its checksum; what an interruption leaves is completed by the next call.
    """
    from db import site as sites
    from db.files import FileStore
    from db.settings import hven_home

    files = shipped = 0
    for sent in sites.send(sites.find(name), FileStore(store or hven_home() / "files"), database):
        files += 1
        shipped += sent.sent
        if sys.stderr.isatty():
            click.echo(f"\r{files} files, {shipped / 1e6:.0f} MB\033[K", err=True, nl=False)
    click.echo(f"{name}: has all {files} raw files of {database}, {shipped} bytes were sent")


@site.command()
@click.argument("name")
@click.option("--database", "-d", multiple=True, default=("level1",), show_default=True,
              help="Database; may be repeated.")
@click.option("--order", type=click.IntRange(0, 29), default=3, show_default=True, help="HEALPix order of the pixels.")
@click.option("--every", type=float, metavar="HOURS", help="Go on, and compare again after so many hours.")
def compare(name: str, database: tuple[str, ...], order: int, every: float | None) -> None:
    """Compare databases with those of a site; status 1, and table and pixel, where they differ."""
    from db import site as sites

    other = sites.find(name)
    while True:
        differ = False
        for one in database:
            found = sites.compare(other, one, order=order)
            differ |= bool(found)
            for entry in found:
                click.echo(f"{one} {entry.table:36}pixel {entry.pixel:>8}  here {entry.here}, there {entry.there}")
            tables = len({entry.table for entry in found})
            click.echo(f"{one}: {tables} tables differ" if found else f"{one}: equal at {name}")
        if every is None:
            sys.exit(differ)
        time.sleep(every * 3600)
