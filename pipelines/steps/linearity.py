"""Undo the non-linear response of the amplifiers."""

import numpy as np


def linearise(exposure, detector):
    """Replace counts c by c + c₂ c² + c₃ c³ …, with the coefficients of each amplifier.

    The exposure is free of overscan and bias, in counts.
    """
    if not any(amplifier.linearity for amplifier in detector.amplifiers):
        return exposure
    image = exposure.pixels.image.copy()
    for amplifier in detector.amplifiers:
        x_lo, x_hi, y_lo, y_hi = amplifier.box
        counts = image[y_lo:y_hi, x_lo:x_hi]
        polynomial = np.array([*amplifier.linearity[::-1], 1.0, 0.0], np.float32)
        image[y_lo:y_hi, x_lo:x_hi] = np.polyval(polynomial, counts)
    return exposure.with_image(image, "linearity: corrected")
