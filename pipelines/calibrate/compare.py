"""Compare a new master calibration with the one in use (as banzai's BiasComparer)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """How a new master differs from the previous one.

    Parameters
    ----------
    shift, scatter : float
        Median and robust sigma of new − previous, in the master's unit.
    outliers : float
        Part of the pixels that differ by more than `limit` sigma of their joint uncertainty.
    accepted : bool
    """

    shift: float
    scatter: float
    outliers: float
    accepted: bool


def compare(new, previous, limit=10.0, allowed=0.001, shift=None):
    """Compare two masters of the same kind and detector.

    Parameters
    ----------
    new, previous : Exposure
    limit : float
        In sigma of both uncertainty planes together.
    allowed : float
        Part of the pixels that may differ by more: beyond, the new master is not accepted.
    shift : float, optional
        Largest accepted change of the median, in the master's unit.
    """
    difference = new.pixels.image - previous.pixels.image
    good = ~(new.pixels.unusable | previous.pixels.unusable)
    middle = float(np.median(difference[good]))
    scatter = float(1.4826 * np.median(np.abs(difference[good] - middle)))
    joint = new.pixels.variance[good] + previous.pixels.variance[good]
    # Few frames give some pixels a variance by chance far too small: none is taken below a tenth of the median.
    joint = np.maximum(joint, 0.1 * np.median(joint))
    outliers = float(np.mean(np.abs(difference[good] - middle) > limit * np.sqrt(joint)))
    accepted = outliers <= allowed and (shift is None or abs(middle) <= shift)
    return Comparison(middle, scatter, outliers, accepted)
