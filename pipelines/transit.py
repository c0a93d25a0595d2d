"""Planetary transits: the light curve of a limb-darkened star behind a planet, and its fit to measured fluxes.

The model is integrated numerically over rings of the star's disc, of which the planet hides arcs (the geometry of
Mandel & Agol 2002, ApJ 580, L171).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

UNIT = 0.01  # days, of the time that is fitted
NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)


@dataclass(frozen=True)
class Orbit:
    """What is known of a planet beforehand.

    Parameters
    ----------
    period : float
        Days.
    distance : float
        Semi-major axis in stellar radii.
    inclination : float
        Degrees.
    eccentricity : float
    omega : float
        Argument of the star's periastron in degrees.
    limb : tuple of float
        Quadratic limb darkening: I(μ) = 1 − u1 (1 − μ) − u2 (1 − μ)².
    """

    period: float
    distance: float
    inclination: float = 90.0
    eccentricity: float = 0.0
    omega: float = 90.0
    limb: tuple[float, float] = (0.35, 0.2)


def separation(time, mid_transit, orbit):
    """Return the distance of the discs' centres in stellar radii; infinite while the planet is behind the star.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Days.
    mid_transit : float
        Day of inferior conjunction.
    """
    e, omega = orbit.eccentricity, np.radians(orbit.omega)
    middle = np.pi / 2 - omega  # true anomaly at conjunction
    eccentric = 2 * np.arctan2(np.sqrt(1 - e) * np.sin(middle / 2), np.sqrt(1 + e) * np.cos(middle / 2))
    mean = eccentric - e * np.sin(eccentric) + 2 * np.pi * (np.asarray(time) - mid_transit) / orbit.period
    anomaly = mean + e * np.sin(mean)
    for _ in range(20):
        anomaly = anomaly - (anomaly - e * np.sin(anomaly) - mean) / (1 - e * np.cos(anomaly))
    true = 2 * np.arctan2(np.sqrt(1 + e) * np.sin(anomaly / 2), np.sqrt(1 - e) * np.cos(anomaly / 2))
    radius = orbit.distance * (1 - e * np.cos(anomaly))
    depth = np.sin(omega + true) * np.sin(np.radians(orbit.inclination))
    return np.where(depth > 0, radius * np.sqrt(np.maximum(1 - depth**2, 0)), np.inf)


def transit_flux(z, ratio, limb):
    """Return the part of a star's light that passes a planet.

    Parameters
    ----------
    z : ndarray, shape (n,)
        Distance of the centres in stellar radii.
    ratio : float
        Radius of the planet in stellar radii.
    limb : tuple of float
        Quadratic limb darkening.
    """
    z = np.asarray(z, float)
    low, high = np.clip(np.abs(z - ratio), 0, 1), np.clip(z + ratio, 0, 1)
    # r = middle − half cos θ takes the square roots out of both ends of the ring's range.
    angle = np.pi / 2 * (NODES + 1)
    half, middle = (high - low)[:, None] / 2, (high + low)[:, None] / 2
    radius = middle - half * np.cos(angle)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (radius**2 + z[:, None] ** 2 - ratio**2) / (2 * radius * z[:, None])
    arc = np.arccos(np.clip(np.nan_to_num(cosine, nan=1.0), -1, 1))
    rings = _brightness(radius, limb) * 2 * radius * arc * half * np.sin(angle) * WEIGHTS * np.pi / 2
    whole = np.clip(ratio - z, 0, 1)  # rings inside that the planet hides all round
    return 1 - (rings.sum(axis=1) + _light_within(whole, limb)) / _light_within(np.ones(1), limb)


def _brightness(radius, limb):
    mu = np.sqrt(np.maximum(1 - radius**2, 0))
    return 1 - limb[0] * (1 - mu) - limb[1] * (1 - mu) ** 2


def _light_within(radius, limb):
    """Integrate the brightness over the disc within a radius: substituting μ makes it a polynomial."""
    mu = np.sqrt(np.maximum(1 - np.asarray(radius) ** 2, 0))
    a, b, c = 1 - limb[0] - limb[1], limb[0] + 2 * limb[1], -limb[1]
    return 2 * np.pi * (a * (1 - mu**2) / 2 + b * (1 - mu**3) / 3 + c * (1 - mu**4) / 4)


@dataclass(frozen=True, eq=False)
class TransitFit:
    """A fitted transit: mid-transit [d] and radius ratio with errors, model and baseline at each time, rms, β."""

    mid_transit: float
    mid_transit_err: float
    ratio: float
    ratio_err: float
    model: np.ndarray
    baseline: np.ndarray
    rms: float
    beta: float


def fit_transit(time, flux, orbit, guess, baseline=None, error=None):
    """Fit mid-transit and radius ratio, with a linear baseline solved along.

    The errors are those of white noise of the residuals' scatter, times β: how much more means over 10 to 40
    minutes scatter than white noise would (Pont+ 2006; Winn+ 2008).

    Parameters
    ----------
    time : ndarray, shape (n,)
        Days.
    flux : ndarray, shape (n,)
        Relative to any level.
    orbit : Orbit
    guess : tuple of float
        Mid-transit and radius ratio.
    baseline : ndarray, shape (n, k), optional
        What the level may follow besides a constant: time, airmass ….
    error : ndarray, shape (n,), optional
        Relative errors; all equal by default.

    Returns
    -------
    TransitFit
    """
    terms = np.ones((len(time), 1)) if baseline is None else np.column_stack([np.ones(len(time)), baseline])
    weight = 1 / (np.ones(len(time)) if error is None else np.asarray(error, float))

    def moment(value):
        return guess[0] + UNIT * (value - 1)

    def parts(values):
        shape = transit_flux(separation(time, moment(values[0]), orbit), values[1], orbit.limb)
        matrix = shape[:, None] * terms
        level = terms @ np.linalg.lstsq(weight[:, None] * matrix, weight * flux, rcond=None)[0]
        return shape, level

    def misfit(values):
        shape, level = parts(values)
        return weight * (flux - shape * level)

    # A planet of no size has no time of transit; and steps are parts of a value, which must not be 0.
    bounds = ((1 - 0.1 / UNIT, 0.01), (1 + 0.1 / UNIT, 0.5))
    found = least_squares(misfit, (1.0, guess[1]), bounds=bounds, diff_step=1e-3)
    shape, level = parts(found.x)
    residual = flux / level - shape
    freedom = max(len(time) - 2 - terms.shape[1], 1)
    scale = np.sum(found.fun**2) / freedom
    beta = red_noise(time, weight * residual)
    error = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)) * scale) * beta
    return TransitFit(moment(found.x[0]), UNIT * error[0], found.x[1], error[1], shape, level,
                      float(np.sqrt(np.sum(residual**2) / freedom)), beta)  # fmt: skip


def red_noise(time, residual, spans=(10, 15, 20, 30, 40)):
    """Return how much more means over some spans [minute] scatter than white noise would; at least 1."""
    scatter = np.std(residual)
    ratios = []
    for span in spans:
        group = np.floor((time - time.min()) * 1440 / span).astype(int)
        count = np.bincount(group)
        means = np.bincount(group, residual)[count > 1] / count[count > 1]
        expected = scatter * np.sqrt(np.mean(1 / count[count > 1]))
        if len(means) > 3:
            ratios.append(np.sqrt(np.mean(means**2)) / expected)
    return float(max(1.0, np.mean(ratios))) if ratios else 1.0
