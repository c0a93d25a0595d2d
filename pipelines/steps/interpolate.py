"""Fill pixels that hold no measurement, so that a convolution near them goes not wrong; they stay flagged."""

import numpy as np
from scipy.ndimage import center_of_mass, label

from pipelines.image import bits
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
    places = np.array(center_of_mass(saturated, blobs, np.arange(1, count + 1)))
    y, x = places.T
    psf, image = exposure.psf, exposure.pixels.image
    fitted = fit_sources(image, weights(exposure.pixels), psf, x, y, size=psf.size, iterations=20)
    good = np.isfinite(fitted["flux"]) & (fitted["flux"] > 0)
    model = add_sources(np.zeros_like(image), psf, fitted["x"][good], fitted["y"][good], fitted["flux"][good])
    filled = saturated & (model > image)
    mask = np.where(filled, exposure.pixels.mask | np.int32(bits("INTRP")), exposure.pixels.mask)
    note = f"interpolate: {good.sum()} of {count} saturated stars filled by the PSF"
    return exposure.with_image(np.where(filled, model, image), note, mask=mask)
