"""A small simulated survey: raw frames, calibration frames and reference stars, taken in by the live database."""

import os
import signal
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg2
from astropy.table import Table

from db import queue
from db.connect import connect
from db.files import FileStore
from db.queue import Production
from pipelines.instruments import Instrument, instrument
from pipelines.productions.ingest import ingest
from pipelines.productions.masters import certify
from pipelines.productions.refcat import import_catalogue
from pipelines.simulate import frames
from pipelines.simulate.night import CADENCE, simulate_night
from pipelines.simulate.scene import Scene
from pipelines.simulate.visits import Visit, make_visit

CAMERAS = {1: "simcam_1k", 2: "simcam_2x1k"}
CAMERA = instrument("simcam_1k")
GIVEN = {"instrument": "simcam_1k", "reference": "simulated"}
FIELDS_APART = 90.0  # deg; from the second on a border of patches goes through a field
SEED = 5


@dataclass(frozen=True)
class Survey:
    """How much is observed: each night every field once in every band, for as many nights as there are epochs.

    A first release has three nights, the fewest that tell transients; a second one has more, and takes over after
    yet another night.
    """

    fields: int = 1
    bands: str = "r"
    epochs: int = 6
    detectors: int = 1

    @classmethod
    def of(cls, text: str) -> "Survey":
        """Return the survey that "fields,bands,epochs,detectors" names; the small one without."""
        fields, bands, epochs, detectors = text.split(",") if text else (1, "r", 6, 1)
        return cls(int(fields), bands, int(epochs), int(detectors))

    @property
    def camera(self) -> Instrument:
        """The simulated camera with as many detectors."""
        return instrument(CAMERAS[self.detectors])

    @property
    def given(self) -> dict[str, str]:
        """What releases and nights are given."""
        return {"instrument": self.camera.name, "reference": "simulated"}

    @property
    def built(self) -> tuple[int, int]:
        """Nights in each release; the supernova of each field bursts in the first that the first one lacks."""
        return 3, 3 + self.epochs // 6

    @property
    def switch(self) -> int:
        """Nights until the second release takes over."""
        return self.built[1] + 1

    def observe(self) -> tuple[list[Scene], list[list[Visit]]]:
        """Return the scene of each field, and the Visits of each night, of each field in every band.

        The stars are as bright in each band as in the other, as the reference catalogue has one magnitude of each.
        """
        scenes = [self._scene(field) for field in range(self.fields)]
        each = [(scene, band) for scene in scenes for band in self.bands]
        nights = [
            [make_visit(scene, night * len(each) + n, band=band,
                        tai=scene.parameters.epoch + night + n * CADENCE / 86400)
             for n, (scene, band) in enumerate(each)]
            for night in range(self.epochs)
        ]  # fmt: skip
        return scenes, nights

    def _scene(self, field: int) -> Scene:
        ra = (150.0 + FIELDS_APART * field) % 360
        scene, _ = simulate_night(self.camera, seed=SEED + field, visits=1, nights=self.epochs, days=2.0, ra=ra)
        transients, stars = scene.transients.copy(), scene.stars.copy()
        transients["start"][0] = scene.parameters.epoch + self.built[0] - 1
        stars["colour"] = 0
        return scene.with_(transients=transients, stars=stars)

    def field_of(self, number: int) -> int:
        """Return the field that Visit `number` shows."""
        return number // len(self.bands) % self.fields

    def write(self, folder: Path, scenes: Sequence[Scene], night: Sequence[Visit]) -> list[Path]:
        """Write the raw frames of a night as they are read."""
        return [
            _write(folder, scenes[self.field_of(visit.number)], visit, snap, self.camera)
            for visit in night for snap in range(len(visit.snaps))
        ]  # fmt: skip


def write(folder: Path, bands: str, nights: int, visits: int, seed: int = SEED, **parameters) -> tuple:
    """Write raw frames as they are read, and calibration frames; return scene, plan and raw frames by Visit."""
    scene, plan = simulate_night(CAMERA, seed=seed, visits=visits, nights=nights, bands=bands, **parameters)
    write_calibrations(folder, bands)
    raws = {
        visit.number: [_write(folder, scene, visit, snap) for snap in range(len(visit.snaps))] for visit in plan
    }
    return scene, plan, raws


def write_calibrations(folder: Path, bands: str, camera: Instrument = CAMERA) -> None:
    """Write calibration frames as they are read."""
    for band in bands:
        frames.write_calibrations(folder, camera, band=band, stream="raw")


def _write(folder, scene, visit, snap, camera=CAMERA) -> Path:
    place = Path(folder, "raw", f"{visit.number}_{snap}.fits")
    return frames.write_frame(frames.expose(scene, visit, camera, snap), place)


def take_in(database: str, store: FileStore, scenes: Sequence[Scene], raws: list[Path], camera=CAMERA) -> None:
    """Let a live database know reference stars and raw frames; nothing is processed."""
    stars = np.concatenate([frames.reference_stars(scene) for scene in scenes])
    with closing(connect(database)) as session:
        with session, session.cursor() as cursor:
            columns = {name: name for name in ("ra", "dec", "magnitude")}
            import_catalogue(session, "simulated", Table(stars), columns, 2025.9, "r")
            production = queue.start_production(cursor, Production("alert", "raw only", "1"))
        for raw in raws:
            ingest(session, store, raw, camera, production, jobs=lambda *_: [])


def calibrations(folder: Path, store: FileStore, camera=CAMERA) -> None:
    """Certify masters of the survey's calibration frames."""
    certify(store, sorted(Path(folder, "calibration").glob("*.fits")), camera, 0.0, 1e5)


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
