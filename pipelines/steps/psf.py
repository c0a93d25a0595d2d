"""Model the PSF of a CCD from its stars: a smooth profile, and what the pixels show besides."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pipelines.image import Psf, VaryingImage
from pipelines.image.psf import oversampling_for, sample_many, spread_many
from pipelines.image.varying import polynomial
from pipelines.steps.conditions import BadInput
from pipelines.steps.pointsource import add_sources, fit_sources, weights
from pipelines.steps.profile import Profile
from pipelines.steps.robust import relative_misfit
from pipelines.steps.shape import adaptive_moments

BRIGHTEST = 0.003  # noise to signal from where on a star weighs no more, so that no single one decides
DEVIATION, VARYING = 0.1, 0.04  # of a pixel from the smooth profile, and its change over the field: expected, relative
SMOOTH_ROUNDS, STEPS = 2, 8  # rounds that fit the profile only; steps of conjugate gradients in each later one


class TooFewStars(BadInput):
    """An exposure without enough clean stars."""

    condition = "too_few_stars"


@dataclass(frozen=True)
class PsfParams:
    """How the PSF is modelled.

    Parameters
    ----------
    min_snr : float
        Of a star to be used.
    max_stars, min_stars : int
    size_fwhm : float
        Side of the model in FWHM.
    iterations : int
    """

    min_snr: float = 40.0
    max_stars: int = 1000
    min_stars: int = 8
    size_fwhm: float = 7.0
    iterations: int = 4


def select_stars(exposure, detections, params):
    """Choose clean detections on the stellar locus: the mode of size, which no star's brightness changes.

    Returns
    -------
    ndarray of int
        Brightest first.
    float
        Their full width at half maximum in pixels, that of a Gaussian of the same adaptive moments.
    """
    bright = detections["clean"] & (detections["snr"] > params.min_snr)
    good = np.flatnonzero(bright & ~_crowded(detections))[: 2 * params.max_stars]
    if len(good) < params.min_stars:
        raise TooFewStars(
            f"fit_psf got {len(good)} clean stars above SNR {params.min_snr:g}; it needs {params.min_stars}",
            "lower min_snr, or look for clouds, a closed dome or a wrong focus",
        )
    rough = np.median(np.hypot(detections["a"], detections["b"])[good])
    x, y = detections["x"][good], detections["y"][good]
    half = int(np.ceil(4 * rough))
    moments, _, converged = adaptive_moments(exposure.pixels.image, weights(exposure.pixels), x, y, rough, half)
    good, moments = good[converged], moments[converged]
    if len(good) < params.min_stars:
        raise TooFewStars(
            f"fit_psf could measure the shape of {len(good)} stars; it needs {params.min_stars}",
            "look for trailed or doubled images, or a wrong focus",
        )
    size = np.sqrt(np.maximum(moments[:, 0] + moments[:, 1], 0))
    ordered = np.sort(size)
    width = max(2, len(good) // 3)
    first = np.argmin(ordered[width - 1 :] - ordered[: len(good) - width + 1])
    locus = np.median(ordered[first : first + width])
    spread = max(ordered[first + width - 1] - ordered[first], 0.06 * locus)
    return good[np.abs(size - locus) < 1.5 * spread][: params.max_stars], 2.3548 * locus / np.sqrt(2)


def _crowded(detections, part=0.02):
    """Is there another detection of more than `part` of the flux within three widths?"""
    tree = cKDTree(np.stack([detections["x"], detections["y"]], axis=1))
    pairs = tree.query_pairs(3 * 2.3548 * np.median(detections["a"]), output_type="ndarray")
    flux, crowded = detections["flux"], np.zeros(len(detections), bool)
    for one, other in (pairs.T, pairs.T[::-1]):
        crowded[one[flux[other] > part * flux[one]]] = True
    return crowded


def fit_psf(exposure, detections, params=None):
    """Fit the PSF of one CCD to its stars.

    Each round removes all detections with the present model, refines the stars' fluxes and positions, drops stars
    that fit badly, and improves the model by what is left of the others. The first rounds fit a Moffat profile that
    varies with position (see `profile`), the later ones its deviations, pixel by pixel and linear in all, as Anderson
    & King (2000) do. Deviations are held to be small where the stars' noise leaves them open: wings, which hold
    little signal and much light, stay smooth, and with them the share of a star's light that its core has.

    Parameters
    ----------
    exposure : Exposure
        Without sky.
    detections : ndarray of DETECTION
    params : PsfParams, optional

    Returns
    -------
    Exposure
        With the Psf.
    ndarray of int
        The detections that were used.

    Raises
    ------
    TooFewStars
    """
    params = params or PsfParams()
    stars, fwhm = select_stars(exposure, detections, params)
    profile = Profile.round(fwhm, exposure.shape, params.size_fwhm * fwhm, oversampling_for(fwhm))
    base = psf = profile.psf()
    near, stars = _near(detections, stars, psf.size)
    detections = detections[near]
    weight = weights(exposure.pixels)
    x, y = detections["x"].copy(), detections["y"].copy()
    flux = np.zeros(len(x))
    residual = exposure.pixels.image
    for number in range(params.iterations):
        fitted = fit_sources(residual, weight, psf, x, y, own_flux=flux, iterations=2)
        ok = np.isfinite(fitted["flux"]) & (fitted["flux"] > 0)
        flux = np.where(ok, fitted["flux"], 0)
        x, y = np.where(ok, fitted["x"], x), np.where(ok, fitted["y"], y)
        residual = add_sources(exposure.pixels.image, psf, x, y, -flux)
        residual[weight == 0] = 0
        stars = _without_outliers(stars, ok, fitted, params)
        scaled = _scaled(residual, weight, psf, x[stars], y[stars], fitted[stars])
        if number < SMOOTH_ROUNDS:
            profile = profile.refined(x[stars], y[stars], *scaled, psf)
            base = psf = profile.psf()
        else:
            psf = _updated(psf, base, x[stars], y[stars], *scaled)
    note = f"psf: {len(stars)} stars, FWHM {psf.fwhm(*centre(exposure.shape)):.2f} px"
    return exposure.with_(note, psf=psf), near[stars]


def _near(detections, stars, reach):
    """Return the detections whose light may lie on the stars' stamps, and which of those the stars are."""
    places = np.stack([detections["x"], detections["y"]], axis=1)
    distance, _ = cKDTree(places[stars]).query(places, distance_upper_bound=reach)
    near = np.isfinite(distance)
    return np.flatnonzero(near), (np.cumsum(near) - 1)[stars]


def centre(shape):
    """Return x, y of the middle of a detector."""
    return (shape[1] - 1) / 2, (shape[0] - 1) / 2


def _without_outliers(stars, ok, fitted, params):
    """Drop stars that fit worse than others of their brightness, whose misfit the model's own error sets."""
    stars = stars[ok[stars]]
    misfit = np.log(fitted["chi2"][stars] / fitted["pixels"][stars])
    misfit = relative_misfit(misfit, fitted["flux"][stars])
    kept = stars[misfit < 4 * max(1.4826 * np.median(np.abs(misfit)), 0.05)]
    return kept if len(kept) >= params.min_stars else stars


def _scaled(residual, weight, psf, x, y, fitted):
    """Return the stars' residuals over their flux, and the inverse variance of that; 0 for what is not theirs."""
    values, inverse = _stamps(residual, weight, x, y, psf.size)
    flux = fitted["flux"][:, None, None]
    # The brightest few don't decide alone: each star's model is wrong by some part.
    least = 1 / (1 + BRIGHTEST**2 * fitted["flux"] ** 2 / fitted["var_flux"])
    values -= _local_sky(values, inverse > 0)
    values /= flux
    alien = np.abs(values) > 0.3 * psf.model.planes[0].max()  # a neighbour, a cosmic ray
    return np.where(alien, 0, values), np.where(alien, 0, inverse * flux**2 * least[:, None, None])


def _updated(psf, base, x, y, values, weight):
    """Return the model with the deviations from the smooth profile that the stars show, by conjugate gradients."""
    terms = polynomial(x, y, psf.model.shape, psf.model.degree)
    place = (terms, psf.oversampling, x - np.rint(x), y - np.rint(y))
    m = psf.model.planes.shape[1]
    size = np.array([DEVIATION] + [VARYING] * (len(terms) - 1))[:, None, None]
    spread = size * np.abs(base.model.planes[0])
    present = (psf.model.planes - base.model.planes) / spread

    def normal(planes):
        return spread * spread_many(weight * sample_many(spread * planes, *place, psf.size), *place, m) + planes

    right = spread * spread_many(weight * values, *place, m) - present
    planes = psf.model.planes + spread * conjugate_gradients(normal, right, STEPS)
    total = planes.sum(axis=(1, 2)) / psf.oversampling**2
    planes[1:] -= (total[1:, None, None] / total[0]) * planes[0]
    return Psf(VaryingImage(planes / total[0], psf.model.shape), psf.oversampling)


def _stamps(image, weight, x, y, size):
    """Cut squares round positions out of image and weight."""
    offset = np.arange(size) - size // 2
    rows = np.rint(y).astype(int)[:, None, None] + offset[:, None]
    columns = np.rint(x).astype(int)[:, None, None] + offset
    inside = (rows >= 0) & (rows < image.shape[0]) & (columns >= 0) & (columns < image.shape[1])
    rows, columns = rows.clip(0, image.shape[0] - 1), columns.clip(0, image.shape[1] - 1)
    return image[rows, columns].astype(float), np.where(inside, weight[rows, columns], 0).astype(float)


def _local_sky(stamps, used):
    """Return the median of each stamp's outer ring: faint undetected sources would else raise the wings."""
    half = stamps.shape[1] // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    ring = (np.hypot(u, v) > 0.8 * half) & (np.hypot(u, v) <= half)
    values = np.where(used[:, ring], stamps[:, ring], np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a stamp without ring
        return np.nan_to_num(np.nanmedian(values, axis=1))[:, None, None]


def conjugate_gradients(normal, right, iterations):
    """Solve normal(x) = right from x = 0; few iterations leave out what the data hardly constrain."""
    x = np.zeros_like(right)
    residual = right.copy()
    direction = residual.copy()
    power = np.vdot(residual, residual)
    for _ in range(iterations):
        image = normal(direction)
        step = power / max(np.vdot(direction, image), 1e-300)
        x += step * direction
        residual -= step * image
        power, last = np.vdot(residual, residual), power
        direction = residual + (power / max(last, 1e-300)) * direction
    return x
