"""`hven backup`, `hven restore`."""

import signal
from pathlib import Path

import click

JOBS = click.option("--jobs", type=click.IntRange(1), default=None, help="Tables at once; default one a processor.")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("names", nargs=-1, metavar="[DB]...")
@click.option("--passwords", is_flag=True, help="Save the hashes of the roles' passwords too.")
@JOBS
def backup(folder: Path, names: tuple[str, ...], passwords: bool, jobs: int | None) -> None:
    """Dump databases (default all) into the new folder DIR, with digests to prove a restore by."""
    from db.backup import back_up

    _end_as_interrupted()
    back_up(folder.absolute(), list(names), click.echo, passwords=passwords, jobs=jobs or 0)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("names", nargs=-1, metavar="[DB]...")
@click.option("--as", "name", metavar="NAME", help="Name of the restored database, if DB is one.")
@JOBS
def restore(folder: Path, names: tuple[str, ...], name: str | None, jobs: int | None) -> None:
    """Restore databases (default all) of the backup DIR, and prove that they equal what was saved.

    A database that exists is never overwritten.
    """
    from db.inventory import databases, write_services
    from db.restore import restore

    _end_as_interrupted()
    restore(folder.absolute(), list(names), click.echo, name=name, jobs=jobs or 0)
    write_services()
    if not any(entry.state == "template" for entry in databases()):
        click.echo("the template of releases is not part of backups: `hven upgrade` makes it")


def _end_as_interrupted() -> None:
    """Let SIGTERM clean up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
