"""Divide by the master flat."""

import numpy as np

from pipelines.image import bits
from pipelines.steps.calibrations import check_fits

LOWEST = 0.2  # of the mean response: below, a pixel is a defect


def divide_flat(exposure, flat):
    """Divide by the flat, whose mean is 1; pixels of less than 20 % response become BAD.

    The variance is divided by its square, and the flat's own relative variance is added.
    """
    check_fits(exposure, flat, "flat")
    pixels, response = exposure.pixels, flat.pixels.image
    dead = ~(response > LOWEST)
    response = np.where(dead, 1, response).astype(np.float32)
    image = pixels.image / response
    variance = pixels.variance / response**2 + image**2 * flat.pixels.variance / response**2
    mask = pixels.mask | flat.pixels.mask | np.where(dead, np.int32(bits("BAD")), np.int32(0))
    return exposure.with_image(image, "flat: divided", variance=variance, mask=mask)
