"""Periodogram of a light curve in several filters, by weighted least squares."""

from math import factorial

import numpy as np

from udf.refused import RefusedError

OVERSAMPLING = 5  # frequencies for each width of a peak
MOST_FREQUENCIES = 3_000_000
CHUNK = 2_000_000  # values at once


def measurements(tai, filters, fluxes, errors):
    """A light curve that was given as lists, as four arrays; RefusedError where it is none."""
    arrays = [np.array(values, float) for values in (tai, filters, fluxes, errors)]
    if len({values.size for values in arrays}) > 1:
        problem = "times, filters, fluxes and errors differ in number"
        raise RefusedError("VN023", problem, "give one of each for each measurement")
    if not (np.isfinite(arrays).all() and (arrays[3] > 0).all()):
        problem = "something is not finite, or an error is not above 0"
        raise RefusedError("VN023", problem, "leave such measurements out")
    return arrays


def grid(tai, min_period, max_period):
    """Frequencies [1/d] between two periods [d], as close as the light curve's length asks for."""
    span = np.ptp(tai) if tai.size else 0.0
    if not 0 < min_period < max_period:
        problem = f"periods are {min_period} and {max_period} d, allowed is 0 < min_period < max_period"
        raise RefusedError("VN023", problem, "give the shorter period first")
    count = int(np.ceil((1 / min_period - 1 / max_period) * span * OVERSAMPLING)) + 1
    if count > MOST_FREQUENCIES:
        problem = f"{count} frequencies, allowed are {MOST_FREQUENCIES}"
        raise RefusedError("VN023", problem, "give a longer min_period")
    return np.linspace(1 / max_period, 1 / min_period, count)


def periodogram(tai, band, flux, error, frequency):
    """Reduction of chi squared by a sinusoid in each filter, and what it was before.

    In each filter a constant and a sinusoid of one period are fitted (generalised Lomb-Scargle; Zechmeister & Kürster
    2009, A&A 496, 577); filters share the period alone (VanderPlas & Ivezić 2015, ApJ 812, 18: no common terms).

    Parameters
    ----------
    tai, band, flux, error : ndarray, shape (n,)
    frequency : ndarray, shape (m,)

    Returns
    -------
    reduction : ndarray, shape (m,)
    chi2 : float
        About a constant in each filter.
    bands : int
        Filters with four measurements or more; others are left out.
    """
    reduction, chi2, bands = np.zeros(frequency.size), 0.0, 0
    for one in np.unique(band):
        own = band == one
        if own.sum() < 4:
            continue
        weight = error[own].astype(float) ** -2
        signal = flux[own] - np.average(flux[own], weights=weight)
        chi2, bands = chi2 + float(weight @ signal**2), bands + 1
        for begin in range(0, frequency.size, step := max(CHUNK // own.sum(), 1)):
            part = slice(begin, begin + step)
            reduction[part] += _reduction(2 * np.pi * np.outer(frequency[part], tai[own] - tai[0]), weight, signal)
    return reduction, chi2, bands


def _reduction(phase, weight, signal):
    """Reduction of chi squared by a sinusoid beside a constant; `signal` has the weighted mean 0."""
    cos, sin = np.cos(phase), np.sin(phase)
    total = weight.sum()
    c, s = cos @ weight / total, sin @ weight / total
    yc, ys = cos @ (weight * signal), sin @ (weight * signal)
    cc, ss = cos**2 @ weight - total * c**2, sin**2 @ weight - total * s**2
    cs = (cos * sin) @ weight - total * c * s
    determinant = cc * ss - cs**2
    safe = np.where(determinant > 1e-9 * total**2, determinant, np.inf)
    return (yc**2 * ss - 2 * yc * ys * cs + ys**2 * cc) / safe


def peaks(frequency, reduction, count):
    """Indices of the highest local maxima, highest first."""
    inner = np.flatnonzero((reduction[1:-1] >= reduction[:-2]) & (reduction[1:-1] > reduction[2:])) + 1
    return inner[np.argsort(-reduction[inner], kind="stable")][:count]


def false_alarm(reduction, bands, trials):
    """Probability that noise alone gives a reduction of chi squared in one of so many independent trials."""
    half = np.asarray(reduction) / 2
    single = np.exp(-half) * sum(half**k / factorial(k) for k in range(bands))
    return -np.expm1(trials * np.log1p(-np.minimum(single, 1 - 1e-15)))
