"""World coordinates of an exposure: standard FITS projections, pixel (0, 0) the centre of the first."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning, Sip


@dataclass(frozen=True, eq=False)
class Wcs:
    """A mapping between pixels and ICRS positions that any FITS reader understands (TAN, TAN-SIP, TPV).

    Parameters
    ----------
    cards : str
        The FITS header cards of the projection.
    """

    cards: str

    @classmethod
    def from_header(cls, header):
        """Keep the projection of a FITS header."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            return cls.from_astropy(WCS(header))

    @classmethod
    def from_astropy(cls, wcs):
        """Keep an astropy projection."""
        return cls(wcs.celestial.to_header(relax=True).tostring())

    @classmethod
    def tangent(cls, ra, dec, x, y, cd):
        """Return a gnomonic projection with (ra, dec) [deg] at pixel (x, y) and cd in deg/pixel."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.cunit = ["deg", "deg"]
        wcs.wcs.crval = [ra, dec]
        wcs.wcs.crpix = [x + 1, y + 1]
        wcs.wcs.cd = cd
        return cls.from_astropy(wcs)

    def shifted(self, dx, dy):
        """Return the projection of an image that is this one's moved by (dx, dy) pixels."""
        wcs = self.astropy.deepcopy()
        wcs.wcs.crpix = wcs.wcs.crpix + [dx, dy]
        if wcs.sip is not None:
            wcs.sip = Sip(wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp, wcs.wcs.crpix)
        return Wcs.from_astropy(wcs)

    @property
    def header(self):
        """The cards as an astropy header."""
        return fits.Header.fromstring(self.cards)

    @cached_property
    def astropy(self):
        """The projection as an astropy WCS."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            return WCS(self.header)

    def sky(self, x, y):
        """Return ra, dec [deg, ICRS] of pixel positions."""
        return self.astropy.all_pix2world(x, y, 0)

    def pixel(self, ra, dec):
        """Return the pixel positions x, y of ra, dec [deg, ICRS]."""
        return self.astropy.all_world2pix(ra, dec, 0, quiet=True)

    def jacobian(self, x, y):
        """Return d(east, north)/d(x, y) at pixel positions, in arcsec per pixel, shape (..., 2, 2)."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        ra, dec = self.sky(x, y)
        columns = []
        for dx, dy in ((0.5, 0), (0, 0.5)):
            (ra_hi, dec_hi), (ra_lo, dec_lo) = self.sky(x + dx, y + dy), self.sky(x - dx, y - dy)
            east = (np.mod(ra_hi - ra_lo + 180, 360) - 180) * np.cos(np.radians(dec))
            columns.append(np.stack([east, dec_hi - dec_lo], axis=-1))
        return 3600 * np.stack(columns, axis=-1)

    def pixel_scale(self, x, y):
        """Return the side of a square pixel of the same area, in arcsec."""
        return np.sqrt(np.abs(np.linalg.det(self.jacobian(x, y))))

    def polygon(self, shape):
        """Return the corners of a detector on the sky, ra and dec in deg, shape (4, 2)."""
        rows, columns = shape
        x = np.array([-0.5, columns - 0.5, columns - 0.5, -0.5])
        y = np.array([-0.5, -0.5, rows - 0.5, rows - 0.5])
        return np.stack(self.sky(x, y), axis=-1)
