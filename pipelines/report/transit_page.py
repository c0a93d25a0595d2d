"""The page of a transit: the light curve of its star from one night's Sources, the fit, and proof by injected ones."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from psycopg2.extensions import connection as Connection

from db.errors import HvenError
from pipelines.report import Answer, ask, environment
from pipelines.report.ensemble import POGSON, LightCurves, light_curves, object_at, residuals, without_pattern
from pipelines.report.figures import ACCENT, figure, svg
from pipelines.report.nightly import Section
from pipelines.transit import Orbit, TransitFit, fit_transit, separation, transit_flux

SCINTILLATION = 0.0015  # of a 15 cm telescope in 60 s at the zenith: Young 1967, times 1.5 (Osborn+ 2015)
QUIET = 0.006  # relative scatter up to which a star is fit to have a transit injected
SHIFTS = tuple(hours / 24 for hours in (-1.5, -0.5, 0.5, 1.5))
DEPTH = 0.15  # radius ratio of injected planets
TIME_LIMIT, RATIO_LIMIT = 3.0, 0.010  # how near [min] and [radii] an injected transit must be found
MARGIN = 5 / 1440  # days around a transit that are neither in nor out


class NoTransit(HvenError):
    """A planet that is not known, or whose transit was not observed."""

    exit_status = 29


@dataclass(frozen=True)
class Planet:
    """A star with a planet: name, place [deg], any mid-transit [BJD TDB], orbit, duration [d]."""

    name: str
    ra: float
    dec: float
    mid_transit: float
    orbit: Orbit
    duration: float

    def nearest(self, time: np.ndarray) -> "Planet":
        """Return the planet with the mid-transit nearest to the middle of some times [BJD TDB]."""
        turns = np.rint((np.mean([np.min(time), np.max(time)]) - self.mid_transit) / self.orbit.period)
        return replace(self, mid_transit=self.mid_transit + float(turns) * self.orbit.period)


@cache
def planets() -> dict[str, Planet]:
    """Return the planets of `planets.yaml`, by name."""
    known = yaml.safe_load(Path(__file__).with_name("planets.yaml").read_text())
    return {
        name: Planet(
            name, told["ra"], told["dec"], told["mid_transit"],
            Orbit(**told["orbit"] | {"limb": tuple(told["orbit"]["limb"])}), told["duration_hours"] / 24,
        )
        for name, told in known.items()
    }  # fmt: skip


def find(name: str) -> Planet:
    """Return a planet by name.

    Raises
    ------
    NoTransit
    """
    try:
        return planets()[name]
    except KeyError:
        raise NoTransit(f"transit: no planet is {name!r}", f"known are {', '.join(planets())}") from None


def quiet(curves: LightCurves, planet: Planet) -> np.ndarray:
    """Return which exposures lie outside the transit, with its ingress and a margin of 5 minutes."""
    return np.abs(curves.time - planet.mid_transit) > planet.duration / 2 + MARGIN


def scatter(curves: LightCurves, planet: Planet, star: int) -> float:
    """Return the standard deviation of a star's relative flux outside the transit, after its slope with airmass."""
    used = quiet(curves, planet) & np.isfinite(curves.magnitude[star])
    level = curves.magnitude[star][used]
    terms = np.column_stack([np.ones(used.sum()), curves.airmass[used]])
    residual = level - terms @ np.linalg.lstsq(terms, level, rcond=None)[0]
    return float(np.sqrt(np.sum(residual**2) / (used.sum() - 2)) / POGSON)


def steady(curves: LightCurves, planet: Planet, least: float = 0.85) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of stars that were measured in nearly all exposures, and their scatter."""
    rows = np.flatnonzero(np.isfinite(curves.magnitude).mean(axis=1) > least)
    return rows, np.array([scatter(curves, planet, row) for row in rows])


def comparison(curves: LightCurves, planet: Planet, star: int, range_mag: float = 0.5) -> float:
    """Return the median scatter of the stars as bright as a star."""
    rows, sigma = steady(curves, planet)
    level = np.nanmedian(curves.magnitude, axis=1)
    alike = (np.abs(level[rows] - level[star]) < range_mag) & (rows != star)
    return float(np.median(sigma[alike])) if alike.any() else np.nan


def fit(curves: LightCurves, planet: Planet, star: int, shift: float = 0.0, depth: float | None = None) -> TransitFit:
    """Fit the transit of a star; with `depth`, of one of that radius ratio injected `shift` days from the planet's.

    The level follows the airmass alone: transits injected into other stars are found best so.
    """
    magnitude = curves.magnitude[star]
    used = np.isfinite(magnitude)
    time = curves.time[used]
    flux = 10 ** (-0.4 * (magnitude[used] - np.median(magnitude[used])))
    middle = planet.mid_transit + shift
    if depth is not None:
        flux = flux * transit_flux(separation(time, middle, planet.orbit), depth, planet.orbit.limb)
    airmass = curves.airmass[used]
    error = np.hypot(curves.noise[star][used], SCINTILLATION * airmass**1.75)
    return fit_transit(time, flux, planet.orbit, (middle + 0.001, 0.14), (airmass - airmass.mean())[:, None], error)


def injected(curves: LightCurves, planet: Planet, stars, shifts=SHIFTS, depth: float = DEPTH) -> np.ndarray:
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
    often, sigma = steady(curves, planet)
    made, axis = figure(height=3.2)
    axis.semilogy(level[often] - level[star], 100 * sigma, ".", ms=3, color="#888888")
    axis.semilogy(0, 100 * scatter(curves, planet, star), "o", color=ACCENT)
    axis.set(xlabel="magnitude − target's", ylabel="scatter outside the transit [%]")
    axis.grid(alpha=0.3, which="both")
    return svg(made)


def residual_map(curves: LightCurves, star: int, bins: tuple[int, int] = (26, 20)) -> str:
    """Return the mean residual of all stars but the target over the detector, as SVG: what a flat has left."""
    others = np.arange(len(curves.objects)) != star
    residual = residuals(curves)[others]
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


def injection_figure(found: np.ndarray) -> str:
    """Return the errors of injected transits, the limits marked, as SVG."""
    made, axis = figure(width=6.5, height=3.6)
    axis.plot(found[:, 0], found[:, 1], ".", ms=5, color=ACCENT, alpha=0.7)
    axis.add_patch(_box(TIME_LIMIT, RATIO_LIMIT))
    axis.set(xlabel="error of mid-transit [min]", ylabel="error of Rp/R*",
             xlim=(-4 * TIME_LIMIT, 4 * TIME_LIMIT), ylim=(-4 * RATIO_LIMIT, 4 * RATIO_LIMIT))  # fmt: skip
    axis.grid(alpha=0.3)
    return svg(made)


def _box(half_width, half_height):
    from matplotlib.patches import Rectangle

    return Rectangle((-half_width, -half_height), 2 * half_width, 2 * half_height, fill=False, ec="#b3261e", ls="--")


def transit_page(connection: Connection, planet: Planet, site: dict | None) -> str:
    """Return the page of the transit of a planet that a database's Sources show, as HTML.

    Parameters
    ----------
    connection : psycopg2 connection
        To a Science Database with Sources, as a scientist or with more rights.
    planet : Planet
    site : dict
        Longitude, latitude [deg, east] and height [m] of the telescope.

    Raises
    ------
    NoTransit
        There is no site, its star has no steady light curve here, or no exposure lies in the transit.
    """
    curves, planet, star = observed(connection, planet, site)
    measured = ask(connection, "ensemble", "light_curve", ra=planet.ra, dec=planet.dec, radius_arcsec=8)
    found = fit(curves, planet, star)
    rows, sigma = steady(curves, planet)
    others = rows[(sigma < QUIET) & (rows != star)]
    tried = injected(curves, planet, others)
    sections = [
        Section("transit", _facts(curves, planet, star, found), light_curve_figure(curves, planet, star, found)),
        Section("injected", _proof(others, tried), injection_figure(tried)),
    ]
    page = environment().get_template("transit.html")
    return page.render(
        planet=planet, sections=sections, light_curve=Section("light_curve", measured, folded=True),
        scatter=scatter_figure(curves, planet, star), pattern=residual_map(curves, star),
    )


def observed(connection: Connection, planet: Planet, site: dict | None) -> tuple[LightCurves, Planet, int]:
    """Return the light curves of a night, the planet with that night's transit, and the row of its star."""
    if site is None:
        raise NoTransit("transit: the camera has no site, which barycentric times need", "name it in the camera's YAML")
    curves = light_curves(connection, planet.ra, planet.dec, site)
    star = curves.star(object_at(connection, planet.ra, planet.dec))
    planet = planet if star is None else planet.nearest(curves.time)
    if star is None or quiet(curves, planet).all():
        what = "its star has no steady light curve here" if star is None else "no exposure lies in its transit"
        raise NoTransit(f"transit: {planet.name}: {what}", "name the database that has the night's Sources by -d")
    return without_pattern(curves, star), planet, star


def _facts(curves, planet, star, found) -> Answer:
    told = {
        "mid-transit [BJD TDB]": f"{found.mid_transit:.5f} ± {found.mid_transit_err:.5f}",
        "less the expected [min]": f"{1440 * (found.mid_transit - planet.mid_transit):+.2f}",
        "Rp/R*": f"{found.ratio:.4f} ± {found.ratio_err:.4f}",
        "scatter outside the transit [%]": f"{100 * scatter(curves, planet, star):.3f}",
        "the same of stars as bright [%]": f"{100 * comparison(curves, planet, star):.3f}",
        "correlated noise [%]": f"{100 * found.red:.3f}",
    }
    return Answer("Transit", "", tuple(told), (tuple(told.values()),))


def _proof(others, tried) -> Answer:
    near = (np.abs(tried[:, 0]) < TIME_LIMIT) & (np.abs(tried[:, 1]) < RATIO_LIMIT)
    told = {
        "transits": len(tried), "stars": len(others),
        f"found within {TIME_LIMIT:g} min and {RATIO_LIMIT:g} [%]": f"{100 * near.mean():.1f}",
        "pull of the time": f"{tried[:, 2].std():.2f}", "pull of Rp/R*": f"{tried[:, 3].std():.2f}",
    }
    return Answer(f"Transits of Rp/R* = {DEPTH:g} injected into other quiet stars", "", tuple(told),
                  (tuple(told.values()),))  # fmt: skip
