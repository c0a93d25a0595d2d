"""The pixels of an exposure: science image, mask and variance on one grid."""

from dataclasses import dataclass, replace

import numba
import numpy as np

MASK_PLANES = (
    "BAD",  # a defect of the detector
    "SAT",  # saturated, bleed trails included
    "INTRP",  # value interpolated from its neighbours
    "CR",  # cosmic ray
    "EDGE",  # too near the border for a kernel to fit
    "DETECTED",  # in a footprint of positive flux
    "DETECTED_NEGATIVE",  # in a footprint of negative flux
    "SUSPECT",  # near the end of the linear range
    "NO_DATA",  # nothing was observed here
    "CROSSTALK",  # a ghost of a bright source read by another amplifier
    "STREAK",  # a satellite's or aeroplane's trail
    "SAT_TEMPLATE",  # saturated in the template
    "CLIPPED",  # a transient was left out of this coadd pixel
    "INEXACT_PSF",  # fewer inputs than elsewhere: the model PSF does not hold
    "INJECTED",  # a synthetic source was added
)
UNUSABLE = ("BAD", "SAT", "CR", "NO_DATA", "SAT_TEMPLATE", "STREAK")
"""Planes whose pixels no measurement may use."""


def bits(*planes):
    """Return the mask value with the named planes set, e.g. ``bits("SAT", "CR")``."""
    return sum(1 << MASK_PLANES.index(plane) for plane in planes)


@dataclass(frozen=True, eq=False)
class MaskedImage:
    """Science image, mask and variance on the same pixel grid: a focal plane, a CCD or a segment.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Raw counts (16-bit integers) or calibrated counts (float32). Axis order [y, x].
    mask : ndarray of int32, shape (ny, nx)
        One bit for each name of `MASK_PLANES`.
    variance : ndarray of float32, shape (ny, nx)
        Expected variance of each pixel, in the square of the image's unit.
    x0, y0 : int
        Position of the first pixel in the parent frame (a segment on its CCD, a CCD in the focal plane).
    """

    image: np.ndarray
    mask: np.ndarray
    variance: np.ndarray
    x0: int = 0
    y0: int = 0

    @classmethod
    def from_image(cls, image, variance=0.0):
        """Return `image` with an empty mask and a constant variance."""
        return cls(image, np.zeros(image.shape, np.int32), np.full(image.shape, variance, np.float32))

    @property
    def shape(self):
        """Rows and columns."""
        return self.image.shape

    def flagged(self, *planes):
        """Return a boolean image: is any of the named planes set?"""
        return (self.mask & bits(*planes)) != 0

    @property
    def unusable(self):
        """Boolean image of the pixels that no measurement may use."""
        return self.flagged(*UNUSABLE)

    def with_(self, **changes):
        """Return a copy with the named fields replaced."""
        return replace(self, **changes)

    def with_flag(self, where, plane, radius=0):
        """Return a copy in which `plane` is set where the boolean image is true, grown by `radius`."""
        where = grow(where, radius) if radius else where
        return replace(self, mask=np.where(where, self.mask | np.int32(bits(plane)), self.mask))

    def segment(self, box):
        """Return the part of the image inside `box`, which knows its place on the parent."""
        x_lo, x_hi, y_lo, y_hi = box
        cut = np.s_[y_lo:y_hi, x_lo:x_hi]
        return MaskedImage(self.image[cut], self.mask[cut], self.variance[cut], self.x0 + x_lo, self.y0 + y_lo)


@numba.njit(cache=True)
def grow(where, radius):
    """Return a boolean image grown by a disc of `radius` pixels; its cost goes with the pixels set."""
    out = where.copy()
    reach = int(radius)
    for y in range(where.shape[0]):
        for x in range(where.shape[1]):
            if not where[y, x]:
                continue
            inner = 0 < x < where.shape[1] - 1 and 0 < y < where.shape[0] - 1
            if inner and where[y, x - 1] and where[y, x + 1] and where[y - 1, x] and where[y + 1, x]:
                continue  # its neighbours reach as far
            for j in range(max(0, y - reach), min(where.shape[0], y + reach + 1)):
                for i in range(max(0, x - reach), min(where.shape[1], x + reach + 1)):
                    if (j - y) ** 2 + (i - x) ** 2 <= radius * radius:
                        out[j, i] = True
    return out


def assemble(segments, shape, x0=0, y0=0):
    """Join segments (or CCDs) into one MaskedImage; pixels that none of them covers are NO_DATA.

    Parameters
    ----------
    segments : iterable of MaskedImage
        Each placed by its own `x0`, `y0` in the common frame.
    shape : tuple of int
        Rows and columns of the result.
    """
    image = np.zeros(shape, np.float32)
    mask = np.full(shape, bits("NO_DATA"), np.int32)
    variance = np.zeros(shape, np.float32)
    for segment in segments:
        rows, columns = segment.shape
        place = np.s_[segment.y0 - y0 : segment.y0 - y0 + rows, segment.x0 - x0 : segment.x0 - x0 + columns]
        image[place], mask[place], variance[place] = segment.image, segment.mask, segment.variance
    return MaskedImage(image, mask, variance, x0, y0)
