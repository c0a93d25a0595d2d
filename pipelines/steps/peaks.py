"""Detect point sources of either polarity on a difference image by its matched filter."""

import numba
import numpy as np

from pipelines.image import VaryingImage

PEAK = np.dtype([("x", "i4"), ("y", "i4"), ("snr", "f4")])


def score_image(difference):
    """Return the signal-to-noise ratio of a point source centred on each pixel.

    It is (P ⋆ D/V) / sqrt(P² ⋆ 1/V) with the PSF P of each place: the optimum for white noise of variance V.
    Unusable pixels have no weight; where less than half of a PSF's weight is left the score is 0.
    """
    pixels = difference.pixels
    weight = np.where(pixels.unusable | ~(pixels.variance > 0), 0, 1 / pixels.variance).astype(np.float32)
    psf = difference.psf.kernel(degree=min(difference.psf.model.degree, 2))
    filtered = VaryingImage(psf.planes[:, ::-1, ::-1], psf.shape).convolve(pixels.image * weight)
    middle = psf.at(psf.shape[1] / 2, psf.shape[0] / 2)[None]
    information = VaryingImage(middle[:, ::-1, ::-1] ** 2, psf.shape).convolve(weight)
    full = np.median(weight[weight > 0]) * np.sum(middle**2)
    usable = information > 0.1 * full
    usable &= VaryingImage(middle[:, ::-1, ::-1] ** 2, psf.shape).convolve(weight > 0) > 0.5 * np.sum(
        middle**2
    )
    return np.where(usable, filtered / np.sqrt(np.maximum(information, 1e-3 * full)), 0).astype(np.float32)


@numba.njit(cache=True)
def _peaks(score, threshold, radius):
    found = []
    height, width = score.shape
    for row in range(height):
        for column in range(width):
            value = abs(score[row, column])
            if value < threshold:
                continue
            highest = True
            for j in range(max(0, row - radius), min(height, row + radius + 1)):
                for i in range(max(0, column - radius), min(width, column + radius + 1)):
                    other = score[j, i]
                    if other * score[row, column] <= 0:
                        continue
                    earlier = j < row or (j == row and i < column)
                    if abs(other) > value or (abs(other) == value and earlier):
                        highest = False
                        break
                if not highest:
                    break
            if highest:
                found.append((column, row, score[row, column]))
    return found


def find_peaks(score, threshold=5.0, radius=2):
    """Return the extrema of a score image beyond ±threshold, each the highest of its sign within `radius`.

    Returns
    -------
    ndarray of PEAK
        Strongest first; `snr` has the sign of the flux.
    """
    found = np.array(_peaks(score, threshold, radius) or [], PEAK)
    return found[np.argsort(-np.abs(found["snr"]))]
