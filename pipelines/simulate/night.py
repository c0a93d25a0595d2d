"""Nights of Visits to one field, with a supernova in a resolved galaxy that rises and fades from Visit to Visit."""

import numpy as np

from pipelines.instruments import Instrument
from pipelines.simulate.frames import scene_parameters
from pipelines.simulate.places import shifted
from pipelines.simulate.scene import TRANSIENT, Scene, magnitude, make_scene, nanojansky
from pipelines.simulate.visits import Visit, make_visit

CADENCE = 40.0  # seconds from Visit to Visit


def simulate_night(
    camera: Instrument, *, seed=1, visits=10, nights=1, bands="r", supernova=20.0, days=None, **parameters
) -> tuple[Scene, list[Visit]]:
    """Return a scene that fits a camera, and Visits of it, 40 s apart in each of consecutive nights.

    Parameters
    ----------
    camera : Instrument
        A simulated one; its detectors lie side by side.
    seed, visits, nights : int
        `visits` in each night.
    bands : str
        Letters that the Visits take in turns.
    supernova : float
        Its peak magnitude in r.
    days : float, optional
        From the supernova's beginning to its peak; it fades by e in three times as long. By default a quarter of
        the time that the Visits span, so that the whole light curve is seen.
    **parameters
        Other fields of SceneParameters. The other transients shine half of the time, with random beginnings.

    Returns
    -------
    Scene
        Its first transient is the supernova.
    list of Visit
        Numbered from 0, by 1000 a night.
    """
    scene = make_scene(scene_parameters(camera, seed=seed, **parameters))
    epoch = scene.parameters.epoch
    span = nights - 1 + visits * CADENCE / 86400
    days = span / 4 if days is None else days
    random = np.random.default_rng([seed, 500])
    transients = scene.transients.copy()
    transients["flux"] = nanojansky(random.uniform(18.5, 24, len(transients)))
    transients["start"] = epoch + span * random.uniform(-0.3, 1, len(transients))
    transients["rise"] = transients["decay"] = span / 8
    transients = np.concatenate([_supernova(scene, epoch, supernova, days), transients])
    plan = [
        make_visit(
            scene, 1000 * night + number, band=bands[number % len(bands)], tai=epoch + night + number * CADENCE / 86400
        )
        for night in range(nights)
        for number in range(visits)
    ]
    return scene.with_(transients=transients), plan


def _supernova(scene: Scene, epoch, peak, days):
    """One row of TRANSIENT: at half an effective radius of a resolved galaxy near the middle of detector 0."""
    p, galaxies = scene.parameters, scene.galaxies
    middle = shifted(np.array([p.ra]), np.array([p.dec]), (p.mosaic[1] - p.size) / 2 * p.scale, 0.0)
    distance = np.hypot((galaxies["ra"] - middle[0]) * np.cos(np.radians(p.dec)), galaxies["dec"] - middle[1])
    resolved = np.flatnonzero((distance < 0.35 * p.size * p.scale / 3600) & (magnitude(galaxies["flux"]) < 22))
    if not resolved.size:
        resolved = np.arange(len(galaxies))
    host = resolved[np.argmax(galaxies["radius"][resolved])]
    row = np.zeros(1, TRANSIENT)
    angle, half = galaxies["angle"][host], galaxies["radius"][host] / 2
    place = shifted(galaxies["ra"][host : host + 1], galaxies["dec"][host : host + 1],
                    half * np.cos(angle), half * np.sin(angle))  # fmt: skip
    row["ra"], row["dec"], row["host"], row["star"] = *place, host, -1
    row["flux"], row["snr"], row["start"], row["rise"], row["decay"] = nanojansky(peak), np.nan, epoch, days, 3 * days
    return row
