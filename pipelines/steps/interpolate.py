"""Fill pixels that hold no measurement, so that a convolution near them goes not wrong; they stay flagged."""

import numpy as np
from scipy.ndimage import convolve, label, maximum_filter

from pipelines.image import bits
from pipelines.image.masked import UNUSABLE
from pipelines.steps.pointsource import add_sources, fit_sources, weights

RING = np.array([[-1, 2, -1], [2, 0, 2], [-1, 2, -1]], np.float32) / 4  # tells the middle of any cubic surface


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


def fill_alone(exposure):
    """Replace lost pixels that stand alone by what their eight neighbours tell, where that is as good as a measurement.

    Returns
    -------
    Exposure
        Filled pixels are INTRP and usable. What neighbours can't tell of a star's peak is a part of it, that of a
        Gaussian of the PSF's width; where this is more than the pixel's noise, it stays lost.
    """
    pixels = exposure.pixels
    lost = pixels.unusable
    light, noise = np.where(lost, 0, pixels.image), np.where(lost, 0, pixels.variance)
    told, variance = convolve(light, RING, mode="nearest"), convolve(noise, RING**2, mode="nearest")
    rows, columns = exposure.shape
    untold = (2.355 / exposure.psf.fwhm(columns / 2, rows / 2)) ** 4 / 4
    crowd = convolve(lost.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant", cval=1)
    filled = lost & (crowd == 1) & (untold * maximum_filter(np.abs(light), 3) < np.sqrt(variance))
    mask = np.where(filled, pixels.mask & ~np.int32(bits(*UNUSABLE)) | np.int32(bits("INTRP")), pixels.mask)
    image, variance = np.where(filled, told, pixels.image), np.where(filled, variance, pixels.variance)
    return exposure.with_(pixels=pixels.with_(image=image, mask=mask, variance=variance))
