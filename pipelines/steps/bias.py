"""Subtract the master bias."""

from pipelines.steps.calibrations import check_fits


def subtract_bias(exposure, bias):
    """Subtract the bias structure that overscan leaves; its uncertainty goes into the variance.

    Parameters
    ----------
    exposure : Exposure
        Of the whole detector, free of overscan, in counts.
    bias : Exposure
        Master bias of the same detector, in counts.
    """
    check_fits(exposure, bias, "bias")
    pixels = exposure.pixels
    return exposure.with_image(
        pixels.image - bias.pixels.image,
        "bias: subtracted",
        variance=pixels.variance + bias.pixels.variance,
        mask=pixels.mask | bias.pixels.mask,
    )
