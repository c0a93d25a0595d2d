"""Planetary transits: the light curve of a limb-darkened star behind a planet, and its fit to measured fluxes.

The model is integrated numerically over rings of the star's disc, of which the planet hides arcs (the geometry of
Mandel & Agol 2002, ApJ 580, L171).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import least_squares, minimize

UNIT = 0.01  # days, of the time that is fitted
MEMORY = 1 / 24  # days, of correlated noise
RED = 0.001, 0.5  # expected standard deviation of correlated noise, and the scatter of its logarithm
CLIP, FAR = 4.0, 1.0  # robust sigma beyond which a residual has no weight, and the error that it then has
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
    """A fitted transit.

    Mid-transit [d] and radius ratio with errors, model and baseline at each time, rms, and the standard deviation of
    the part of the residuals that is correlated in time.
    """

    mid_transit: float
    mid_transit_err: float
    ratio: float
    ratio_err: float
    model: np.ndarray
    baseline: np.ndarray
    rms: float
    red: float


def fit_transit(time, flux, orbit, guess, baseline=None, error=None):
    """Fit mid-transit and radius ratio, with a linear baseline solved along.

    It is fitted twice: the residuals of the first fit tell the noise, white and correlated (`noise`), of which the
    second makes its weights and errors. Residuals beyond CLIP robust sigma have no weight in it.

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
        Relative errors of the white noise; all equal by default. Their scale is fitted.

    Returns
    -------
    TransitFit
    """
    terms = np.ones((len(time), 1)) if baseline is None else np.column_stack([np.ones(len(time)), baseline])
    error = np.ones(len(time)) if error is None else np.asarray(error, float)
    found, shape, level = _fitted(time, flux, orbit, guess, terms, np.diag(error))
    residual = flux / level - shape
    used = np.abs(residual) < CLIP * 1.4826 * np.median(np.abs(residual))
    error = error * np.std(residual[used]) / np.sqrt(np.mean(error[used] ** 2))
    root, red = noise(time, residual, np.where(used, error, FAR))
    guess = guess[0] + UNIT * (found.x[0] - 1), found.x[1]
    found, shape, level = _fitted(time, flux, orbit, guess, terms, root)
    residual = flux / level - shape
    errors = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))
    freedom = max(used.sum() - 2 - terms.shape[1], 1)
    return TransitFit(guess[0] + UNIT * (found.x[0] - 1), UNIT * errors[0], found.x[1], errors[1], shape, level,
                      float(np.sqrt(np.sum(residual[used] ** 2) / freedom)), red)  # fmt: skip


def _fitted(time, flux, orbit, guess, terms, root):
    """Return the solution, the model's shape and the level, for noise of the covariance root · rootᵀ."""

    def whitened(values):
        return solve_triangular(root, values, lower=True)

    def parts(values):
        moment = guess[0] + UNIT * (values[0] - 1)
        shape = transit_flux(separation(time, moment, orbit), values[1], orbit.limb)
        return shape, terms @ np.linalg.lstsq(whitened(shape[:, None] * terms), whitened(flux), rcond=None)[0]

    def misfit(values):
        shape, level = parts(values)
        return whitened(flux - shape * level)

    # A planet of no size has no time of transit; and steps are parts of a value, which must not be 0.
    bounds = ((1 - 0.1 / UNIT, 0.01), (1 + 0.1 / UNIT, 0.5))
    found = least_squares(misfit, (1.0, guess[1]), bounds=bounds, diff_step=1e-3)
    return found, *parts(found.x)


def noise(time, residual, error, memory=MEMORY, expected=RED):
    """Fit white and correlated noise to residuals by maximum likelihood, as a Gaussian process.

    Parameters
    ----------
    time, residual, error : ndarray, shape (n,)
        Days; relative flux; white noise, whose scale is fitted.
    memory : float
        Days in which the correlation falls to 1/e.
    expected : tuple of float
        Standard deviation of the correlated part, and the scatter of its logarithm: one transit tells little of it.

    Returns
    -------
    root : ndarray, shape (n, n)
        Lower triangle, whose product with its own transpose is the covariance.
    red : float
        Standard deviation of the correlated part.
    """
    correlation = np.exp(-np.abs(time[:, None] - time) / memory)

    def root(values):
        return cholesky(np.diag(np.exp(2 * values[0]) * error**2) + np.exp(2 * values[1]) * correlation, lower=True)

    def cost(values):
        lower = root(values)
        white = solve_triangular(lower, residual, lower=True)
        prior = 0.5 * ((values[1] - np.log(expected[0])) / expected[1]) ** 2
        return 0.5 * white @ white + np.log(np.diag(lower)).sum() + prior

    best = minimize(cost, (0.0, np.log(expected[0])), method="Nelder-Mead", options={"xatol": 0.02, "fatol": 0.02}).x
    return root(best), float(np.exp(best[1]))
