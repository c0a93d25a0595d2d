"""`hven drop`."""

import click


@click.command()
@click.argument("database")
@click.option("--yes", is_flag=True, help="Don't ask.")
def drop(database: str, yes: bool) -> None:
    """Drop DATABASE with all that it holds: a mini-DR, a build, a demo, a spare level1.

    What users' names point to is refused: the hub, level1 as it is now, published and current releases.
    """
    from db import release

    release.check_droppable(database)
    if not yes:
        click.confirm(f"Drop {database} and all that it holds?", abort=True, err=True)
    release.drop(database)
    click.echo(f"{database}: dropped")
