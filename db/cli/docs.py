"""`hven docs`."""

from pathlib import Path

import click


@click.command()
@click.argument("databases", nargs=-1, metavar="[DATABASE]...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/schema"),
    show_default=True,
    help="Folder for the pages.",
)
@click.option("--check", is_flag=True, help="Compare the databases with the models, and write nothing.")
def docs(databases: tuple[str, ...], out: Path, check: bool) -> None:
    """Write the schema of the live databases (default hub, level1, release) as HTML pages."""
    from db.pages import document, site  # SQLAlchemy and jinja2 take their time

    found = document.read(databases or document.DEFAULT)
    if check:
        click.echo(f"{', '.join(one.name for one in found)}: as the models ask for, every line of LDM-151 answered")
        return
    for path in site.write(out, found):
        click.echo(path)
