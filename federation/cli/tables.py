"""`hven level3 import`, `export`, `list`, `describe`, `register`."""

from pathlib import Path

import click

from federation.cli.options import release, user

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--as", "name", required=True, help="What the table is called.")
@user
@release
@click.option("--ra", help="Column of right ascension, if the file does not tell.")
@click.option("--dec", help="Column of declination.")
@click.option("--unit", type=click.Choice(["deg", "rad", "hour", "sexagesimal"]), help="Unit of both.")
@click.option("--report", type=FILE, help="Leave bad rows out and list them here; without, one refuses the file.")
@click.option("--description", help="What the table is.")
@click.option("--spatial", is_flag=True, help="Give it a GiST index too, for sky_within.")
def import_(file: Path, name: str, user: str, release: str, **wishes) -> None:
    """Make a table of a CSV, ECSV, FITS, VOTable or Parquet file in a user's space."""
    from rich.progress import Progress

    from federation.importing import Wish, import_file
    from federation.sessions import as_user

    with Progress(transient=True) as shown, as_user(release, user) as session:
        task = shown.add_task(file.name, total=None)
        done = import_file(
            session, file, name, Wish(**wishes), lambda rows, total: shown.update(task, completed=rows, total=total)
        )
    for note in done.notes:
        click.echo(note)
    left_out = f", {done.bad} bad rows listed in {wishes['report']}" if done.bad else ""
    click.echo(f"{name}: {done.rows} rows in {done.relation} of {release}{left_out}")


@click.command()
@click.argument("table")
@click.argument("file", type=FILE)
@user
@release
def export(table: str, file: Path, user: str, release: str) -> None:
    """Write a table to a file, as it was when it came; the ending of FILE tells the format."""
    from federation.exporting import export_table
    from federation.sessions import as_user

    with as_user(release, user) as session:
        rows = export_table(session, table, file)
    click.echo(f"{file}: {rows} rows of {table}")


@click.command("list")
@user
@release
def list_(user: str, release: str) -> None:
    """Show the products that a user may read."""
    from federation.sessions import as_user, queries

    with as_user(release, user) as session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["listed"])
        for owner, name, access, relation, file, size, description in cursor:
            click.echo(f"{owner:16} {name:24} {access:8} {size:>14,}  {relation or file}  {description or ''}".rstrip())


@click.command()
@click.argument("file", type=FILE)
@click.option("--as", "name", required=True, help="What the product is called.")
@user
@release
@click.option("--description", help="What it is.")
def register(file: Path, name: str, user: str, release: str, description: str | None) -> None:
    """Make a file that is no table, such as a map or an image, a product of a user's; it is copied."""
    from federation.products import register_file

    kept = register_file(release, user, file, name, description)
    click.echo(f"{name}: {kept}")


@click.command()
@click.argument("name")
@click.argument("file", type=FILE)
@click.option("--owner", required=True, help="Whose product it is.")
@user
@release
def fetch(name: str, file: Path, owner: str, user: str, release: str) -> None:
    """Copy a file of somebody's that the user may read."""
    from federation.products import fetch_file

    fetch_file(release, user, owner, name, file)
    click.echo(f"{file}: {name} of {owner}")
