"""Photometric calibration: from counts to nanojansky."""

from dataclasses import dataclass

import numpy as np

AB_NANOJANSKY = 31.4  # magnitude of 1 nJy: 8.9 + 2.5 × 9


@dataclass(frozen=True)
class PhotoCalib:
    """The flux of one count.

    Parameters
    ----------
    nanojansky_per_count : float
        Factor from the exposure's counts to nJy.
    err : float
        Its one-sigma error.
    """

    nanojansky_per_count: float
    err: float = 0.0

    @classmethod
    def from_zeropoint(cls, magnitude, err=0.0):
        """Return the calibration of an exposure in which one count has this AB magnitude."""
        factor = 10 ** ((AB_NANOJANSKY - magnitude) / 2.5)
        return cls(factor, factor * err * np.log(10) / 2.5)

    @property
    def zeropoint(self):
        """AB magnitude of one count."""
        return AB_NANOJANSKY - 2.5 * np.log10(self.nanojansky_per_count)
