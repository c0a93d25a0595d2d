"""`hven quality`: metrics, what they hold, and what the observatory's control system is told."""

import click

from db.cli.output import as_json, ask, in_database, show


@click.group()
def quality() -> None:
    """Show quality metrics and what they hold; accept, and acknowledge what the observatory was told."""


@quality.command("show")
@in_database
@click.option("--visit", type=int, help="Only of this Visit.")
@click.option("--night", type=int, help="Only of this night: MJD of the local noon before it, minus 50000.")
@click.option("--field", help="Only of this field.")
@as_json
def show_metrics(database: str, visit: int | None, night: int | None, field: str | None, as_json: bool) -> None:
    """Put metrics together: over a Visit, a night, a field, or the whole database."""
    if sum(given is not None for given in (visit, night, field)) > 1:
        raise click.UsageError("give one of --visit, --night and --field")
    show(ask(database, "metrics", "rollup", {"visit_id": visit, "night": night, "field": field}), as_json)


@quality.command()
@in_database
@click.option("--gate", type=click.Choice(["stream", "release"]), help="Only what holds this.")
@click.option("--limit", default=50, show_default=True, help="How many at most.")
@as_json
def holds(database: str, gate: str | None, limit: int, as_json: bool) -> None:
    """List failing values that hold the sending of Alerts, or a release."""
    show(ask(database, "metrics", "holds", {"gate": gate, "limit": limit}), as_json, empty="nothing is held")
    if not as_json:
        held = ask(database, "metrics", "held_alerts")[1][0][0]
        click.echo(f"{held} Alerts wait for that")


@quality.command()
@click.argument("metric")
@click.argument("subject", type=int)
@click.option("--reason", required=True, help="Why it may pass all the same; it is kept with your name.")
@in_database
def accept(metric: str, subject: int, reason: str, database: str) -> None:
    """Let METRIC of SUBJECT (exposure_id, visit_id or release number) pass its gate though it fails."""
    from contextlib import closing

    from db import metrics
    from db.connect import connect

    with closing(connect(database)) as session, session, session.cursor() as cursor:
        metrics.accept(cursor, metric, subject, reason)
    click.echo(f"{metric} of {subject}: accepted")


@quality.command()
@in_database
@as_json
def feedback(database: str, as_json: bool) -> None:
    """List what the observatory's control system was told and has not acknowledged, the oldest first."""
    show(ask(database, "metrics", "unread"), as_json, empty="all is acknowledged")


@quality.command()
@click.argument("feedback_ids", type=int, nargs=-1, required=True)
@in_database
def acknowledge(feedback_ids: tuple[int, ...], database: str) -> None:
    """Note that these messages were read, by whom and when."""
    from contextlib import closing

    from db.connect import connect
    from db.queries import queries

    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("metrics")["acknowledge"], {"feedback": list(feedback_ids)})
        done = sorted(number for (number,) in cursor)
    click.echo(f"acknowledged: {', '.join(map(str, done)) or 'none, they are acknowledged already or are not there'}")
