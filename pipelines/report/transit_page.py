"""The light curve of a transit from the Sources of one night: its fit, proof by injected transits, and the figures."""

from dataclasses import dataclass

import numpy as np
from astropy import units
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from psycopg2.extensions import connection as Connection

from db.queries import queries
from pipelines.report.figures import ACCENT, figure, svg
from pipelines.transit import Orbit, TransitFit, fit_transit, separation, transit_flux

POGSON = 2.5 / np.log(10)


@dataclass(frozen=True)
class Planet:
    """A star with a planet: ra and dec [deg], mid-transit expected in the night [BJD TDB], orbit, duration [d]."""

    ra: float
    dec: float
    mid_transit: float
    orbit: Orbit
    duration: float


HAT_P_32 = Planet(
    31.04283, 46.68783, 2455867.402743 + 1042 * 2.1500082,
    Orbit(2.1500082, 5.344, 88.98, 0.159, 50.0, (0.35, 0.2)), 3.13 / 24,
)


@dataclass(frozen=True, eq=False)
class LightCurves:
    """Light curves of many stars on common exposures.

    Parameters
    ----------
    objects : ndarray, shape (n_stars,)
        object_id.
    time : ndarray, shape (n_exposures,)
        BJD TDB of the target's direction.
    airmass : ndarray, shape (n_exposures,)
    magnitude, x, y : ndarray, shape (n_stars, n_exposures)
        Less the ensemble's zero; NaN where a star was not measured.
    """

    objects: np.ndarray
    time: np.ndarray
    airmass: np.ndarray
    magnitude: np.ndarray
    x: np.ndarray
    y: np.ndarray


def barycentric(midpoint_tai, ra: float, dec: float, site: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return BJD TDB and airmass of exposures [TAI, MJD] towards a place [deg] from a site."""
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "warn"):
        place = SkyCoord(ra * units.deg, dec * units.deg)
        here = EarthLocation(site["longitude"] * units.deg, site["latitude"] * units.deg, site["height"] * units.m)
        time = Time(midpoint_tai, format="mjd", scale="tai", location=here)
        airmass = 1 / np.sin(place.transform_to(AltAz(obstime=time, location=here)).alt.rad)
        return (time.tdb + time.light_travel_time(place)).jd, airmass


def light_curves(connection: Connection, planet: Planet, site: dict, steady: float = 0.05) -> LightCurves:
    """Return the light curves of all stars that scatter by less than `steady` mag."""
    with connection.cursor() as cursor:
        cursor.execute(queries("ensemble")["all_light_curves"], {"steady": steady})
        columns = [np.array(column) for column in zip(*cursor.fetchall(), strict=True)]
    objects, star = np.unique(columns[0], return_inverse=True)
    exposures, first, number = np.unique(columns[1], return_index=True, return_inverse=True)
    planes = np.full((3, len(objects), len(exposures)), np.nan)
    for plane, values in zip(planes, (columns[5], columns[3], columns[4]), strict=True):
        plane[star, number] = values
    time, airmass = barycentric(columns[2][first], planet.ra, planet.dec, site)
    return LightCurves(objects, time, airmass, *planes)


def object_at(connection: Connection, planet: Planet, radius_arcsec: float = 8.0) -> int:
    """Return the object_id of the planet's star."""
    with connection.cursor() as cursor:
        place = {"ra": planet.ra, "dec": planet.dec, "radius_arcsec": radius_arcsec}
        cursor.execute(queries("ensemble")["object_at"], place)
        return cursor.fetchone()[0]


def baseline(curves: LightCurves, star: int, places: bool = True) -> np.ndarray:
    """Return what a star's level may follow: airmass and, with `places`, its position on the detector."""
    terms = (curves.airmass, curves.x[star] / 100, curves.y[star] / 100)[: 3 if places else 1]
    return np.stack([term - np.nanmean(term) for term in terms], axis=1)


def quiet(curves: LightCurves, planet: Planet) -> np.ndarray:
    """Return which exposures lie outside the transit, with its ingress and a margin of 5 minutes."""
    return np.abs(curves.time - planet.mid_transit) > planet.duration / 2 + 5 / 1440


def scatter(curves: LightCurves, planet: Planet, star: int) -> float:
    """Return the standard deviation of a star's relative flux outside the transit, after its baseline."""
    used = quiet(curves, planet) & np.isfinite(curves.magnitude[star])
    terms = np.column_stack([np.ones(used.sum()), baseline(curves, star)[used]])
    level = curves.magnitude[star][used]
    residual = level - terms @ np.linalg.lstsq(terms, level, rcond=None)[0]
    return float(np.sqrt(np.sum(residual**2) / (used.sum() - terms.shape[1])) / POGSON)


def fit(curves: LightCurves, planet: Planet, star: int, shift: float = 0.0, depth: float | None = None) -> TransitFit:
    """Fit the transit of a star; with `depth`, of one of that radius ratio injected `shift` days from the planet's.

    The level follows the airmass alone: transits injected into other stars are found best so. A drift over the
    detector goes one way all night, and a level that follows it takes a part of the depth.
    """
    magnitude = curves.magnitude[star]
    used = np.isfinite(magnitude)
    time = curves.time[used]
    flux = 10 ** (-0.4 * (magnitude[used] - np.median(magnitude[used])))
    middle = planet.mid_transit + shift
    if depth is not None:
        flux = flux * transit_flux(separation(time, middle, planet.orbit), depth, planet.orbit.limb)
    level = baseline(curves, star, places=False)[used]
    return fit_transit(time, flux, planet.orbit, (middle + 0.001, 0.14), level)


def injected(curves: LightCurves, planet: Planet, stars, shifts, depth: float = 0.15) -> np.ndarray:
    """Return, for a transit injected into each star at each shift [d], errors and pulls of time [min] and ratio.

    Returns
    -------
    ndarray, shape (n, 4)
        Error of mid-transit [min], of the ratio, and both in units of the fit's own errors.
    """
    rows = []
    for star in stars:
        for shift in shifts:
            found = fit(curves, planet, star, shift, depth)
            late = found.mid_transit - planet.mid_transit - shift
            deep = found.ratio - depth
            rows.append((1440 * late, deep, late / found.mid_transit_err, deep / found.ratio_err))
    return np.array(rows)


def light_curve_figure(curves: LightCurves, planet: Planet, star: int, found: TransitFit) -> str:
    """Return the normalised light curve with the fitted transit, and the residuals beneath, as SVG."""
    magnitude = curves.magnitude[star]
    used = np.isfinite(magnitude)
    hours = 24 * (curves.time[used] - planet.mid_transit)
    flux = 10 ** (-0.4 * (magnitude[used] - np.median(magnitude[used]))) / found.baseline
    made, (upper, lower) = figure(height=4.6, nrows=2, sharex=True, height_ratios=(3, 1))
    upper.plot(hours, flux, ".", ms=4, color="#888888")
    upper.plot(hours, found.model, color=ACCENT, lw=1.5)
    upper.set_ylabel("relative flux")
    lower.plot(hours, 100 * (flux - found.model), ".", ms=4, color="#888888")
    lower.axhline(0, color=ACCENT, lw=1)
    lower.set(xlabel="hours from the expected mid-transit (BJD TDB)", ylabel="residual [%]")
    for axis in (upper, lower):
        axis.grid(alpha=0.3)
    return svg(made)


def scatter_figure(curves: LightCurves, planet: Planet, star: int) -> str:
    """Return how steady all stars are against brightness, the target marked, as SVG."""
    level = np.nanmedian(curves.magnitude, axis=1)
    often = np.flatnonzero(np.isfinite(curves.magnitude).mean(axis=1) > 0.85)
    sigma = np.array([scatter(curves, planet, one) for one in often])
    made, axis = figure(height=3.2)
    axis.semilogy(level[often] - level[star], 100 * sigma, ".", ms=3, color="#888888")
    axis.semilogy(0, 100 * scatter(curves, planet, star), "o", color=ACCENT)
    axis.set(xlabel="magnitude − target's", ylabel="scatter outside the transit [%]")
    axis.grid(alpha=0.3, which="both")
    return svg(made)


def residual_map(curves: LightCurves, star: int, bins: tuple[int, int] = (26, 20)) -> str:
    """Return the mean residual of all stars but the target over the detector, as SVG: what a flat has left."""
    others = np.arange(len(curves.objects)) != star
    residual = curves.magnitude[others] - np.nanmedian(curves.magnitude[others], axis=1, keepdims=True)
    seen = np.isfinite(residual) & (np.abs(residual) < 0.05)
    x, y, values = curves.x[others][seen], curves.y[others][seen], residual[seen]
    total, *edges = np.histogram2d(x, y, bins, weights=values)
    count, *_ = np.histogram2d(x, y, edges)
    made, axis = figure(width=6.5, height=4.4)
    mean = np.where(count > 3, 1000 * total / np.maximum(count, 1), np.nan)
    shown = axis.pcolormesh(*edges, mean.T, cmap="RdBu_r", vmin=-10, vmax=10)
    made.colorbar(shown, ax=axis, label="mean residual [mmag]")
    axis.set(xlabel="x [pixel]", ylabel="y [pixel]", aspect="equal")
    return svg(made)
