"""The tessellation of the sky in patches: rings of declination, each cut into equal parts of right ascension.

A patch's inner region is bounded by two parallels and two meridians, so that inner regions tile the sky exactly:
`patch_at` is the one that holds a position. Its image is a gnomonic projection about its middle that covers the
inner region and an overlap on every side.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.image import Wcs
from pipelines.steps.wcs import gnomonic, inverse_gnomonic

RINGS = 831  # of 13.0 arcmin
COLUMNS = 2048  # more than any ring has, so that patch_id = ring × COLUMNS + column
OVERLAP = 1 / 60  # deg
HEIGHT = 180 / RINGS  # deg


@dataclass(frozen=True)
class Patch:
    """One patch of the sky.

    Parameters
    ----------
    patch_id : int
    ra, dec : tuple of float
        Lower and upper limits of the inner region in deg.
    """

    patch_id: int
    ra: tuple
    dec: tuple

    @property
    def centre(self):
        """Middle of the inner region, ra and dec in deg."""
        return sum(self.ra) / 2, sum(self.dec) / 2

    def holds(self, ra, dec):
        """Is the position in the inner region?"""
        return patch_at(ra, dec) == self.patch_id

    def grid(self, pixel_scale=0.2):
        """Return the Wcs and the shape of the patch's image, for pixels of so many arcsec."""
        ra_edge, dec_edge = np.meshgrid(np.linspace(*self.ra, 9), np.linspace(*self.dec, 9))
        reach = np.abs(gnomonic(ra_edge, dec_edge, *self.centre)).max(axis=(0, 1)) + OVERLAP
        columns, rows = (2 * np.ceil(3600 * reach / pixel_scale)).astype(int)
        middle = (columns - 1) / 2, (rows - 1) / 2
        wcs = Wcs.tangent(*self.centre, *middle, np.diag([-pixel_scale, pixel_scale]) / 3600)
        return wcs, (int(rows), int(columns))


def columns_of(ring):
    """Return how many patches a ring has: as wide as high where it is widest."""
    lower = -90 + np.asarray(ring) * HEIGHT
    widest = np.where(np.abs(lower + HEIGHT / 2) < HEIGHT, 0, np.minimum(np.abs(lower), np.abs(lower + HEIGHT)))
    return np.maximum(np.ceil(360 * np.cos(np.radians(widest)) / HEIGHT), 3).astype(int)


def patch_at(ra, dec):
    """Return the patch_id of the inner region that holds each position [deg]."""
    ring = np.clip(np.floor((np.asarray(dec) + 90) / HEIGHT), 0, RINGS - 1).astype(int)
    count = columns_of(ring)
    column = np.minimum(np.floor(np.mod(ra, 360) / 360 * count), count - 1).astype(int)
    return ring * COLUMNS + column


def patch(patch_id):
    """Return the Patch of an id."""
    ring, column = divmod(int(patch_id), COLUMNS)
    width = 360 / int(columns_of(ring))
    lower = -90 + ring * HEIGHT
    return Patch(int(patch_id), (column * width, (column + 1) * width), (lower, lower + HEIGHT))


def patches_touched(polygon, margin=0.3):
    """Return the ids of the patches whose inner regions a detector's outline on the sky may touch.

    Parameters
    ----------
    polygon : ndarray, shape (n, 2)
        Corners, ra and dec in deg, of a region smaller than a few degrees.
    margin : float
        Spacing in parts of a patch of the positions that are tried within the outline's bounding circle.
    """
    ra0, dec0 = polygon[0]
    plane = gnomonic(polygon[:, 0], polygon[:, 1], ra0, dec0)
    step = margin * HEIGHT
    low, high = plane.min(axis=0) - step, plane.max(axis=0) + step
    east, north = np.meshgrid(np.arange(low[0], high[0], step), np.arange(low[1], high[1], step))
    return np.unique(patch_at(*inverse_gnomonic(east.ravel(), north.ravel(), ra0, dec0)))
