"""From counts to electrons, and the expected variance of each pixel."""

import numpy as np
from scipy.ndimage import uniform_filter

from pipelines.image.masked import grow


def to_electrons(exposure, detector):
    """Multiply each amplifier by its gain and add to the variance read noise² + photons [electrons²].

    Quantisation adds gain² / 12. The exposure must be free of overscan and bias; what variance it has is the bias's.
    """
    image = np.empty(exposure.shape, np.float32)
    variance = np.empty(exposure.shape, np.float32)
    for amplifier in detector.amplifiers:
        x_lo, x_hi, y_lo, y_hi = amplifier.box
        box = np.s_[y_lo:y_hi, x_lo:x_hi]
        image[box] = exposure.pixels.image[box] * np.float32(amplifier.gain)
        floor = amplifier.read_noise**2 + amplifier.gain**2 / 12
        known = np.float32(amplifier.gain**2) * exposure.pixels.variance[box]
        variance[box] = np.maximum(image[box], 0) + np.float32(floor) + known
    return exposure.with_image(image, "variance: counts to electrons", variance=variance)


def smooth_variance(variance):
    """Return a variance plane averaged over 3 × 3 pixels.

    A pixel's own counts tell its variance with an error that goes with its noise: weights of 1 / variance would
    prefer the low ones, and shift faint fluxes by −0.2 sigma.
    """
    return uniform_filter(np.asarray(variance, np.float32), 3)


def scale_variance(exposure, limit=(0.5, 4.0), tolerance=0.15):
    """Scale the variance plane so that blank sky scatters by as much as it says.

    Parameters
    ----------
    exposure : Exposure
        Without sky.
    limit : tuple of float
        A factor outside is not applied: then it is not the gain that is wrong.
    tolerance : float
        A factor this near to 1 is not applied either: faint galaxies scatter as much.

    Returns
    -------
    Exposure
    float
        The factor: (1.4826 × median |image| / σ)² over the usable, undetected pixels.
    """
    pixels = exposure.pixels
    sample = np.s_[::3, ::3]
    good = ~(pixels.unusable | pixels.flagged("DETECTED"))[sample]
    ratio = pixels.image[sample][good] / np.sqrt(pixels.variance[sample][good])
    factor = (1.4826 * np.median(np.abs(ratio - np.median(ratio)))) ** 2
    if not limit[0] < factor < limit[1] or abs(factor - 1) < tolerance:
        return exposure, factor
    return exposure.with_image(
        pixels.image, f"variance: scaled by {factor:.3f}", variance=pixels.variance * np.float32(factor)
    ), factor


def measure_noise_correlation(exposure, half=4):
    """Return the exposure with the autocorrelation of its blank sky, for images that somebody has resampled.

    Parameters
    ----------
    exposure : Exposure
        Without sky.
    half : int
        Largest lag in pixels.
    """
    pixels = exposure.pixels
    scaled = pixels.image / np.sqrt(pixels.variance)
    blank = ~grow((np.abs(scaled) > 4) | pixels.unusable, 2.0 * half)
    scaled = np.where(blank, scaled, 0)
    lags = range(-half, half + 1)
    correlation = np.array([[_lagged(scaled, blank, dy, dx) for dx in lags] for dy in lags])
    return exposure.with_(noise_correlation=correlation / correlation[half, half])


def _lagged(image, used, dy, dx):
    """Mean product of pixels (dy, dx) apart, over the pairs that are used."""
    rows, columns = image.shape
    here = np.s_[max(0, dy) : rows + min(0, dy), max(0, dx) : columns + min(0, dx)]
    there = np.s_[max(0, -dy) : rows + min(0, -dy), max(0, -dx) : columns + min(0, -dx)]
    return np.sum(image[here] * image[there], dtype=float) / max(np.sum(used[here] & used[there]), 1)
