"""`hven level3`: spaces of users, and the verbs that the modules beside add."""

import json
from datetime import date
from typing import ClassVar

import click

from federation import spaces
from federation.cli.options import release
from federation.spaces import Terms


class Verbs(click.Group):
    """Verbs that lie in modules of their own, loaded on use."""

    ELSEWHERE: ClassVar = {
        "import": "tables:import_",
        "export": "tables:export",
        "list": "tables:list_",
        "register": "tables:register",
        "fetch": "tables:fetch",
        "federate": "foreign:federate",
        "query": "lanes:query",
        "history": "lanes:history",
        "cancel": "lanes:cancel",
        "serve": "lanes:serve",
    }
    """Verb → where its command is defined."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all verbs."""
        return sorted([*super().list_commands(ctx), *self.ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb's command."""
        if cmd_name in self.ELSEWHERE:
            from importlib import import_module

            module, attribute = self.ELSEWHERE[cmd_name].split(":")
            return getattr(import_module(f"federation.cli.{module}"), attribute)
        return super().get_command(ctx, cmd_name)


@click.group(cls=Verbs)
def level3() -> None:
    """Give users spaces of their own beside a release; import, export, federate, run their queries."""


@level3.command("open")
@click.argument("user")
@release
@click.option("--quota", default=spaces.DEFAULT_QUOTA, show_default=True, help="Bytes that it may hold: 500MB, 5GB.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="Until when it is kept.")
@click.option("--then", "afterwards", type=click.Choice(["archive", "drop"]), default="archive", show_default=True)
@click.option("--reason", help="Why it is worth it; recorded.")
@click.option("--cost", help="What it costs; recorded.")
def open_(user: str, release: str, quota: str, expires, afterwards: str, reason: str | None, cost: str | None) -> None:
    """Give a level3 user a schema of its own, or new terms for it."""
    until = expires.date() if expires else None
    terms = Terms(spaces.size(quota), until, afterwards, reason, cost)
    spaces.open_space(user, release, terms)
    click.echo(f"{user}: schema user_{user} in {release}, {quota}{f' until {until}' if until else ''}")


@level3.command()
@click.argument("user", required=False)
@release
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def usage(user: str | None, release: str, as_json: bool) -> None:
    """Show what spaces hold and may hold."""
    found = spaces.spaces(release, user)
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in found]))
        return
    for one in found:
        share = 100 * one.used / one.quota
        until = f"until {one.expires}, then {one.afterwards}" if one.expires else ""
        click.echo(
            f"{one.login:24} {one.used:>16,} of {one.quota:,} bytes ({share:.0f} %)  {one.products} products"
            f"  {one.state} {until}".rstrip()
        )


@level3.command()
@click.argument("user")
@click.argument("size")
@release
@click.option("--reason", required=True, help="Why; recorded.")
@click.option("--cost", help="What it costs; recorded.")
def quota(user: str, size: str, release: str, reason: str, cost: str | None) -> None:
    """Change what a space may hold."""
    now = spaces.space(release, user)
    terms = Terms(spaces.size(size), now.expires, now.afterwards, reason, cost)
    spaces.set_terms(user, release, "quota", terms)
    click.echo(f"{user}: {size} in {release}")


@level3.command()
@click.argument("user", required=False)
@release
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="Until when the space is kept.")
@click.option("--never", is_flag=True, help="Keep it without end.")
@click.option("--then", "afterwards", type=click.Choice(["archive", "drop"]), default="archive", show_default=True)
@click.option("--reason", help="Why; recorded.")
@click.option("--cost", help="What it costs; recorded.")
def expire(
    user: str | None, release: str, on, never: bool, afterwards: str, reason: str | None, cost: str | None
) -> None:
    """Set until when a space is kept; without USER, close all whose time is over."""
    from federation import closing

    if user is None:
        for login, what in closing.expire_due(release):
            click.echo(f"{login}: {what}")
        return
    if bool(on) == never or not reason:
        raise click.UsageError("give --on DATE or --never, and --reason")
    now = spaces.space(release, user)
    until: date | None = on.date() if on else None
    spaces.set_terms(user, release, "expire", Terms(now.quota, until, afterwards, reason, cost))
    click.echo(f"{user}: kept {f'until {until}, then {afterwards}' if until else 'without end'}")


@level3.command()
@click.argument("user")
@release
def records(user: str, release: str) -> None:
    """Show what was decided on a space, and why."""
    for when, what, allowed, until, reason, cost in spaces.records(user, release):
        click.echo(
            f"{when:%Y-%m-%d %H:%M}  {what:8} {allowed:,} bytes until {until or 'no end'};"
            f" {reason or '–'}; cost {cost or '–'}"
        )


@level3.command()
@click.argument("user")
@click.option("--to", "target", required=True, help="The release to work in from now on.")
@release
def move(user: str, target: str, release: str) -> None:
    """Take a user's tables from one release to another."""
    from federation import closing

    for line in closing.move(user, release, target):
        click.echo(line)


@level3.command()
@click.argument("user")
@release
@click.option("--archive/--drop", "archived", default=True, help="Keep the tables as Parquet files, or not.")
def close(user: str, release: str, archived: bool) -> None:
    """Take a space away; its tables are archived first."""
    from federation import closing

    click.echo(f"{user}: {closing.close(user, release, archived)}")


@level3.command()
@click.argument("user")
@click.argument("product")
@release
@click.option("--access", required=True, type=click.Choice(["private", "group", "public"]))
@click.option("--to", "readers", multiple=True, metavar="NAME", help="User, or group_NAME; for group.")
@click.option("--public-from", type=click.DateTime(["%Y-%m-%d"]), help="Proprietary until that date.")
def grant(user: str, product: str, release: str, access: str, readers: tuple[str, ...], public_from) -> None:
    """Let others read a product of a user's, or nobody."""
    spaces.share(user, release, product, access, readers, public_from and public_from.date())
    click.echo(f"{product} of {user}: {access}{' to ' + ', '.join(readers) if readers else ''}")


@level3.command()
@click.argument("name")
@click.argument("members", nargs=-1)
def group(name: str, members: tuple[str, ...]) -> None:
    """Make a group of users, or set its members."""
    spaces.create_group(name, members)
    click.echo(f"group_{name}: {', '.join(members) or 'nobody'}")
