"""`hven efficiency`: how well a mini Data Release finds what was put in."""

from pathlib import Path

import click


@click.command()
@click.argument("mini")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Page to write. Default MINI-efficiency.html.")
def efficiency(mini: str, output: Path | None) -> None:
    """Tell which share of a mini-DR's synthetic objects was detected, as a table, and as a page with curves."""
    from pipelines.productions.efficiency import measure
    from pipelines.report import efficiency as report

    found = measure(mini)
    for axis, bins in found.curves.items():
        click.echo(f"{report.TITLES[axis]}\n{'from':>10}{'to':>10}{'tried':>8}{'found':>8}{'share':>8}{'±':>16}")
        for one in bins:
            error = f"{one.lower:.3f}–{one.upper:.3f}"
            click.echo(f"{one.low:10g}{one.high:10g}{one.tried:8}{one.found:8}{one.efficiency:8.3f}{error:>16}")
    click.echo(report.summary(found))
    target = output or Path(f"{mini}-efficiency.html")
    target.write_text(report.page(mini, found))
    click.echo(f"{target}")
