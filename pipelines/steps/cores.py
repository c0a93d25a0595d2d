"""Correct a difference for what was wrong in the light that fills saturated cores, and in the kernel's wings there."""

import numpy as np
from scipy.ndimage import find_objects, label
from scipy.signal import fftconvolve

OUTLIER = 4.0  # sigma, beyond which a pixel tells of something else than the core


def settle_cores(difference, variance, usable, filled, cores, kernel, wings, error):
    """Let the pixels round each bright core tell how its light was to be filled and spread.

    A core that was filled with too little or too much, or off its place, leaves so much of its light convolved with
    the kernel round the mask; and what is little in a kernel's wings is much of such a star. A few numbers for each
    core are fitted there and taken out. Of a star whose core was not filled the change of flux is no fault: it stays.

    Parameters
    ----------
    difference, variance : ndarray
        Changed in place: the correction is taken out of one, and its own error added to the other.
    usable : ndarray of bool
        Pixels to fit.
    filled : ndarray
        The image that was convolved, its saturated cores filled.
    cores : ndarray of bool
        Saturated cores, and those of other stars so bright.
    kernel : VaryingImage
    wings : ndarray, shape (n, m, m)
        Shapes by which the kernel's wings may be wrong.
    error : ndarray
        Part by which each pixel's light may be wrong after the correction; 0 where it was not filled.
    """
    blobs, _ = label(cores, np.ones((3, 3)))
    half = kernel.planes.shape[1] // 2
    for number, place in enumerate(find_objects(blobs), 1):
        box = tuple(slice(max(0, s.start - half), s.stop + half) for s in place)
        local = kernel.at(*((s.start + s.stop) / 2 for s in place[::-1]))
        light = np.where(blobs[box] == number, filled[box], 0).astype(np.float64)
        spread = fftconvolve(light, local, mode="same")
        part = [wing.sum() / local.sum() for wing in wings]
        wide = [fftconvolve(light, wing, mode="same") - p * spread for wing, p in zip(wings, part, strict=True)]
        slopes = np.gradient(spread)
        bends = [*np.gradient(slopes[0]), np.gradient(slopes[1], axis=1)]
        shapes = np.stack([spread, *slopes, *bends, *wide]).reshape(-1, spread.size)
        sigma = np.sqrt(np.maximum(variance[box], 1e-9)).ravel()  # no data, no variance
        amounts = _fitted(difference[box].ravel() / sigma, shapes / sigma, usable[box].ravel())
        if not np.any(error[box][light != 0]):
            amounts[0] = 0
        difference[box] -= (amounts @ shapes).reshape(spread.shape)
        variance[box] += fftconvolve(error[box] * light, np.abs(local), mode="same") ** 2


def _fitted(data, shapes, usable):
    """Return the amounts of `shapes` in `data` by least squares, without outliers; 0 where pixels are few."""
    amounts = np.zeros(len(shapes))
    norm = np.sqrt(np.sum(shapes[:, usable] ** 2, axis=1)) + 1e-12
    for _ in range(3):
        fitted = usable & (np.abs(data - amounts @ shapes) < OUTLIER) if amounts.any() else usable
        if fitted.sum() < 50:
            return np.zeros(len(shapes))
        design = shapes[:, fitted] / norm[:, None]
        ridge = 1e-6 * np.eye(len(shapes))
        amounts = np.linalg.solve(design @ design.T + ridge, design @ data[fitted]) / norm
    return amounts
