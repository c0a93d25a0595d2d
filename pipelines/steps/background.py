"""Fit and subtract the sky."""

import numpy as np
import sep

from pipelines.steps.conditions import BadInput


class NoSky(BadInput):
    """An exposure without usable pixels."""

    condition = "no_usable_pixels"


def subtract_background(exposure, box=64, hide=None):
    """Subtract a smooth sky (sep's mesh of clipped modes, Bertin & Arnouts 1996).

    Parameters
    ----------
    exposure : Exposure
    box : int
        Side of a mesh cell in pixels.
    hide : ndarray of bool, optional
        Pixels that hold light of stars and galaxies. Where they are not left out their light draws the sky up, and
        by as much in every exposure of a place: a coadd keeps it while its noise falls.

    Returns
    -------
    Exposure, ndarray
        The exposure without its sky, and the sky's image.
    """
    bad = exposure.pixels.unusable
    if bad.mean() > 0.9:
        raise NoSky(
            f"subtract_background got an exposure with {100 * bad.mean():.0f} % unusable pixels; it needs 10 % usable",
            "look at the raw frame: shutter closed, saturated by daylight or the Moon, or a dead detector",
        )
    image = np.ascontiguousarray(exposure.pixels.image, np.float32)
    if hide is not None and (bad | hide).mean() <= 0.9:
        bad = bad | hide
    sky = sep.Background(image, mask=bad, bw=box, bh=box, fw=3, fh=3)
    note = f"background: {sky.globalback:.2f} counts, rms {sky.globalrms:.2f}, mesh {box} px"
    return exposure.with_image(image - sky.back(dtype=np.float32), note), sky.back(dtype=np.float32)
