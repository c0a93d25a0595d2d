"""`hven demo`: the main job on a simulated sky, from nothing to Alerts, and what to ask next."""

import os
import time
from contextlib import contextmanager
from pathlib import Path

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


OF_A_NIGHT = {
    "Objects with most Sources": (
        "SELECT object_id, count(*) AS sources, round(avg(psf_flux)::numeric) AS psf_flux FROM source"
        " WHERE object_id IS NOT NULL GROUP BY object_id ORDER BY sources DESC, object_id LIMIT 5"
    ),
    "The exposures with the finest images": (
        "SELECT exposure_id, psf_fwhm, zeropoint FROM exposure WHERE kind = 'calibrated'"
        " ORDER BY psf_fwhm, exposure_id LIMIT 5"
    ),
}


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A folder of raw FITS frames to take instead of a simulated survey.")
@click.option("--camera", default="microobservatory", show_default=True, help="The instrument that took them.")
def demo(data: Path | None, camera: str) -> None:
    """Set up, simulate a small survey (or take a night's raw frames), process it, and query the result."""
    if data:
        _real_night(data, camera)
    else:
        _simulated()


def _real_night(data: Path, camera: str) -> None:
    """Make a bootstrap release of the frames, and run the night on it."""
    from rich.console import Console

    from db.bootstrap import ensure_astrometry
    from db.server import bring_up
    from db.settings import hven_home
    from migrations.upgrade import recreate, recreate_release, upgrade_all
    from pipelines import real_night
    from pipelines.instruments import instrument

    console = Console()
    began = time.monotonic()
    night = real_night.RealNight(
        real_night.frames(data), instrument(camera), hven_home() / "files", len(os.sched_getaffinity(0))
    )
    ensure_astrometry()
    bring_up()
    upgrade_all(console.print)
    for name, existed in ((real_night.RELEASE, recreate_release(real_night.RELEASE, 0)),
                          (real_night.LEVEL1, recreate(real_night.LEVEL1))):
        if existed:
            console.print(f"{name}: was there already; it is made anew, and what it held is gone")
    with _bar(console) as progress:
        sources = real_night.make_release(night, progress)
        console.print(f"{real_night.RELEASE}: {sources['sources']} Sources of {sources['objects']} Objects"
                      f" on {sources['exposures']} of {len(night.raws)} frames")
        alerts = real_night.observe(night, progress)
    console.print(f"{real_night.LEVEL1}: {alerts['dia_sources']} DiaSources, {alerts['alerts']} Alerts selected,"
                  f" {time.monotonic() - began:.0f} s in all")
    _show(console, real_night.RELEASE, OF_A_NIGHT)
    _write_pages(console, real_night.LEVEL1, _transits(night.camera.site))


@contextmanager
def _bar(console):
    """Show how far each phase is: a bar on a terminal, else a line now and then."""
    from rich.progress import Progress

    tasks = {}
    with Progress(console=console, disable=not console.is_terminal) as shown:
        def tell(phase: str, done: int, jobs: int) -> None:
            if phase not in tasks:
                tasks[phase] = shown.add_task(phase, total=jobs)
                console.print(f"{phase}: {jobs} jobs")
            shown.update(tasks[phase], completed=done, total=jobs)

        yield tell


def _simulated() -> None:
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
    _show(console, survey.DATABASE, QUERIES)
    _write_pages(console, survey.DATABASE)


def _transits(site: dict | None) -> dict[str, str]:
    """Return the pages of the known planets whose transits the frames show."""
    from contextlib import closing, suppress

    from db.connect import connect
    from pipelines.real_night import RELEASE
    from pipelines.report.transit_page import NoTransit, planets, transit_page

    made = {}
    with closing(connect(RELEASE)) as session:
        for name, planet in planets().items():
            with suppress(NoTransit):  # which is what most frames show of most planets
                made[f"transit-{name.replace(' ', '_')}.html"] = transit_page(session, planet, site)
    return made


def _write_pages(console, database: str, pages: dict[str, str] | None = None) -> None:
    """Write the report of the last night, the page of the Object that was seen most often, and other `pages`."""
    from contextlib import closing

    from db.connect import connect
    from db.files import FileStore
    from db.settings import hven_home
    from pipelines.report import ask
    from pipelines.report.nightly import last_night, nightly_report
    from pipelines.report.object_page import object_page

    folder = hven_home() / "pages"
    folder.mkdir(exist_ok=True)
    with closing(connect(database)) as session:
        night = last_night(session)
        pages = dict(pages or {})
        pages[f"report-{database}-{night}.html"] = nightly_report(session, night, f"{database}, night {night}")
        for object_id, in ask(session, "report_index", "seen_most").rows:
            pages[f"object-{object_id}.html"] = object_page(session, FileStore(hven_home() / "files"), str(object_id))
    console.print("Look at, in a browser:")
    for name, page in pages.items():
        (folder / name).write_text(page)
        console.print(f"  {folder / name}", highlight=False, soft_wrap=True)


def _show(console, database: str, queries: dict[str, str]) -> None:
    """Print the answers to some queries, and how to ask them."""
    from contextlib import closing

    from rich.table import Table

    from db.connect import connect

    with closing(connect(database)) as session, session.cursor() as cursor:
        for title, query in queries.items():
            cursor.execute(query)
            table = Table(*[column.name for column in cursor.description], title=title, title_justify="left")
            for row in cursor:
                table.add_row(*(f"{value:.6f}" if isinstance(value, float) else str(value) for value in row))
            console.print(table)
    console.print("Ask on, for instance:")
    for query in queries.values():
        console.print(f'  ./hven sql {database} -c "{query}"', highlight=False, soft_wrap=True)
