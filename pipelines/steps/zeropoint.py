"""Fit the photometric zeropoint to reference stars."""

import numpy as np

from pipelines.image import PhotoCalib
from pipelines.steps.conditions import BadInput


class NoZeropoint(BadInput):
    """An exposure without reference stars to calibrate it."""

    condition = "no_zeropoint"


def fit_zeropoint(exposure, flux, flux_err, magnitude, *, min_stars=3, clip=3.0):
    """Fit nanojansky per count as the clipped mean of catalogue magnitude + 2.5 log10 counts.

    The scatter beyond the flux errors (colour terms, flat-field errors) is estimated and enters the weights,
    so that the brightest stars don't decide alone.

    Parameters
    ----------
    exposure : Exposure
    flux, flux_err : ndarray, shape (n,)
        Counts of the matched stars.
    magnitude : ndarray, shape (n,)
        Their catalogue AB magnitudes.

    Returns
    -------
    Exposure
        With the PhotoCalib.
    dict
        SDQA values: zeropoint, zeropoint_err, scatter [mag], n_stars.

    Raises
    ------
    NoZeropoint
    """
    good = np.isfinite(flux + flux_err + magnitude) & (flux > 5 * flux_err)
    if good.sum() < min_stars:
        raise NoZeropoint(
            f"fit_zeropoint got {good.sum()} reference stars above SNR 5; it needs {min_stars}",
            "check the WCS and the magnitude range of the reference catalogue",
        )
    offset = magnitude[good] + 2.5 * np.log10(flux[good])
    error = 1.0857 * flux_err[good] / flux[good]
    kept = np.ones(len(offset), bool)
    for _ in range(5):
        middle = np.median(offset[kept])
        scatter = max(1.4826 * np.median(np.abs(offset[kept] - middle)), 1e-4)
        kept = np.abs(offset - middle) < clip * np.hypot(scatter, error)
    floor = max(scatter**2 - np.median(error[kept]) ** 2, 1e-8)
    weight = 1 / (error[kept] ** 2 + floor)
    zeropoint = np.sum(weight * offset[kept]) / weight.sum()
    report = {
        "zeropoint": zeropoint,
        "zeropoint_err": weight.sum() ** -0.5,
        "scatter": scatter,
        "n_stars": int(kept.sum()),
    }
    note = f"zeropoint: {zeropoint:.4f} +- {report['zeropoint_err']:.4f} AB mag from {kept.sum()} stars"
    return exposure.with_(note, photo_calib=PhotoCalib.from_zeropoint(zeropoint, report["zeropoint_err"])), report
