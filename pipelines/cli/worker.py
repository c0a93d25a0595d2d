"""`hven worker`: processes that take jobs from the queues of some databases."""

import os
from pathlib import Path

import click


@click.command("worker")
@click.option("--database", "-d", "databases", multiple=True, metavar="NAME[=WEIGHT]",
              help="A Science Database to serve and its share; may be repeated. Default level1.")
@click.option("--concurrency", "-c", type=click.IntRange(1), help="Processes. Default one a core.")
@click.option("--store", type=click.Path(path_type=Path), help="Root of the file store. Default $HVEN_HOME/files.")
@click.option("--grace", default=30.0, show_default=True, help="Seconds a job may still take after SIGTERM.")
def worker(databases: tuple[str, ...], concurrency: int | None, store: Path | None, grace: float) -> None:
    """Run jobs until SIGTERM; then finish those in hand, or give them back."""
    from db.settings import hven_home
    from pipelines.pool import PoolParams, run_pool

    shares = dict(_share(text) for text in databases or ("level1",))
    cores = len(os.sched_getaffinity(0))
    for name in shares:  # a name that is mistyped would else be asked for again and again
        for said in strange_jobs(name):
            click.echo(said, err=True)
    count = concurrency or cores
    click.echo(f"{count} worker{'s' * (count > 1)} for {', '.join(shares)}; Ctrl-C ends them after the jobs in hand")
    run_pool(PoolParams(shares, store or hven_home() / "files", count, grace=grace))


def strange_jobs(database: str) -> list[str]:
    """Return a sentence for each kind of ready job that no worker of this version can run."""
    from contextlib import closing

    from db.connect import connect
    from db.queries import queries
    from pipelines.worker import KINDS

    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute(queries("jobs")["strange"], {"kinds": list(KINDS)})
        known = ", ".join(KINDS)
        return [f"{database}: {count} jobs of the kind {kind} stay where they are: this version knows {known}"
                for kind, count in cursor]  # fmt: skip


def _share(text: str) -> tuple[str, float]:
    name, _, weight = text.partition("=")
    try:
        share = float(weight or 1)
    except ValueError:
        share = 0.0
    if not name or share <= 0:
        raise click.BadParameter(f"got {text!r}; allowed is NAME or NAME=WEIGHT with a weight above 0")
    return name, share
