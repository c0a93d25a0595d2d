"""Fit point sources to pixels: flux, position and their covariance; render and remove them."""

import numba
import numpy as np

from pipelines.image.psf import sample_gradient, sample_model
from pipelines.image.varying import polynomial


def weights(pixels):
    """Return the inverse variance of each pixel, 0 where it must not be used."""
    usable = ~pixels.unusable & (pixels.variance > 0)
    return np.where(usable, 1 / np.where(usable, pixels.variance, 1), 0).astype(np.float32)


@numba.njit(cache=True)
def model_at(planes, terms, star, model):
    """Fill `model` with the PSF's samples at the place of one star."""
    model[:] = 0.0
    for term in range(planes.shape[0]):
        model += terms[term, star] * planes[term]


@numba.njit(cache=True)
def _add_star(image, model, oversampling, x, y, flux, stamp):
    """Add a star of this model; `stamp` is room to work in."""
    size = len(stamp)
    column, row = int(np.rint(x)), int(np.rint(y))
    top, left = row - size // 2, column - size // 2
    sample_model(model, oversampling, x - column, y - row, stamp)
    for j in range(max(0, -top), min(size, image.shape[0] - top)):
        for i in range(max(0, -left), min(size, image.shape[1] - left)):
            image[top + j, left + i] += flux * stamp[j, i]


@numba.njit(cache=True)
def _add(image, planes, terms, oversampling, x, y, flux, size):
    model, stamp = np.empty(planes.shape[1:]), np.empty((size, size))
    for star in range(len(x)):
        if flux[star] != 0.0:
            model_at(planes, terms, star, model)
            _add_star(image, model, oversampling, x[star], y[star], flux[star], stamp)


def add_sources(image, psf, x, y, flux):
    """Return `image` plus point sources; a negative flux removes them.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
    psf : Psf
    x, y, flux : ndarray, shape (n,)
        Pixels and counts.
    """
    out = np.array(image, np.float32)
    terms = polynomial(x, y, psf.model.shape, psf.model.degree)
    _add(out, psf.model.planes, terms, psf.oversampling, x, y, np.asarray(flux, float), psf.size)
    return out


@numba.njit(cache=True)
def _cut(image, weight, column, row, data, w):
    """Copy a circle of pixels round (column, row) with their weights; return how many have weight."""
    half, used = len(data) // 2, 0
    for j in range(2 * half + 1):
        for i in range(2 * half + 1):
            jj, ii = row - half + j, column - half + i
            inside = 0 <= jj < image.shape[0] and 0 <= ii < image.shape[1]
            if inside and (j - half) ** 2 + (i - half) ** 2 <= (half + 0.5) ** 2:
                data[j, i], w[j, i] = image[jj, ii], weight[jj, ii]
                used += weight[jj, ii] > 0
            else:
                data[j, i], w[j, i] = 0.0, 0.0
    return used


@numba.njit(cache=True, fastmath=True)
def _normal(data, w, stamps):
    """Return the normal equations of flux, and of flux times shift, with their right-hand sides."""
    matrix, right = np.zeros((3, 3)), np.zeros(3)
    size = len(data)
    for a in range(3):
        total = 0.0
        for j in range(size):
            for i in range(size):
                total += w[j, i] * stamps[a, j, i] * data[j, i]
        right[a] = total
        for b in range(a, 3):
            total = 0.0
            for j in range(size):
                for i in range(size):
                    total += w[j, i] * stamps[a, j, i] * stamps[b, j, i]
            matrix[a, b] = matrix[b, a] = total
    return matrix, right


@numba.njit(cache=True)
def _fit_star(data, w, model, oversampling, place, iterations, stamps, result):
    """Gauss-Newton fit of one source; place: x, y and the stamp's middle pixel; `result` is a row of FIT."""
    x, y, column, row = place
    for _ in range(iterations):
        sample_gradient(model, oversampling, x - column, y - row, stamps)
        matrix, right = _normal(data, w, stamps)
        if np.linalg.cond(matrix) > 1e12:
            break
        flux = right[0] / matrix[0, 0]
        solution = np.linalg.solve(matrix, right)  # flux, and flux times shift
        if flux == 0.0 or solution[0] == 0.0:
            break
        inverse = np.linalg.inv(matrix)
        result[0], result[1], result[2] = flux, x, y
        result[3], result[4], result[5] = inverse[0, 0], inverse[1, 1] / flux**2, inverse[2, 2] / flux**2
        result[6], result[7], result[8] = inverse[0, 1] / flux, inverse[0, 2] / flux, inverse[1, 2] / flux**2
        result[9] = np.sum(w * (data - flux * stamps[0]) ** 2)
        step_x, step_y = solution[1] / solution[0], solution[2] / solution[0]
        length = np.hypot(step_x, step_y)
        if length < 1e-4:
            break
        limit = min(1.0, 0.5 / length)
        x, y = x + limit * step_x, y + limit * step_y
        if max(abs(x - column), abs(y - row)) > 0.3 * len(data):
            result[:10] = np.nan
            break


@numba.njit(cache=True)
def _fit(image, weight, planes, terms, oversampling, start, size, iterations):
    """Fit each source by itself; `start` columns: x, y, own flux already removed."""
    result = np.full((len(start), 11), np.nan)  # as FIT
    model = np.empty(planes.shape[1:])
    stamps, data, w = np.empty((3, size, size)), np.empty((size, size)), np.empty((size, size))
    for star in range(len(start)):
        x, y, own = start[star]
        column, row = int(np.rint(x)), int(np.rint(y))
        result[star, 10] = _cut(image, weight, column, row, data, w)
        if result[star, 10] < 5:
            continue
        model_at(planes, terms, star, model)
        sample_model(model, oversampling, x - column, y - row, stamps[0])
        data += own * stamps[0]
        _fit_star(data, w, model, oversampling, (x, y, column, row), iterations, stamps, result[star])
    return result


@numba.njit(cache=True)
def _fit_in_turn(residual, weight, planes, terms, oversampling, start, sizes, iterations):
    """Put each source back, fit it, and remove it as fitted; `start` columns x, y, flux are those removed."""
    size, whole = sizes
    result = np.full((len(start), 11), np.nan)  # as FIT
    model, image = np.empty(planes.shape[1:]), np.empty((whole, whole))
    stamps, data, w = np.empty((3, size, size)), np.empty((size, size)), np.empty((size, size))
    for star in range(len(start)):
        x, y, own = start[star]
        column, row = int(np.rint(x)), int(np.rint(y))
        model_at(planes, terms, star, model)
        if own > 0:
            _add_star(residual, model, oversampling, x, y, own, image)
        result[star, 10] = _cut(residual, weight, column, row, data, w)
        if result[star, 10] >= 5:
            _fit_star(data, w, model, oversampling, (x, y, column, row), iterations, stamps, result[star])
        start[star, 2] = 0.0
        if result[star, 0] > 0:
            start[star, 0], start[star, 1], start[star, 2] = result[star, 1], result[star, 2], result[star, 0]
            _add_star(residual, model, oversampling, start[star, 0], start[star, 1], -start[star, 2], image)
    return result


FIT = np.dtype([
    (name, "f8")
    for name in (
        "flux", "x", "y", "var_flux", "var_x", "var_y", "cov_fx", "cov_fy", "cov_xy", "chi2", "pixels",
    )
])  # fmt: skip


def fit_sources(image, weight, psf, x, y, *, own_flux=0.0, size=None, iterations=8):
    """Fit flux and position of point sources, each by itself.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
    weight : ndarray, shape (ny, nx)
        Inverse variance; 0 for pixels not to use.
    psf : Psf
    x, y : array_like, shape (n,)
        First guess in pixels.
    own_flux : array_like, optional
        Flux that was removed at the first guess, where `image` is a residual image.
    size : int, optional
        Side of the fitted stamp, odd; a circle inside it is used. Default: 2.5 FWHM across.
    iterations : int
        Gauss–Newton steps.

    Returns
    -------
    ndarray of FIT, shape (n,)
        The covariance is the inverse of the Fisher matrix (the Cramér–Rao bound, where the PSF is right).
        NaN where the fit failed.
    """
    x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
    terms = polynomial(x, y, psf.model.shape, psf.model.degree)
    start = np.stack([x, y, np.broadcast_to(own_flux, x.shape)], axis=1)
    size = size or fit_size(psf)
    result = _fit(image, weight, psf.model.planes, terms, psf.oversampling, start, size, iterations)
    return np.ascontiguousarray(result).view(FIT)[:, 0]


def fit_together(image, weight, psf, x, y, rounds=4):
    """Fit point sources that may overlap: in each round each is fitted in turn on what all the others leave.

    Parameters
    ----------
    image, weight, psf, x, y
        As for `fit_sources`; the brightest first.

    Returns
    -------
    ndarray of FIT, shape (n,)
    ndarray, shape (ny, nx)
        The image without any of them.
    ndarray, shape (n,)
        The flux of each that was removed.
    """
    residual = np.array(image, np.float32)
    start = np.stack([np.asarray(x, float), np.asarray(y, float), np.zeros(len(x))], axis=1)
    terms = polynomial(x, y, psf.model.shape, psf.model.degree)
    sizes = fit_size(psf), psf.size
    for _ in range(rounds):
        result = _fit_in_turn(residual, weight, psf.model.planes, terms, psf.oversampling, start, sizes, 3)
    return np.ascontiguousarray(result).view(FIT)[:, 0], residual, start[:, 2]


def fit_size(psf):
    """Return the side of a stamp that holds nearly all the weight of a PSF fit."""
    rows, columns = psf.model.shape
    return min(psf.size, 2 * int(np.ceil(1.3 * psf.fwhm(columns / 2, rows / 2))) + 1)


def forced_flux(image, weight, psf, x, y, *, size=None):
    """Measure the PSF flux and its error at fixed positions; NaN where no pixel is usable."""
    fitted = fit_sources(image, weight, psf, x, y, size=size, iterations=1)
    used = fitted["pixels"] >= 5
    x, y = np.atleast_1d(x), np.atleast_1d(y)
    error = np.full(len(x), np.nan)
    error[used] = 1 / np.sqrt(_information(weight, psf, x[used], y[used], size or fit_size(psf)))
    return fitted["flux"], error


def _information(weight, psf, x, y, size):
    stamps = psf.stamps(x, y, size)
    half = size // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    rows = np.rint(y).astype(int)[:, None, None] + v
    columns = np.rint(x).astype(int)[:, None, None] + u
    inside = (rows >= 0) & (rows < weight.shape[0]) & (columns >= 0) & (columns < weight.shape[1])
    inside &= u**2 + v**2 <= (half + 0.5) ** 2
    w = np.where(inside, weight[rows.clip(0, weight.shape[0] - 1), columns.clip(0, weight.shape[1] - 1)], 0)
    return (w * stamps**2).sum(axis=(1, 2))
