"""`hven watchdog`."""

from contextlib import closing

import click

from db import watchdog as dog
from db.connect import HUB, connect


@click.command()
@click.option("--once", is_flag=True, help="Look once, then end.")
@click.option("--period", default=dog.PERIOD, show_default=True, help="Seconds between looks.")
def watchdog(once: bool, period: float) -> None:
    """Cancel statements and end transactions that are over the limits of their users.

    `hven up` starts one for the private server. For an existing server, run it as a service, as an operator.
    """
    if not once:
        dog.watch(click.echo, period)
        return
    with closing(connect(HUB)) as session:
        for ended in dog.end_overlong(session):
            click.echo(dog.describe(ended))
