"""Second moments of sources, with errors, and whether they are extended."""

import numba
import numpy as np
from scipy.special import ndtr

from pipelines.image.psf import sample_model
from pipelines.image.varying import polynomial
from pipelines.steps.pointsource import model_at

CORE = 0.87  # of the FWHM of equal noise area: what the core of a PSF with wings has
MODEL_ERROR = 0.02  # of a size, by the PSF model and by neighbours too faint to be told


@numba.njit(cache=True)
def _adaptive_moments(image, weight, x, y, sigma, half, iterations, out):
    """Moments with an elliptical Gaussian weight matched to the source (Bernstein & Jarvis 2002).

    Columns of out: mxx, myy, mxy, amplitude of the matched Gaussian, variance of a pixel, converged.
    """
    for star in range(len(x)):
        column, row = int(np.rint(x[star])), int(np.rint(y[star]))
        mxx = myy = sigma[star] ** 2
        mxy = 0.0
        converged = 0.0
        for _ in range(iterations):
            determinant = mxx * myy - mxy * mxy
            if determinant <= 0.05 or mxx > half * half or myy > half * half:
                break
            s = sxx = syy = sxy = norm = noise = 0.0
            for jj in range(max(0, row - half), min(image.shape[0], row + half + 1)):
                for ii in range(max(0, column - half), min(image.shape[1], column + half + 1)):
                    if weight[jj, ii] == 0.0:
                        continue
                    dx, dy = ii - x[star], jj - y[star]
                    r2 = (myy * dx * dx - 2 * mxy * dx * dy + mxx * dy * dy) / determinant
                    if r2 > 16.0:
                        continue
                    w = np.exp(-0.5 * r2)
                    value = w * image[jj, ii]
                    s += value
                    sxx += value * dx * dx
                    syy += value * dy * dy
                    sxy += value * dx * dy
                    norm += w * w
                    noise += w * w / weight[jj, ii]
            if s == 0.0:
                break
            # A Gaussian under its own weight shows half its moments.
            nxx, nyy, nxy = 2 * sxx / s, 2 * syy / s, 2 * sxy / s
            if not (nxx > 0 and nyy > 0 and nxx * nyy > nxy * nxy):
                break
            change = abs(nxx - mxx) + abs(nyy - myy) + abs(nxy - mxy)
            mxx, myy, mxy = nxx, nyy, nxy
            out[star, 3], out[star, 4] = s / norm, noise / norm
            if change < 1e-3 * (mxx + myy):
                converged = 1.0
                break
        out[star, 0], out[star, 1], out[star, 2], out[star, 5] = mxx, myy, mxy, converged


def adaptive_moments(image, weight, x, y, sigma, half, iterations=50):
    """Return moments (n, 3) [pixel²] xx, yy, xy, their errors (n, 3), and whether they converged.

    Parameters
    ----------
    image, weight : ndarray
        Counts and inverse variance.
    x, y : ndarray, shape (n,)
        Centres in pixels.
    sigma : float
        First guess of the Gaussian width in pixels.
    half : int
        Half width of the box used.
    """
    out = np.zeros((len(x), 6))
    image, weight = np.asarray(image, np.float32), np.asarray(weight, np.float32)
    _adaptive_moments(image, weight, np.asarray(x, float), np.asarray(y, float),
                      np.broadcast_to(float(sigma), len(x)), half, iterations, out)  # fmt: skip
    moments, converged = out[:, :3], out[:, 5] > 0
    determinant = np.maximum(moments[:, 0] * moments[:, 1] - moments[:, 2] ** 2, 1e-6)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise_to_signal = np.sqrt(out[:, 4] / (np.pi * np.sqrt(determinant))) / np.abs(out[:, 3])
    # Fisher information of an elliptical Gaussian in white noise, its amplitude marginalised.
    errors = 2 * np.stack([
        np.sqrt(2) * moments[:, 0] * noise_to_signal,
        np.sqrt(2) * moments[:, 1] * noise_to_signal,
        np.sqrt(np.maximum(moments[:, 0] * moments[:, 1], 0)) * noise_to_signal,
    ], axis=1)  # fmt: skip
    return moments, errors, converged


def measure_shapes(rows, exposure, weight, x, y, jacobian):
    """Fill ixx, iyy, ixy with errors [arcsec², along east and north] and shape_flag of `rows`."""
    fwhm = exposure.psf.fwhm(exposure.shape[1] / 2, exposure.shape[0] / 2)
    half = int(np.ceil(2.5 * fwhm))
    moments, errors, converged = adaptive_moments(exposure.pixels.image, weight, x, y, fwhm / 2.3548, half)
    good = converged & np.isfinite(errors).all(axis=1) & ~rows["psf_flux_flag"]
    tensor = np.empty((len(x), 2, 2))
    tensor[:, 0, 0], tensor[:, 1, 1] = moments[:, 0], moments[:, 1]
    tensor[:, 0, 1] = tensor[:, 1, 0] = moments[:, 2]
    sky = jacobian @ tensor @ np.swapaxes(jacobian, 1, 2)
    scale = np.abs(np.linalg.det(jacobian))
    for name, value in (("ixx", sky[:, 0, 0]), ("iyy", sky[:, 1, 1]), ("ixy", sky[:, 0, 1])):
        rows[name] = np.where(good, value, np.nan)
    for k, name in enumerate(("ixx_err", "iyy_err", "ixy_err")):
        rows[name] = np.where(good, errors[:, k] * scale, np.nan)
    rows["shape_flag"] = ~good


@numba.njit(cache=True)
def _excess(image, weight, planes, terms, oversampling, places, width, out):
    """Fill out with how much larger than the PSF each source is, relative, and the error; NaN without light."""
    half = int(np.ceil(3 * width))
    size = 2 * half + 1
    model, stamp, gauss = np.empty(planes.shape[1:]), np.empty((size, size)), np.zeros((size, size))
    square = np.empty((size, size))
    for star in range(len(places)):
        x, y, own = places[star]
        column, row = int(np.rint(x)), int(np.rint(y))
        model_at(planes, terms, star, model)
        sample_model(model, oversampling, x - column, y - row, stamp)
        light = moment = psf_light = psf_moment = 0.0
        for j in range(size):
            for i in range(size):
                jj, ii = row - half + j, column - half + i
                gauss[j, i] = 0.0
                if 0 <= jj < image.shape[0] and 0 <= ii < image.shape[1] and weight[jj, ii] > 0:
                    square[j, i] = (ii - x) ** 2 + (jj - y) ** 2
                    gauss[j, i] = np.exp(-0.5 * square[j, i] / width**2)
                    value = gauss[j, i] * (image[jj, ii] + own * stamp[j, i])
                    light, moment = light + value, moment + value * square[j, i]
                    psf_light += gauss[j, i] * stamp[j, i]
                    psf_moment += gauss[j, i] * stamp[j, i] * square[j, i]
        if light == 0 or psf_moment <= 0:
            continue
        mean, noise = moment / light, 0.0
        for j in range(size):
            for i in range(size):
                if gauss[j, i] > 0:
                    part = gauss[j, i] * (square[j, i] - mean)
                    noise += part * part / weight[row - half + j, column - half + i]
        unit = psf_moment / psf_light
        out[star, 0], out[star, 1] = mean / unit - 1, np.sqrt(noise) / abs(light) / unit


def extendedness(image, weight, psf, x, y, own_flux=0.0):
    """Return the probability that a source is extended, if as many sources are as are not; NaN without light.

    The mean square radius under a fixed Gaussian weight, as wide as the PSF's core, is compared with the PSF's own
    under the same weight on the same pixels: neighbours two widths away hardly count. It exceeds a star's by 0 and a
    galaxy's by anything up to that of a level plane, which is twice the PSF's.

    Parameters
    ----------
    image, weight : ndarray
        Counts and inverse variance.
    psf : Psf
    x, y : ndarray, shape (n,)
        Pixels.
    own_flux : ndarray, optional
        PSF flux of each source itself, where it was removed from the image with its neighbours'.
    """
    rows, columns = psf.model.shape
    terms = polynomial(x, y, psf.model.shape, psf.model.degree)
    places = np.stack([x, y, np.broadcast_to(own_flux, np.shape(x))], axis=1).astype(float)
    width = CORE * psf.fwhm(columns / 2, rows / 2) / 2.3548
    found = np.full((len(places), 2), np.nan)
    _excess(np.asarray(image, np.float32), weight, psf.model.planes, terms, psf.oversampling, places, width, found)
    error = np.hypot(found[:, 1], MODEL_ERROR)
    excess = np.clip(found[:, 0], -3 * error, 1)
    star = np.exp(-0.5 * (excess / error) ** 2) / (np.sqrt(2 * np.pi) * error)
    galaxy = ndtr((1 - excess) / error) - ndtr(-excess / error)
    return galaxy / (galaxy + star)
