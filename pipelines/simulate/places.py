"""Places on the sphere as unit vectors, right at the poles and across right ascension 0."""

import numpy as np

ARCSEC = np.pi / 180 / 3600


def unit(ra, dec):
    """Unit vectors, shape (…, 3), of positions [deg]."""
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def position(vectors):
    """Right ascension (0 ≤ ra < 360) and declination [deg] of vectors, shape (…, 3), of any length."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    ra = np.degrees(np.arctan2(y, x)) % 360
    return np.where(ra == 360, 0.0, ra), np.degrees(np.arctan2(z, np.hypot(x, y)))


def axes(ra, dec):
    """Unit vectors to the east and to the north, each of shape (…, 3), at positions [deg]."""
    ra, dec = np.radians(ra), np.radians(dec)
    zero = np.zeros_like(ra)
    east = np.stack([-np.sin(ra), np.cos(ra), zero], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    return east, north


def shifted(ra, dec, east_arcsec, north_arcsec):
    """Positions [deg] moved within their tangent planes, which gnomonic projection unrolls."""
    east, north = axes(ra, dec)
    step = np.asarray(east_arcsec)[..., None] * east + np.asarray(north_arcsec)[..., None] * north
    return position(unit(ra, dec) + ARCSEC * step)


def projected(ra, dec, ra_centre, dec_centre):
    """East and north offsets [arcsec] in the tangent plane at a centre; the inverse of `shifted`."""
    vectors, centre = unit(ra, dec), unit(ra_centre, dec_centre)
    east, north = axes(np.asarray(ra_centre, float), np.asarray(dec_centre, float))
    depth = vectors @ centre
    return vectors @ east / depth / ARCSEC, vectors @ north / depth / ARCSEC


def scattered(count, ra, dec, radius_deg, random):
    """Positions [deg] spread evenly over a cap of the sky."""
    depth = 1 - random.uniform(0, 1, count) * 2 * np.sin(np.radians(radius_deg) / 2) ** 2
    angle, width = random.uniform(0, 2 * np.pi, count), np.sqrt(np.maximum(1 - depth**2, 0))
    east, north = axes(np.asarray(ra, float), np.asarray(dec, float))
    across = np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north
    return position(depth[:, None] * unit(ra, dec) + width[:, None] * across)
