"""`hven checksum`."""

import json
import sys
from pathlib import Path

import click


@click.command()
@click.argument("database", default="level1", metavar="[DB]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the digest of every pixel.")
@click.option("--table", "only", multiple=True, metavar="T", help="Only this table; may be repeated.")
@click.option("--order", type=click.IntRange(0, 29), help="HEALPix order of the pixels; default 3.")
@click.option("--all", "everything", is_flag=True, help="All columns of all tables, not the science columns alone.")
@click.option("--columns", is_flag=True, help="Print which columns are covered, and read no rows.")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with what --json printed (its order and columns hold); status 1 and a table if they differ.",
)
def checksum(
    database: str, as_json: bool, only: tuple, order: int | None, everything: bool, columns: bool, against: Path | None
) -> None:
    """Digest the science columns of DB (default level1) by table and HEALPix pixel.

    Neither the order nor the partitions of the rows matter.
    """
    from db import checksum as digests
    from db import comparison

    other = comparison.read(against) if against else None
    covers = other.covers if other else "everything" if everything else "science"
    order = other.order if other else digests.ORDER if order is None else order
    with digests.snapshot(database) as held:
        wanted = digests.chosen(digests.subjects(held[0], covers == "everything"), only)
        if columns:
            click.echo("".join(f"{subject.name}: {', '.join(subject.columns)}\n" for subject in wanted), nl=False)
            return
        found = comparison.Report(database, covers, order, digests.digest(database, held, wanted, order, _progress()))
    if other:
        there = {name: table for name, table in other.tables.items() if not only or name in found.tables}
        sys.exit(_compared(list(comparison.differences(found.tables, there)), as_json))
    if as_json:
        click.echo(json.dumps(found.as_dict()))
        return
    filled = {name: table.whole for name, table in found.tables.items() if table.whole.rows}
    for name, whole in filled.items():
        click.echo(f"{name:36}{whole.rows:>14}  {whole}")
    click.echo(f"{len(found.tables) - len(filled)} of {len(found.tables)} tables are empty")


def _compared(differ: list, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps([vars(entry) for entry in differ]))
    else:
        for entry in differ:
            click.echo(f"{entry.table:36}pixel {entry.pixel:>8}  here {entry.here}, there {entry.there}")
        click.echo(f"{len({entry.table for entry in differ})} tables differ" if differ else "equal")
    return bool(differ)


def _progress():
    """Return what shows the share that is done, on a terminal."""

    def say(done: int, total: int) -> None:
        click.echo(f"\r{done * 100 // total:3} %" + ("\r\033[K" if done == total else ""), err=True, nl=False)

    return say if sys.stderr.isatty() else lambda _done, _total: None
