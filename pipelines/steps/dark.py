"""Subtract the master dark."""

import numpy as np

from pipelines.steps.calibrations import check_fits


def subtract_dark(exposure, dark):
    """Subtract the dark current of the exposure's time; the master holds electrons a second.

    Its shot noise is in the exposure's variance already; the master's uncertainty is added.
    """
    check_fits(exposure, dark, "dark")
    pixels = exposure.pixels
    seconds = np.float32(exposure.observation.exposure_seconds)
    return exposure.with_image(
        pixels.image - seconds * dark.pixels.image,
        f"dark: {seconds:g} s subtracted",
        variance=pixels.variance + seconds**2 * dark.pixels.variance,
        mask=pixels.mask | dark.pixels.mask,
    )
