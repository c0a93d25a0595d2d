"""Find cosmic rays in a Visit of one Snap, by their sharpness (van Dokkum 2001; astroscrappy)."""

import astroscrappy
import numpy as np


def flag_sharp_cosmic_rays(exposure, fwhm, threshold=5.0):
    """Flag as CR, and replace by their neighbours, pixels too sharp for the optics.

    With two Snaps their difference is the better test: see `snaps`.

    Parameters
    ----------
    exposure : Exposure
        In electrons, with sky and variance.
    fwhm : float
        Of stars, in pixels; below 2 pixels stars themselves are as sharp, and a higher contrast is asked for.
    threshold : float
        In sigma of the Laplacian.
    """
    pixels = exposure.pixels
    found, clean = astroscrappy.detect_cosmics(
        np.ascontiguousarray(pixels.image, np.float32), inmask=pixels.unusable, invar=pixels.variance,
        sigclip=threshold, sigfrac=0.3, objlim=5.0 if fwhm > 3 else 8.0, gain=1.0, readnoise=0.0,
        satlevel=np.inf, cleantype="medmask", fsmode="convolve", psfmodel="gauss", psffwhm=max(fwhm, 2.0),
        psfsize=2 * int(np.ceil(1.5 * fwhm)) + 1, sepmed=True,
    )  # fmt: skip
    note = f"cosmic rays: {found.sum()} pixels by sharpness"
    return exposure.with_(note, pixels=pixels.with_(image=clean.astype(np.float32)).with_flag(found, "CR"))
