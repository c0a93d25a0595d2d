"""Detect point sources of either polarity on a difference image by its matched filter."""

import numba
import numpy as np

from pipelines.image import VaryingImage
from pipelines.image.masked import grow

PEAK = np.dtype([("x", "f4"), ("y", "f4"), ("snr", "f4")])
CLEAR = 0.6  # FWHM round a detection that must be free of unusable pixels
SUBPIXEL_LOSS = 0.9  # a peak that falls between pixels keeps at least this part of its height on one of them


def score_image(difference):
    """Return the signal-to-noise ratio of a point source centred on each pixel.

    It is (P ⋆ D/V) / sqrt(P² ⋆ 1/V) with the PSF P of each place: the optimum for white noise of variance V.
    Unusable pixels have no weight; where one lies within CLEAR of a FWHM the score is 0.
    """
    pixels = difference.pixels
    unusable = pixels.unusable | ~(pixels.variance > 0)
    weight = np.where(unusable, 0, 1 / pixels.variance).astype(np.float32)
    psf = difference.psf.kernel(degree=1)
    middle = psf.shape[1] / 2, psf.shape[0] / 2
    filtered = VaryingImage(psf.planes[:, ::-1, ::-1], psf.shape).convolve(pixels.image * weight)
    square = VaryingImage(psf.at(*middle)[None, ::-1, ::-1] ** 2, psf.shape)
    information = np.maximum(square.convolve(weight), 1e-6 * np.median(weight[~unusable]) * square.planes.sum())
    clear = ~grow(unusable, CLEAR * difference.psf.fwhm(*middle))
    return np.where(clear, filtered / np.sqrt(information), 0).astype(np.float32)


def blank_scatter(score, threshold=5.0, block=16):
    """Return the robust sigma of a score image's blank sky; it is 1 where the variance is right.

    Parameters
    ----------
    score : ndarray, shape (rows, columns)
        Signal-to-noise ratios; 0 where there is none, which does not count.
    threshold : float
        Squares with a score beyond ± this are not blank.
    block : int
        Side of the squares in pixels.
    """
    rows, columns = (n // block for n in score.shape)
    tiles = np.abs(score[: rows * block, : columns * block]).reshape(rows, block, columns, block).swapaxes(1, 2)
    quiet = tiles[tiles.max(axis=(2, 3)) < threshold]
    quiet = quiet[quiet > 0]
    return 1.4826 * float(np.median(quiet)) if quiet.size else 1.0


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


def _refined(score, found):
    """Move peaks to the vertex of the parabolas through their neighbours, along x and along y."""
    height, width = score.shape
    x, y = found["x"].astype(int), found["y"].astype(int)
    inner = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    top = found["snr"].copy()
    for name, (dx, dy) in (("x", (1, 0)), ("y", (0, 1))):
        before, after = (score[(y - s * dy) % height, (x - s * dx) % width] for s in (1, -1))
        curvature = 2 * found["snr"] - before - after
        ok = inner & (np.abs(curvature) > np.abs(after - before) / 2) & (before != 0) & (after != 0)
        shift = np.where(ok, (after - before) / np.where(ok, 2 * curvature, 1), 0)
        found[name] += shift
        top += np.where(ok, (after - before) * shift / 4, 0)
    found["snr"] = top
    return found


def find_peaks(score, threshold=5.0, radius=2):
    """Return the extrema of a score image beyond ±threshold, each the highest of its sign within `radius`.

    Places and heights are those of the parabola through the pixels, so that a source loses nothing by falling
    between them.

    Returns
    -------
    ndarray of PEAK
        Strongest first; `snr` has the sign of the flux.
    """
    found = np.array(_peaks(score, SUBPIXEL_LOSS * threshold, radius) or [], PEAK)
    found = _refined(score, found)
    found = found[np.abs(found["snr"]) >= threshold]
    return found[np.argsort(-np.abs(found["snr"]))]
