"""`hven user`: logins and their roles."""

import json
from typing import TextIO

import click

from db import users


@click.group()
def user() -> None:
    """Add, list and drop the users of the databases."""


def _password(file: TextIO | None, name: str) -> str:
    """Return the first line of a file, or ask twice."""
    if file:
        return file.readline().rstrip("\r\n")
    try:
        rules = f"{users.PASSWORD_LENGTH} characters or more, without the name"
        return click.prompt(f"Password of {name} ({rules})", hide_input=True, confirmation_prompt=True, err=True)
    except click.Abort:
        raise users.UserError(
            f"user: got no password for {name}", "type one, or give --password-file FILE (- for standard input)"
        ) from None


password_file = click.option(
    "--password-file", type=click.File(), help="File whose first line is the password; - is standard input."
)


@user.command()
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(users.roles()), help="What it may do; see docs/roles.md.")
@click.option("--schema-in", multiple=True, metavar="DB", help="Where a level3 user gets a schema of its own.")
@password_file
def add(name: str, role: str, schema_in: tuple[str, ...], password_file: TextIO | None) -> None:
    """Make a login, with the limits of its role."""
    users.add(name, role, _password(password_file, name), schema_in)
    click.echo(f"{name}: added as {role}")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """Show all logins with their roles, connection limits and open sessions."""
    found = users.listed()
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in found]))
        return
    if not found:
        click.echo("there are no users; `hven user add NAME --role scientist` makes one")
    for one in found:
        click.echo(f"{one.name:24} {one.role:16} {one.sessions} of {one.connections} connections")


@user.command()
@click.argument("name")
@password_file
def password(name: str, password_file: TextIO | None) -> None:
    """Change a user's password."""
    users.set_password(name, _password(password_file, name))
    click.echo(f"{name}: password changed")


@user.command()
@click.argument("name")
def drop(name: str) -> None:
    """End a user's sessions and drop the login; tables of its own must be gone."""
    users.drop(name)
    click.echo(f"{name}: dropped")
