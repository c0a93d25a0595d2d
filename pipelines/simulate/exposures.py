"""Simulated exposures without detector effects, and the template: what steps after the instrument signature see."""

from dataclasses import dataclass, replace

import numba
import numpy as np

from pipelines.image import Exposure, MaskedImage, Observation, PhotoCalib
from pipelines.simulate import visits
from pipelines.simulate.bounds import information, local_variance
from pipelines.simulate.galaxies import add_galaxies
from pipelines.simulate.scene import Scene, SceneParameters, make_scene
from pipelines.simulate.seeing import Seeing
from pipelines.simulate.visits import GALAXY_KIND, SNAP_SECONDS, TRANSIENT_KIND, Visit, bodies, electrons, true_wcs

FULL_WELL = 100_000.0  # electrons in a pixel
READ_NOISE = 7.0  # electrons
DEPTH = 20  # Visits in a template


@dataclass(frozen=True, eq=False)
class Truth:
    """What one exposure truly shows.

    Parameters
    ----------
    bodies : ndarray of visits.BODY
        `flux` in electrons of the exposure's sum.
    expected : ndarray of float32
        Electrons without noise, with sky, before saturation.
    variance : ndarray of float32
        True variance of each pixel.
    saturated : ndarray of bool
        At full well, bleed trails included.
    seeing : Seeing
    zeropoint : float
        AB magnitude of one electron of the exposure.
    """

    bodies: np.ndarray
    expected: np.ndarray
    variance: np.ndarray
    saturated: np.ndarray
    seeing: Seeing
    zeropoint: float


def light(scene: Scene, visit: Visit, detector=0, *, snap=0, quiet=False):
    """Return the electrons that one Snap collects from everything but the sky, without noise, and the bodies.

    `quiet` leaves out what comes and goes.
    """
    p = scene.parameters
    side = p.size + 2 * visit.pad
    image, rows = np.zeros((side, side), np.float32), bodies(scene, visit, detector, snap=snap, quiet=quiet)
    seeing = visit.seeing(p, detector, snap)
    points = rows[rows["kind"] != GALAXY_KIND]
    seeing.add_stars(image, points["x"], points["y"], points["flux"])
    extended = rows[rows["kind"] == GALAXY_KIND]
    profile = _profiles(scene.galaxies[extended["index"]], visit.rotation, p.scale)
    add_galaxies(image, seeing, extended["x"], extended["y"], extended["flux"], profile)
    return image, rows


def _profiles(galaxies, rotation, scale):
    """Return columns half-light radius [pixels], e1, e2, ν; the pixels' x runs to the west."""
    ratio = galaxies["ratio"].astype(float)
    ellipticity = (1 - ratio**2) / (1 + ratio**2)
    angle = 2 * (np.pi - galaxies["angle"].astype(float) - rotation)
    radius = galaxies["radius"] * np.sqrt(ratio) / scale
    nu = np.round(galaxies["nu"].astype(float), 3)
    return np.column_stack([radius, ellipticity * np.cos(angle), ellipticity * np.sin(angle), nu])


@numba.njit(cache=True)
def bleed(image, well):
    """Let charge above the full well flow along the columns, half up and half down; return what is full."""
    full = np.zeros(image.shape, np.bool_)
    rows = image.shape[0]
    for i in range(image.shape[1]):
        for direction in (1, -1):
            carried = 0.0
            for step in range(rows):
                j = step if direction == 1 else rows - 1 - step
                charge = image[j, i]
                if charge > well:  # a half flows on in each direction
                    excess = charge - well if direction == -1 else 0.5 * (charge - well)
                    carried += excess
                    image[j, i] = charge - excess
                    full[j, i] = True
                elif carried > 0:
                    taken = min(carried, well - charge)
                    image[j, i] = charge + taken
                    carried -= taken
                    full[j, i] |= image[j, i] >= well
    return full


def calibrated(scene: Scene, visit: Visit, detector=0):
    """Return the sum of a Visit's Snaps as the steps after the instrument signature want it, and its Truth.

    Electrons without sky; WCS and photometric calibration are the true ones; the PSF is not known. The
    variance comes from the pixels' own counts, as a camera's does. Saturated pixels are flagged SAT.
    """
    expected = data = 0.0
    full, rows = False, []
    for snap in range(len(visit.snaps)):
        image, found = light(scene, visit, detector, snap=snap)
        sky = visit.sky(scene.parameters.scale)
        image += np.float32(sky)
        expected, rows = expected + image, [*rows, found]
        full |= bleed(image, FULL_WELL)
        random = visit.random(3, detector, snap)
        image = random.poisson(image).astype(np.float32)
        data = data + image + READ_NOISE * random.standard_normal(image.shape, np.float32)
    count = len(visit.snaps)
    floor = np.float32(count * READ_NOISE**2)
    mask = np.zeros(data.shape, np.int32)
    pixels = MaskedImage(data - np.float32(count * sky), mask, np.maximum(data, 0) + floor).with_flag(full, "SAT", 1)
    seeing = visits.mean_seeing(visit, scene.parameters, detector)
    zeropoint = visit.zeropoint + 2.5 * np.log10(count)
    truth = Truth(_joined(rows), expected, expected + floor, full, seeing, zeropoint)
    return _exposure(scene, visit, detector, pixels, "calibrated", zeropoint), truth


def _joined(rows):
    """Return one row a body for rows of each Snap: the flux is the sum, the position the mean."""
    every = np.concatenate(rows)
    _, first, same = np.unique(every[["kind", "index"]], return_index=True, return_inverse=True)
    joined = every[first]
    seen = np.bincount(same)
    for name in ("x", "y"):
        joined[name] = np.bincount(same, every[name]) / seen
    joined["flux"] = np.bincount(same, every["flux"])
    return joined


def _exposure(scene, visit, detector, pixels, kind, zeropoint):
    seconds = SNAP_SECONDS * len(visit.snaps)
    observation = Observation("simcam", detector, 0, kind, visit.band, visit.midpoint_tai, seconds, visit.number,
                              (scene.parameters.ra, scene.parameters.dec))  # fmt: skip
    wcs = true_wcs(scene.parameters, visit, detector)
    return Exposure(pixels, observation, wcs=wcs, photo_calib=PhotoCalib.from_zeropoint(zeropoint))


def template_visit(visit: Visit, scene: Scene, ratio) -> Visit:
    """Return the conditions of a template: `ratio` is the Visit's FWHM over the template's."""
    fwhm = visit.snaps[0].fwhm / ratio
    return visits.make_visit(
        scene, 1_000_000 + visit.number, band=visit.band, fwhm=fwhm, tai=visit.midpoint_tai - 300,
        smooth_mas=visits.SMOOTH_MAS, distorted=False, pad=40, trail=False, rotation=visit.rotation + 0.002,
        transparency=0.9,
    )  # fmt: skip


def template(scene: Scene, visit: Visit, detector=0, *, depth=DEPTH):
    """Return a deep coadd's stand-in: `depth` Visits' mean of what does not come and go, noise of its own, and Truth.

    Its WCS is wrong by `visit.smooth_mas`; it reaches `visit.pad` pixels beyond the detector.
    """
    expected, rows = light(scene, visit, detector, quiet=True)
    sky, count = visit.sky(scene.parameters.scale), len(visit.snaps)
    expected += np.float32(sky)
    image = expected.copy()
    full = bleed(image, FULL_WELL)
    image, expected = count * image, count * expected
    variance = (image + np.float32(count * READ_NOISE**2)) / depth
    noise = visit.random(3, detector).standard_normal(image.shape, np.float32)
    mask = np.zeros(image.shape, np.int32)
    pixels = MaskedImage(image - np.float32(count * sky) + np.sqrt(variance) * noise, mask, variance)
    rows["flux"] *= count
    truth = Truth(rows, expected, variance, full, visit.seeing(scene.parameters, detector),
                  visit.zeropoint + 2.5 * np.log10(count))  # fmt: skip
    return _exposure(scene, visit, detector, pixels.with_flag(full, "SAT", 1), "template", truth.zeropoint), truth


def with_transients(scene: Scene, visit: Visit, reference: Visit, *, depth=DEPTH) -> Scene:
    """Return the scene with transients that have, in the Visit's difference on detector 0, the SNR wanted.

    The SNR is the best that the images allow (see `bounds`), with the noise of hosts, neighbours and the
    transient itself.
    """
    p, transients = scene.parameters, scene.transients.copy()
    transients["flux"] = 1.0
    sums, places = [], []
    for each in (visit, reference):
        image, _ = light(scene, each, quiet=True)
        count = len(each.snaps)
        variance = count * (image + np.float32(each.sky(p.scale) + READ_NOISE**2))
        x, y = true_wcs(p, each).pixel(transients["ra"], transients["dec"])
        local = local_variance(variance, each.seeing(p), x, y)
        sums.append(np.where(np.isnan(local), count * (each.sky(p.scale) + READ_NOISE**2), local))
        places.append((x, y))
    mean = visits.mean_seeing(visit, p)
    per_flux = len(visit.snaps) * electrons(visit, 1.0, transients["colour"])
    scale = 10 ** (0.4 * (visit.zeropoint - reference.zeropoint))
    fwhm = [mean.shape(*places[0])[:, 0], reference.seeing(p).shape(*places[1])[:, 0]]
    flux = np.zeros(len(transients))
    peak = 1.5 * information(fwhm[0], 1.0)[0]  # ΣP³ / ΣP², the PSF that the source's own noise is weighted by
    for _ in range(6):
        info, _ = information(fwhm[0], sums[0] + peak * flux, fwhm[1], sums[1] * scale**2 / depth)
        flux = transients["snr"] / np.sqrt(info)
    transients["flux"] = flux / per_flux
    return scene.with_(transients=transients)


@dataclass(frozen=True, eq=False)
class Standard:
    """A standard scene observed: the exposure, the template, and the truth of both."""

    scene: Scene
    visit: Visit
    reference: Visit
    science: Exposure
    truth: Truth
    template: Exposure
    template_truth: Truth


def conditions(parameters: SceneParameters, number=0, *, fwhm=None, ratio=None):
    """Return the scene, with its transients, and the conditions of Visit and template.

    FWHM (3 to 6 pixels) and its ratio to the template's (0.7 to 1.3) are drawn where they are not given.
    """
    scene = make_scene(parameters)
    visit = visits.make_visit(scene, number, fwhm=fwhm)
    ratio = visit.random(9).uniform(0.7, 1.3) if ratio is None else ratio
    reference = template_visit(visit, scene, ratio)
    return with_transients(scene, visit, reference), visit, reference


def standard(seed=1, size=4096, *, fwhm=None, ratio=None, **parameters) -> Standard:
    """Simulate the standard scene as a calibrated exposure with its template.

    Parameters
    ----------
    seed, size : int
    fwhm, ratio : float, optional
        Of the Visit [pixels], and over the template's; drawn by default.
    **parameters
        Other fields of SceneParameters, e.g. ``completeness=True``.
    """
    scene, visit, reference = conditions(replace(SceneParameters(seed, size), **parameters), fwhm=fwhm, ratio=ratio)
    return Standard(scene, visit, reference, *calibrated(scene, visit), *template(scene, reference))


def transient_rows(truth: Truth):
    """Return the transients among a Truth's bodies."""
    return truth.bodies[truth.bodies["kind"] == TRANSIENT_KIND]
