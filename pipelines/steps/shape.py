"""Second moments of sources, with errors, and whether they are extended."""

import numba
import numpy as np
from scipy.special import ndtr

from pipelines.image.varying import polynomial


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
    # Fisher information of an elliptical Gaussian's size in white noise.
    errors = np.stack([
        np.sqrt(2) * moments[:, 0] * noise_to_signal,
        np.sqrt(2) * moments[:, 1] * noise_to_signal,
        np.sqrt(moments[:, 0] * moments[:, 1] + moments[:, 2] ** 2) * noise_to_signal,
    ], axis=1)  # fmt: skip
    return moments, errors, converged


def measure_shapes(rows, exposure, weight, fitted, x, y, jacobian):
    """Fill ixx, iyy, ixy with errors [arcsec², along east and north], extendedness and shape_flag of `rows`.

    The extendedness is the probability that the source's size exceeds the PSF's by more than 1 %, from the
    trace of the moments and its error.
    """
    fwhm = exposure.psf.fwhm(exposure.shape[1] / 2, exposure.shape[0] / 2)
    half = int(np.ceil(2.5 * fwhm))
    moments, errors, converged = adaptive_moments(exposure.pixels.image, weight, x, y, fwhm / 2.3548, half)
    good = converged & np.isfinite(errors).all(axis=1) & np.isfinite(fitted["var_x"])
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
    size = _psf_size(exposure.psf, x, y, fwhm, half)
    error = np.maximum(np.hypot(errors[:, 0], errors[:, 1]), 0.01 * size)
    with np.errstate(invalid="ignore"):
        excess = (moments[:, 0] + moments[:, 1] - 1.01 * size) / error
    rows["extendedness"] = np.where(good, ndtr(excess), np.nan)


def _psf_size(psf, x, y, fwhm, half):
    """Return the trace of the PSF's own adaptive moments at (x, y) [pixel²]: a quadratic of position."""
    rows, columns = psf.model.shape
    grid_y, grid_x = np.meshgrid(*(np.linspace(0, n - 1, 5) for n in (rows, columns)), indexing="ij")
    nodes = np.rint(np.stack([grid_x.ravel(), grid_y.ravel()]))
    size = []
    for node in nodes.T:
        stamp = psf.at(*node)
        middle = np.array([stamp.shape[0] // 2])
        moments, _, _ = adaptive_moments(stamp, np.ones_like(stamp), middle, middle, fwhm / 2.3548, half)
        size.append(moments[0, 0] + moments[0, 1])
    terms = polynomial(*nodes, (rows, columns), 2)
    return np.linalg.lstsq(terms.T, np.array(size), rcond=None)[0] @ polynomial(x, y, (rows, columns), 2)
