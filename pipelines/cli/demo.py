"""`hven demo`: the main job on a simulated sky, from nothing to Alerts, and what to ask next."""

import time

import click

QUERIES = {
    "Objects within one arcminute of the field's centre": (
        "SELECT object_id, ra, dec, extendedness FROM sky_cone(NULL::object, 150, -2, 60) ORDER BY object_id LIMIT 5"
    ),
    "Objects with most DiaSources": (
        "SELECT object_id, dia_sources, first_tai, last_tai FROM object WHERE dia_sources > 0"
        " ORDER BY dia_sources DESC, object_id LIMIT 5"
    ),
    "Visits with most Alerts": (
        "SELECT visit_id, count(*) AS alerts FROM alert GROUP BY visit_id ORDER BY alerts DESC, visit_id LIMIT 5"
    ),
}


@click.command()
def demo() -> None:
    """Set up, simulate a small survey, associate its detections, select Alerts, and query the result."""
    from rich.console import Console
    from rich.progress import track

    from db.server import bring_up
    from migrations.upgrade import recreate, upgrade_all
    from pipelines.productions import demo as survey

    console = Console()
    began = time.monotonic()
    bring_up()
    upgrade_all(console.print)
    if recreate(survey.DATABASE):
        console.print(f"{survey.DATABASE}: was there already; it is made anew, and what it held is gone")
    sky, visits = survey.simulate()
    loaded = survey.load_catalogue(sky, visits)
    console.print(f"{survey.DATABASE}: {loaded} Objects loaded, {visits.size} Visits to come")
    quiet = not console.is_terminal
    summaries = list(track(survey.observe(sky, visits), "Visits", visits.size, console=console, disable=quiet))
    console.print(
        f"{len(summaries)} Visits: {sum(s.dia_sources for s in summaries)} DiaSources associated,"
        f" {sum(s.alerts['alerts'] for s in summaries)} Alerts selected,"
        f" {time.monotonic() - began:.0f} s in all"
    )
    _show(console, survey.DATABASE)


def _show(console, database: str) -> None:
    """Print the answers to some queries, and how to ask them."""
    from contextlib import closing

    from rich.table import Table

    from db.connect import connect

    with closing(connect(database)) as session, session.cursor() as cursor:
        for title, query in QUERIES.items():
            cursor.execute(query)
            table = Table(*[column.name for column in cursor.description], title=title, title_justify="left")
            for row in cursor:
                table.add_row(*(f"{value:.6f}" if isinstance(value, float) else str(value) for value in row))
            console.print(table)
    console.print("Ask on, for instance:")
    for query in QUERIES.values():
        console.print(f'  ./hven sql {database} -c "{query}"', highlight=False, soft_wrap=True)
