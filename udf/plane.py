"""Places with errors, and how likely one is where another is expected: tangent planes, right at poles and RA 0.

Positions are ICRS [deg], offsets arcsec east and north, covariances arcsec² with x to the east in true angle.
"""

from dataclasses import dataclass

import numpy as np

ARCSEC = np.pi / 180 / 3600
LOG_TWO_PI = np.log(2 * np.pi)


@dataclass(frozen=True)
class Places:
    """Positions with covariance (xx, yy, xy): arrays of one length."""

    ra: np.ndarray
    dec: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray

    def __getitem__(self, index):
        """Some of the places."""
        return Places(self.ra[index], self.dec[index], self.xx[index], self.yy[index], self.xy[index])


def measured(ra, dec, ra_err, dec_err, covariance, missing_err, floor):
    """Places of measured errors [arcsec]; NaN errors become `missing_err`, `floor` is added to all in quadrature."""
    known = np.isfinite(ra_err) & np.isfinite(dec_err)
    xx, yy = (np.where(known, error, missing_err).astype(float) ** 2 + floor**2 for error in (ra_err, dec_err))
    return Places(ra, dec, xx, yy, np.where(known & np.isfinite(covariance), covariance, 0.0))


def offsets(ra, dec, ra_centre, dec_centre):
    """East and north offsets [arcsec] in the tangent planes at centres, and the turn [rad] of the axes.

    A place's own east points at the angle `turn`, from east to north, in the plane at its centre.
    """
    east = np.radians((ra - ra_centre + 180) % 360 - 180)
    north, declination, centre = np.radians(dec - dec_centre), np.radians(dec), np.radians(dec_centre)
    bulge = 2 * np.cos(declination) * np.sin(east / 2) ** 2
    depth = (np.cos(north) - np.cos(centre) * bulge) * ARCSEC
    x, y = np.cos(declination) * np.sin(east) / depth, (np.sin(north) + np.sin(centre) * bulge) / depth
    turn = 2 * np.arctan2(np.sin(east / 2) * np.sin((declination + centre) / 2), np.cos(east / 2) * np.cos(north / 2))
    return x, y, turn


def turned(places, turn):
    """Covariances xx, yy, xy of places in the frames of centres; `turn` [rad] as `offsets` gives it."""
    cos, sin = np.cos(turn), np.sin(turn)
    return (
        places.xx * cos**2 - 2 * places.xy * sin * cos + places.yy * sin**2,
        places.xx * sin**2 + 2 * places.xy * sin * cos + places.yy * cos**2,
        (places.xx - places.yy) * sin * cos + places.xy * (cos**2 - sin**2),
    )


def log_density(places, targets):
    """Logarithm of the normal density [arcsec⁻²] of places where targets, pair by pair, are expected.

    The covariance is the sum of both, in the tangent plane at the target.
    """
    x, y, turn = offsets(places.ra, places.dec, targets.ra, targets.dec)
    xx, yy, xy = turned(places, turn)
    xx, yy, xy = xx + targets.xx, yy + targets.yy, xy + targets.xy
    determinant = xx * yy - xy**2
    distance = (yy * x**2 - 2 * xy * x * y + xx * y**2) / determinant
    return -0.5 * (distance + np.log(determinant)) - LOG_TWO_PI


def separations(ra1, dec1, ra2, dec2):
    """Angles [arcsec] between positions [deg], by haversine."""
    ra1, dec1, ra2, dec2 = map(np.radians, (ra1, dec1, ra2, dec2))
    half = np.sin((dec2 - dec1) / 2) ** 2 + np.cos(dec1) * np.cos(dec2) * np.sin((ra2 - ra1) / 2) ** 2
    return 2 * np.arcsin(np.sqrt(np.minimum(half, 1))) / ARCSEC


def within(places, targets, radius):
    """Indices of all pairs of places and targets, two small sets, within a radius [arcsec] for each target."""
    order = np.argsort(places.dec)
    first, last = (np.searchsorted(places.dec[order], targets.dec + sign * radius / 3599) for sign in (-1, 1))
    target = np.repeat(np.arange(first.size), last - first)
    begin = np.repeat(first - np.cumsum(last - first) + (last - first), last - first)
    which = order[begin + np.arange(target.size)]
    apart = separations(places.ra[which], places.dec[which], targets.ra[target], targets.dec[target])
    return which[apart <= radius[target]], target[apart <= radius[target]]
