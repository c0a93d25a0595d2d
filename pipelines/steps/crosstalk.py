"""Remove what bright sources of one amplifier leave in the others."""

import numpy as np

from pipelines.image import bits


def correct_crosstalk(exposure, detector, ghost=5.0):
    """Subtract from each amplifier its share of the pixels that were read at the same time.

    For a release: at night the camera's stream is corrected already.

    Parameters
    ----------
    exposure : Exposure
        Free of overscan and bias, in counts.
    detector : Detector
        `crosstalk[victim][source]` is the share; its amplifiers have one size.
    ghost : float
        Corrections of more than so many sigma are flagged CROSSTALK.
    """
    if not detector.crosstalk:
        return exposure
    pixels = exposure.pixels
    read = np.stack([_in_reading_order(pixels.image, a) for a in detector.amplifiers])
    image, mask = pixels.image.copy(), pixels.mask.copy()
    for victim, shares in zip(detector.amplifiers, np.asarray(detector.crosstalk, np.float32), strict=True):
        share = np.tensordot(shares, read, axes=1)
        _in_reading_order(image, victim)[:] -= share
        strong = np.abs(share) > ghost * victim.read_noise / victim.gain
        _in_reading_order(mask, victim)[strong] |= bits("CROSSTALK")
    return exposure.with_image(image, "crosstalk: corrected", mask=mask)


def _in_reading_order(image, amplifier):
    """Return a view of the amplifier's pixels, the one nearest to its output first."""
    x_lo, x_hi, y_lo, y_hi = amplifier.box
    view = image[y_lo:y_hi, x_lo:x_hi]
    return view[:: -1 if amplifier.flip_y else 1, :: -1 if amplifier.flip_x else 1]
