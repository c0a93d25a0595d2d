"""`hven bench`."""

from importlib import import_module

import click

from tests.benchmarks import BENCHMARKS, as_json, run

WIDTH = 140  # of the table in characters, also in a log


@click.command()
@click.argument("name", required=False, type=click.Choice(list(BENCHMARKS)))
@click.option("--size", metavar="SIZE", help="Size of the data; each benchmark lists its own.")
@click.option("--objects", metavar="N", type=click.IntRange(1), help="As many rows instead of a named size.")
@click.option("--keep", is_flag=True, help="Leave the database under $HVEN_HOME, and begin from it the next time.")
@click.option("--json", "only_json", is_flag=True, help="Print only the line for programs.")
def bench(name: str | None, size: str | None, objects: int | None, keep: bool, only_json: bool) -> None:
    """Measure a part of Hven against its peers; without NAME, list what can be measured.

    Prints a table and, as the last line, the same as JSON. Figures are medians of at least five runs,
    peers in turns with ours, on a server of its own with production settings.
    """
    if name is None:
        for known, what in BENCHMARKS.items():
            click.echo(f"{known:16}{what}")
        return
    module = import_module(f"tests.benchmarks.{name}")
    if size not in (None, *module.SIZES):
        raise click.BadParameter(f"{name} has the sizes {', '.join(module.SIZES)}", param_hint="--size")
    if keep and not hasattr(module, "build"):
        raise click.BadParameter(f"{name} has no database that takes long to build", param_hint="--keep")
    report = run(name, size, objects, keep)
    if not only_json:
        _show(report)
    click.echo(as_json(report))


def _show(report: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    rows = ", ".join(f"{count:,} {what}" for what, count in report["rows"].items())
    table = Table("what", "value", "unit", "peer", "its value", "ratio", "goal", "met", title=rows)
    for result in report["results"]:
        figures = [_figure(result[key]) for key in ("peer_value", "ratio", "goal")]
        met = {True: "yes", False: "NO", None: ""}[result["met"]]
        table.add_row(result["what"], _figure(result["value"]), result["unit"], result["peer"] or "", *figures, met)
    Console(width=WIDTH).print(table)


def _figure(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
