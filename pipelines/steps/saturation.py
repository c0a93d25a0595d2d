"""Extend saturation over the pixels that it spoils."""

import numpy as np

from pipelines.image.masked import bits, grow


def grow_saturation(exposure, radius=2, suspect=0.9, saturation=None):
    """Flag the neighbours of saturated pixels SAT, and pixels near saturation SUSPECT.

    Parameters
    ----------
    exposure : Exposure
        In counts or electrons, saturated pixels flagged.
    radius : float
        In pixels: charge that spilt over raises the neighbours of a bleed trail without saturating them.
    suspect : float
        Part of `saturation` from where on the response is doubtful.
    saturation : float, optional
        Level in the image's unit; None leaves SUSPECT alone.
    """
    pixels = exposure.pixels
    mask = np.where(grow(pixels.flagged("SAT"), radius), pixels.mask | np.int32(bits("SAT")), pixels.mask)
    if saturation is not None:
        mask |= np.where(pixels.image > suspect * saturation, np.int32(bits("SUSPECT")), np.int32(0))
    return exposure.with_(pixels=pixels.with_(mask=mask))
