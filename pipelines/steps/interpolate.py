"""Fill pixels that hold no measurement, so that a convolution near them goes not wrong; they stay flagged."""

import numpy as np
from scipy.ndimage import label

from pipelines.steps.pointsource import add_sources, fit_sources, weights


def fill_saturated(exposure):
    """Replace saturated pixels by the PSF, scaled to the unsaturated wings of their star.

    Parameters
    ----------
    exposure : Exposure
        Without sky, with its PSF.

    Returns
    -------
    Exposure
        Filled pixels are INTRP besides SAT. Without this the flux that is missing in a saturated core leaves a
        ring in a PSF-matched difference, as wide as the kernel.
    """
    saturated = exposure.pixels.flagged("SAT")
    blobs, count = label(saturated, np.ones((3, 3)))
    if not count:
        return exposure
    rows, columns = np.nonzero(saturated)
    blob = blobs[rows, columns] - 1
    size = np.bincount(blob)
    x, y = np.bincount(blob, columns) / size, np.bincount(blob, rows) / size
    psf, image = exposure.psf, exposure.pixels.image
    fitted = fit_sources(image, weights(exposure.pixels), psf, x, y, size=psf.size, iterations=20)
    good = np.isfinite(fitted["flux"]) & (fitted["flux"] > 0)
    model = add_sources(np.zeros_like(image), psf, fitted["x"][good], fitted["y"][good], fitted["flux"][good])
    filled = saturated & np.isin(blobs, np.flatnonzero(good) + 1)  # bleed trails too
    pixels = exposure.pixels.with_flag(filled, "INTRP")
    note = f"interpolate: {good.sum()} of {count} saturated stars filled by the PSF"
    return exposure.with_image(np.where(filled, model, image), note, mask=pixels.mask)
