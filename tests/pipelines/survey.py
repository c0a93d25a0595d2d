"""A tiny simulated survey: raw frames, calibration frames and reference stars, taken in by the live database."""

import os
import signal
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import psycopg2
from astropy.table import Table

from db import queue
from db.connect import connect
from db.files import FileStore
from db.queue import Production
from pipelines.instruments import instrument
from pipelines.productions.ingest import ingest
from pipelines.productions.masters import certify
from pipelines.productions.refcat import import_catalogue
from pipelines.simulate import frames
from pipelines.simulate.night import simulate_night

CAMERA = instrument("simcam_1k")
GIVEN = {"instrument": "simcam_1k", "reference": "simulated"}


def write(folder: Path, bands: str, nights: int, visits: int, seed: int = 5, **parameters) -> tuple:
    """Write raw frames as they are read, and calibration frames; return scene, plan and raw frames by Visit."""
    scene, plan = simulate_night(CAMERA, seed=seed, visits=visits, nights=nights, bands=bands, **parameters)
    for band in bands:
        frames.write_calibrations(folder, CAMERA, band=band, stream="raw")
    raws = {
        visit.number: [_write(folder, scene, visit, snap) for snap in range(len(visit.snaps))] for visit in plan
    }
    return scene, plan, raws


def _write(folder, scene, visit, snap) -> Path:
    place = Path(folder, "raw", f"{visit.number}_{snap}.fits")
    return frames.write_frame(frames.expose(scene, visit, CAMERA, snap), place)


def take_in(database: str, store: FileStore, scene, raws: list[Path]) -> None:
    """Let a live database know reference stars and raw frames; nothing is processed."""
    stars = frames.reference_stars(scene)
    with closing(connect(database)) as session:
        with session, session.cursor() as cursor:
            columns = {name: name for name in ("ra", "dec", "magnitude")}
            import_catalogue(session, "simulated", Table(stars), columns, 2025.9, "r")
            production = queue.start_production(cursor, Production("alert", "raw only", "1"))
        for raw in raws:
            ingest(session, store, raw, CAMERA, production, jobs=lambda *_: [])


def calibrations(folder: Path, store: FileStore) -> None:
    """Certify masters of the survey's calibration frames."""
    certify(store, sorted(Path(folder, "calibration").glob("*.fits")), CAMERA, 0.0, 1e5)


def kill_worker(name: str) -> bool:
    """Kill with -9 the worker that has been at a job of a release the longest; return whether there was one."""
    with suppress(psycopg2.Error, ProcessLookupError), closing(connect(name)) as session, session.cursor() as cursor:
        cursor.execute("SELECT worker FROM queue.job WHERE state = 'running' ORDER BY started LIMIT 1")
        found = cursor.fetchone()
        if found:
            os.kill(int(found[0].rsplit(":", 1)[1]), signal.SIGKILL)
            return True
    return False


def truth(scene) -> np.ndarray:
    """Return the true positions of stars, in deg, shape (n, 2)."""
    return np.stack([scene.stars["ra"], scene.stars["dec"]], axis=-1)
