"""`hven files`: the file store compared with the databases."""

import json
import sys
from pathlib import Path

import click

from db.cli.output import as_json, ask, in_database


@click.group()
def files() -> None:
    """Compare the file store with the databases' rows, and delete what none of them needs."""


in_store = click.option("--store", type=click.Path(path_type=Path), help="Root. Default $HVEN_HOME/files.")


def _open(store: Path | None):
    from db.files import FileStore
    from db.settings import hven_home

    return FileStore(store or hven_home() / "files")


def _report(account, as_json: bool, *parts: str) -> None:
    found = {part: getattr(account, part) for part in parts}
    if as_json:
        click.echo(json.dumps({"files": account.files, "size": account.size} | found))
        return
    click.echo(f"{account.files} files, {account.size / 1e9:.3f} GB")
    for part, names in found.items():
        click.echo(f"{part + ':':12}{len(names)}")
        for name in names:
            said = names[name] if isinstance(names, dict) else ""
            click.echo(f"  {name}  {', '.join(said) if isinstance(said, list) else said}".rstrip())


@files.command()
@in_store
@as_json
def verify(store: Path | None, as_json: bool) -> None:
    """Read every file; report changed and missing ones and those without a row. Exit status 1 if any is unsound."""
    from db import collect as collector

    account = collector.verify(_open(store), collector.databases())
    _report(account, as_json, "changed", "missing", "orphans")
    sys.exit(bool(account.changed or account.missing))


@files.command()
@click.option("--older-than", "days", type=click.FloatRange(0), required=True, help="Days since they were made.")
@in_database
def drop(days: float, database: str) -> None:
    """Let go of old calibrated and difference Exposures' files; `hven get` makes them again, bit for bit.

    Only the software that made them can do so. `hven files collect` then deletes them.
    """
    sizes = [size for (size,) in ask(database, "files", "drop_old", {"days": days}, commit=True)[1]]
    click.echo(f"{len(sizes)} files, {sum(sizes) / 1e9:.3f} GB: `hven files collect` may delete them")


@files.command()
@in_store
@click.option("--grace", default=24.0, show_default=True, help="Hours between an orphan's burial and its deletion.")
@click.option("--dry-run", is_flag=True, help="Only say which files no database needs.")
@as_json
def collect(store: Path | None, grace: float, dry_run: bool, as_json: bool) -> None:
    """Bury files that no database needs, and delete those that were buried a grace time ago."""
    from db import collect as collector

    names = collector.databases()
    if dry_run:
        _report(collector.look(_open(store), names), as_json, "orphans", "missing")
        return
    account = collector.collect(_open(store), names, grace=grace * 3600)
    _report(account, as_json, "buried", "deleted", "revived", "missing")
