"""Light curves of all stars of a night against each other: ensemble photometry, and what the detector leaves in it."""

from dataclasses import dataclass, replace

import numpy as np
from astropy import units
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from psycopg2.extensions import connection as Connection
from scipy.spatial import cKDTree

from db.queries import queries

POGSON = 2.5 / np.log(10)
FLOOR = 0.003  # mag that no measurement is below


@dataclass(frozen=True, eq=False)
class LightCurves:
    """Light curves of many stars on common exposures.

    Parameters
    ----------
    objects : ndarray, shape (n_stars,)
        object_id.
    time : ndarray, shape (n_exposures,)
        BJD TDB of the direction that was asked for.
    airmass : ndarray, shape (n_exposures,)
    magnitude, noise, x, y : ndarray, shape (n_stars, n_exposures)
        Magnitude less the ensemble's zero, its relative error by the noise of the pixels, and the place [pixel];
        NaN where a star was not measured.
    """

    objects: np.ndarray
    time: np.ndarray
    airmass: np.ndarray
    magnitude: np.ndarray
    noise: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def star(self, object_id: int) -> int | None:
        """Return the row of an Object; None if it has none."""
        found = np.flatnonzero(self.objects == object_id)
        return int(found[0]) if len(found) else None


def barycentric(midpoint_tai, ra: float, dec: float, site: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return BJD TDB and airmass of exposures [TAI, MJD] towards a place [deg] from a site."""
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "warn"):
        place = SkyCoord(ra * units.deg, dec * units.deg)
        here = EarthLocation(site["longitude"] * units.deg, site["latitude"] * units.deg, site["height"] * units.m)
        time = Time(midpoint_tai, format="mjd", scale="tai", location=here)
        airmass = 1 / np.sin(place.transform_to(AltAz(obstime=time, location=here)).alt.rad)
        return (time.tdb + time.light_travel_time(place)).jd, airmass


def light_curves(connection: Connection, ra: float, dec: float, site: dict, steady: float = 0.08) -> LightCurves:
    """Return the light curves of all stars that scatter by less than `steady` mag; times are those of a place [deg]."""
    with connection.cursor() as cursor:
        cursor.execute(queries("ensemble")["all_light_curves"], {"steady": steady})
        rows = cursor.fetchall()
    if not rows:
        return LightCurves(np.zeros(0, int), np.zeros(0), np.zeros(0), *np.zeros((4, 0, 0)))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    objects, star = np.unique(columns[0], return_inverse=True)
    exposures, first, number = np.unique(columns[1], return_index=True, return_inverse=True)
    planes = np.full((4, len(objects), len(exposures)), np.nan)
    for plane, values in zip(planes, (columns[5], columns[6], columns[3], columns[4]), strict=True):
        plane[star, number] = values
    time, airmass = barycentric(columns[2][first], ra, dec, site)
    return LightCurves(objects, time, airmass, *planes)


def object_at(connection: Connection, ra: float, dec: float, radius_arcsec: float = 8.0) -> int | None:
    """Return the object_id of the Object nearest to a place [deg]; None if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(queries("ensemble")["object_at"], {"ra": ra, "dec": dec, "radius_arcsec": radius_arcsec})
        found = cursor.fetchone()
    return found and found[0]


def residuals(curves: LightCurves) -> np.ndarray:
    """Return each star's magnitudes less its mean and its own slope with the airmass."""
    left = np.full_like(curves.magnitude, np.nan)
    slope = curves.airmass - curves.airmass.mean()
    for row, magnitude in zip(left, curves.magnitude, strict=True):
        used = np.isfinite(magnitude)
        if used.sum() > 3:
            terms = np.column_stack([np.ones(used.sum()), slope[used]])
            row[used] = magnitude[used] - terms @ np.linalg.lstsq(terms, magnitude[used], rcond=None)[0]
    return left


def without_pattern(
    curves: LightCurves, left_out: int | None, reach: float = 12.0, prior: float = 0.003, steady: float = 0.03
) -> LightCurves:
    """Take off what the other stars show at the same pixels: dust and the pixels' own response, on a drifting sky.

    No star has a say in its own light curve, else its own variation would go too.

    Parameters
    ----------
    left_out : int or None
        Row of a star that is known to vary: it has no say in any.
    reach : float
        Standard deviation in pixels of the Gaussian by which others count less with distance.
    prior : float
        Expected size of the pattern [mag].
    steady : float
        Scatter [mag] of a star up to which it has a say.
    """
    left = residuals(curves)
    scatter = 1.4826 * np.nanmedian(np.abs(np.where(np.isfinite(left).any(axis=1)[:, None], left, 1.0)), axis=1)
    used = (scatter[:, None] < steady) & (np.abs(left) < 4 * scatter[:, None])
    used[left_out if left_out is not None else []] = False
    star, exposure = np.nonzero(used)
    own, when = np.nonzero(np.isfinite(curves.magnitude))
    others = cKDTree(np.column_stack([curves.x[star, exposure], curves.y[star, exposure]]))
    places = cKDTree(np.column_stack([curves.x[own, when], curves.y[own, when]]))
    near = places.sparse_distance_matrix(others, 3 * reach, output_type="coo_matrix")
    weight = np.exp(-0.5 * (near.data / reach) ** 2) / (scatter[star[near.col]] ** 2 + FLOOR**2)
    weight[star[near.col] == own[near.row]] = 0
    total = np.bincount(near.row, weight * left[star, exposure][near.col], len(own))
    pattern = total / (np.bincount(near.row, weight, len(own)) + prior**-2)
    magnitude = curves.magnitude.copy()
    magnitude[own, when] -= pattern
    return replace(curves, magnitude=magnitude)
