"""A folder of raw frames as a survey's first night: a bootstrap release is made of them, then the night runs on it."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extras import RealDictCursor

from db import queue
from db.connect import connect
from db.errors import HvenError
from db.files import FileStore
from db.handover import hand_over
from db.queries import queries
from db.queue import Production
from db.software import software
from pipelines.instruments import Instrument
from pipelines.pool import PoolParams, running
from pipelines.productions import bootstrap
from pipelines.productions.ingest import ingest
from pipelines.report.transit_page import planets

RELEASE = "bootstrap_demo"
LEVEL1 = "level1_demo"
ENDINGS = (".fits", ".fit", ".fits.gz", ".fit.gz", ".fits.fz")
WATCHED = 8.0  # arcsec from a known planet's place within which its star is
PERIOD = 1.0  # seconds between two looks at the progress

Progress = Callable[[str, int, int], None]
"""Told the phase, the jobs done, and all jobs."""


class NoFrames(HvenError):
    """A folder without raw frames."""

    exit_status = 66


class Unfinished(HvenError):
    """Jobs that could not be done."""

    exit_status = 7


@dataclass(frozen=True)
class RealNight:
    """What a night is made from.

    Parameters
    ----------
    raws : sequence of Path
    camera : Instrument
    store : Path
        Root of the file store.
    workers : int
    """

    raws: Sequence[Path]
    camera: Instrument
    store: Path
    workers: int

    @property
    def association(self) -> dict[str, float]:
        """Parameters of association that differ from the default, which is made for small pixels."""
        scale = self.camera.pixel_scale
        return {"radius_arcsec": max(1.0, 0.8 * scale), "floor_arcsec": max(0.01, 0.02 * scale)}


def frames(folder: Path) -> list[Path]:
    """Return the FITS files of a folder, by name.

    Raises
    ------
    NoFrames
    """
    found = sorted(path for path in folder.iterdir() if path.name.lower().endswith(ENDINGS))
    if not found:
        raise NoFrames(
            f"demo: no file in {folder} ends in {', '.join(ENDINGS)}", "name a folder of raw FITS frames"
        )
    return found


def make_release(night: RealNight, progress: Progress) -> dict[str, int]:
    """Fill the bootstrap release, which must be empty, from all frames; return how many rows it has of what."""
    with closing(connect(RELEASE)) as connection:
        settings = {"instrument": night.camera.name, "association": night.association}
        production = _production(connection, "release", "bootstrap", settings)
        bootstrap.begin(connection, FileStore(night.store), night.raws, night.camera, production)
    _run(night, RELEASE, production, "release", progress)
    return _count(RELEASE, "count_release")


def observe(night: RealNight, progress: Progress) -> dict[str, int]:
    """Hand the release over to an empty live database, process the frames there; return what came of it."""
    hand_over(RELEASE, LEVEL1)
    with closing(connect(RELEASE)) as connection, connection.cursor() as cursor:
        cursor.execute(queries("bootstrap")["dark"], {"detector_id": night.camera.detectors[0].number})
        dark = cursor.fetchone()[0]
        cursor.execute(queries("bootstrap")["flats"])
        flats = cursor.fetchone()[0]
    with closing(connect(LEVEL1)) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(queries("bootstrap")["template"])
            template = bytes(cursor.fetchone()[0]).hex()
        settings = {
            "instrument": night.camera.name, "template": template, "reference": bootstrap.REFERENCE, "dark": dark,
            "flat": next(iter(flats.values()), None), "association": night.association,
        }
        production = _production(connection, "alert", "night", settings)
        for raw in night.raws:
            ingest(connection, FileStore(night.store), raw, night.camera, production)
        with connection, connection.cursor() as cursor:
            _watch(cursor)
    _run(night, LEVEL1, production, "night", progress)
    return _count(LEVEL1, "count_night")


def _watch(cursor) -> None:
    """Put the stars of known planets on the list: a transit is no detection, but a dip of forced photometry."""
    known = planets().values()
    cursor.execute(queries("bootstrap")["watch"], {
        "ra": [planet.ra for planet in known], "dec": [planet.dec for planet in known], "radius_arcsec": WATCHED,
    })


def _count(database: str, query: str) -> dict[str, int]:
    with closing(connect(database)) as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(queries("bootstrap")[query])
        return dict(cursor.fetchone())


def _production(connection, kind: str, name: str, settings: dict) -> int:
    with connection, connection.cursor() as cursor:
        return queue.start_production(cursor, Production(kind, name, **vars(software()), parameters=settings))


def _run(night: RealNight, database: str, production: int, phase: str, progress: Progress) -> None:
    """Keep workers at a production until none of its jobs is left to do."""
    workers = PoolParams({database: 1.0}, night.store, night.workers)
    with closing(connect(database)) as connection, running(workers) as pool:
        connection.autocommit = True
        while pool.is_alive():
            with connection.cursor() as cursor:
                queue.tend(cursor)
                counts = queue.counts(cursor, production)
            done, left = counts.get("done", 0), counts.get("ready", 0) + counts.get("running", 0)
            progress(phase, done, sum(counts.values()))
            if not left and not (counts.get("waiting", 0) and not counts.get("dead", 0)):
                break
            pool.join(PERIOD)
    if done < sum(counts.values()):
        raise Unfinished(
            f"demo: {sum(counts.values()) - done} jobs of {phase} in {database} were not done",
            f"`hven jobs list -d {database}` says why",
        )
