"""Score DiaSources: how probably is each real, and not an artefact of the subtraction?

A logistic regression on features of the measurement and of the pixels round it, and on their products. Its
coefficients are data: `reliability.yaml`, made by `python -m pipelines.productions.reliability` from simulated scenes,
and, for a camera with faults of its own, `reliability_CAMERA.yaml`, made by `python -m pipelines.productions.injected`.
"""

from functools import cache
from pathlib import Path

import numpy as np
import yaml

from pipelines.steps.pointsource import forced_flux, weights

MODEL = Path(__file__).with_suffix(".yaml")
REACH = 4.0  # FWHM, the radius of what is looked at
FEATURES = (
    "log_snr",  # of the detection
    "log_chi2",  # of the PSF fit, for each degree of freedom
    "aperture",  # flux within 1.5 FWHM over the PSF flux, minus 1
    "opposite",  # flux of the other sign within 2 FWHM, in units of the source's
    "concentration",  # flux within 0.6 FWHM over what the PSF has there, minus 1
    "log_bright",  # brightest pixel of the science exposure, in sigma
    "log_noise",  # variance at the place over the sky's: what is known of bright stars' errors
    "log_template",  # SNR of what the template has at the place
    "log_ratio",  # flux in the template over the difference's
    "masked",  # part of the pixels that are unusable
    "scatter",  # rms of the difference between 1.5 and 4 FWHM, in sigma, minus 1
    "place",  # error of the place, in FWHM
    "apart",  # what sets the Snaps apart over their sum
    "log_apart",  # SNR of what sets the Snaps apart
    "sign",  # of the flux
)


@cache
def model(name="reliability"):
    """Return a shipped model: version, and the mean, scale and coefficients of its terms."""
    return {key: np.array(value) for key, value in yaml.safe_load(MODEL.with_stem(name).read_text()).items()}


def score_reliability(rows, difference, science, template, apart=None, name="reliability"):
    """Return DiaSources with `reliability`, from 0 to 1, and `reliability_version`.

    Below 0.1, where association rejects them, are about as many real ones as the training was told to lose.

    Parameters
    ----------
    rows : ndarray of DIA_SOURCE
    difference, science, template : Exposure
        On the same pixels.
    apart : Exposure, optional
        The first Snap minus the second.
    name : str
        Of the model.
    """
    rows, known = rows.copy(), model(name)
    terms = quadratic((features(rows, difference, science, template, apart) - known["mean"]) / known["scale"])
    rows["reliability"] = 1 / (1 + np.exp(-np.clip(terms @ known["coefficients"], -30, 30)))
    rows["reliability_version"] = known["version"]
    return rows


def quadratic(values):
    """Return 1, the values, clipped to ±4, and their products, shape (n, n_terms)."""
    values = np.clip(values, -4, 4)
    first, second = np.triu_indices(values.shape[1])
    return np.hstack([np.ones((len(values), 1)), values, values[:, first] * values[:, second]])


def features(rows, difference, science, template, apart=None):
    """Return what the model looks at, shape (n, len(FEATURES))."""
    psf, pixels = difference.psf, difference.pixels
    fwhm = psf.fwhm(difference.shape[1] / 2, difference.shape[0] / 2)
    half = int(np.ceil(REACH * fwhm))
    x, y = rows["x"].astype(float), rows["y"].astype(float)
    flux = np.where(rows["raw_flux"] == 0, 1, np.nan_to_num(rows["raw_flux"], nan=1.0)).astype(float)
    good = ~_cut(pixels.unusable, x, y, half, True)
    image = np.where(good, _cut(pixels.image, x, y, half, 0.0), 0)
    variance = np.where(good, _cut(pixels.variance, x, y, half, 1.0), 1)
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    radius = np.hypot(u - (x - np.rint(x))[:, None, None], v - (y - np.rint(y))[:, None, None])
    core, near, ring = radius < 0.6 * fwhm, radius < 2 * fwhm, (radius > 1.5 * fwhm) & (radius < REACH * fwhm)
    stamps = psf.stamps(x, y, 2 * half + 1)
    share = _sum(stamps, core & good) / np.maximum(stamps.sum(axis=(1, 2)), 1e-9)
    signed, sigma = image * np.sign(flux)[:, None, None], np.sqrt(variance)
    beyond = np.where(signed < -2 * sigma, -signed, 0)
    scatter = np.sqrt(_sum((image / sigma) ** 2, ring) / np.maximum(_sum(good, ring), 1))
    light = np.where(radius < REACH * fwhm, _cut(science.pixels.image, x, y, half, 0.0), 0)
    sky = np.median(pixels.variance[::8, ::8])
    shares, excess = _snaps(apart, x, y, flux)
    columns = (
        np.log(np.maximum(rows["snr"], 1)),
        np.log(np.clip(np.nan_to_num(rows["psf_chi2"], nan=10.0), 0.1, 100)),
        np.clip(np.nan_to_num(rows["ap_flux"] / rows["psf_flux"]) - 1, -3, 3),
        np.clip(_sum(beyond, near) / np.abs(flux), 0, 3),
        np.clip(_sum(signed, core) / np.abs(flux) / np.maximum(share, 0.02) - 1, -3, 3),
        np.log1p(np.maximum(light, 0).max(axis=(1, 2), initial=0) / np.sqrt(sky)),
        np.log(np.maximum(_sum(variance * stamps**2, good) / np.maximum(_sum(stamps**2, good), 1e-9) / sky, 0.1)),
        np.log1p(np.abs(np.nan_to_num(rows["template_flux"] / rows["template_flux_err"]))),
        np.log1p(np.abs(np.nan_to_num(rows["template_flux"])) / np.maximum(np.abs(rows["psf_flux"]), 1e-9)),
        np.mean(~good, axis=(1, 2)),
        np.clip(scatter - 1, -1, 5),
        np.clip(np.nan_to_num(np.hypot(rows["x_err"], rows["y_err"]), nan=3.0) / fwhm, 0, 3),
        shares, excess, np.sign(flux),
    )  # fmt: skip
    return np.nan_to_num(np.stack([np.asarray(c, float) for c in columns], axis=1)).reshape(len(rows), len(FEATURES))


def _snaps(apart, x, y, flux):
    """Return what sets the Snaps apart over the flux of both, and the log of its SNR; 0 where there is one Snap."""
    if apart is None:
        return np.zeros(len(x)), np.zeros(len(x))
    half, error = forced_flux(apart.pixels.image, weights(apart.pixels), apart.psf, x, y)
    share = np.clip(np.abs(np.nan_to_num(half / flux)), 0, 3)
    return share, np.log1p(np.abs(np.nan_to_num(half / error)))


def _sum(images, where):
    return np.sum(images * where, axis=(1, 2))


def _cut(image, x, y, half, outside):
    """Return squares of ± half pixels round positions, filled with `outside` beyond the border."""
    offset = np.arange(-half, half + 1)
    rows = np.rint(y).astype(int)[:, None, None] + offset[:, None]
    columns = np.rint(x).astype(int)[:, None, None] + offset
    inside = (rows >= 0) & (rows < image.shape[0]) & (columns >= 0) & (columns < image.shape[1])
    values = image[rows.clip(0, image.shape[0] - 1), columns.clip(0, image.shape[1] - 1)]
    return np.where(inside, values, outside)
