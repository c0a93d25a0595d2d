"""The standard scene through the productions' own steps: raw Snaps, masters, references and template as files."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.image import Exposure
from pipelines.instruments import Instrument
from pipelines.productions.detector import calibrate_snaps, coadd_like, difference, parameters
from pipelines.productions.signature import Masters, make_masters
from pipelines.simulate import exposures, frames
from pipelines.simulate.scene import Scene
from pipelines.simulate.visits import Visit


@dataclass(frozen=True, eq=False)
class Given:
    """What a detector's production begins with, and the conditions that the truth follows from.

    Parameters
    ----------
    scene : Scene
    visit, reference : Visit
        Of the exposure and of the template.
    raws : list of Path
    masters : Masters
    stars : ndarray of REFERENCE
    template : Exposure
        With its PSF.
    """

    scene: Scene
    visit: Visit
    reference: Visit
    raws: list[Path]
    masters: Masters
    stars: np.ndarray
    template: Exposure


@dataclass(frozen=True, eq=False)
class Made:
    """What the production made of it."""

    exposure: Exposure
    found: np.ndarray
    apart: Exposure
    result: Exposure
    dia_sources: np.ndarray
    template: Exposure


def simulate(folder: Path, camera: Instrument, seed: int, masters: Masters | None = None, **scene) -> Given:
    """Write the raw Snaps of a standard scene; other options are those of SceneParameters."""
    sky, visit, reference = exposures.conditions(frames.scene_parameters(camera, seed=seed, **scene))
    raws = frames.write_visit(folder, sky, visit, camera, ("corrected",))
    masters = masters or make_masters(frames.write_calibrations(folder, camera, seed=seed), camera, 0)
    template, _ = exposures.template(sky, reference)
    return Given(sky, visit, reference, raws, masters, frames.reference_stars(sky), coadd_like(template))


def process(given: Given, camera: Instrument) -> Made:
    """Run the steps of one detector, as its job does."""
    exposure, found, apart = calibrate_snaps(given.raws, camera, 0, given.masters, lambda *_: given.stars)
    return Made(exposure, found, apart, *difference(exposure, found, given.template, parameters(camera), apart))


def save(given: Given, path: Path) -> None:
    """Keep it for another process of the same software."""
    path.write_bytes(pickle.dumps(given, pickle.HIGHEST_PROTOCOL))


def load(path: Path) -> Given:
    """Return what `save` kept."""
    return pickle.loads(path.read_bytes())
