"""Periods of pulsating stars: one shape of the light curve in all filters, whose amplitudes differ."""

import numpy as np

from udf.harmonics import best_periods

SCREENED = 4  # harmonics by which candidates are found
CANDIDATES = 16
HARMONICS = range(2, 7)  # among which the measurements choose
MODEL_ERROR = 0.05  # of the amplitude: what a short series leaves of a steep rise
OUTLYING = 5  # robust sigma in which a measurement says nothing of its filter's amplitude
TAIL = 2.0  # sigma from where on a measurement is believed less and less
ROUNDS = 6
DECISIVE = 20  # of the criterion: less does not tell a period from its half where cycles differ
SAME = 1e-3  # of a period
FEWEST = 8  # measurements in a filter that take part


def pulsation_periods(tai, band, flux, error, frequency, count):
    """Periods [d] of a light curve that has one shape in all filters, best first.

    Filters are scaled to one amplitude, candidates come of a common Fourier series by least squares, and are put in
    order by the Bayesian information criterion of robust series (Cauchy's likelihood), of two to six harmonics:
    an alias or a multiple of the period often needs more of them. A half or third that is as good goes first.

    Parameters
    ----------
    tai, band, flux, error : ndarray, shape (n,)
        Fluxes or magnitudes.
    frequency : ndarray, shape (m,)
        [1/d], evenly spaced.
    count : int

    Returns
    -------
    period, criterion : ndarray, shape (≤ count,)
        The criterion is relative to that of no variation: the lower, the better.
    """
    time, own, value, sigma = scaled(tai, band, flux, error)
    if not len(time):
        return np.empty(0), np.empty(0)
    period, _ = best_periods(time, np.zeros(len(time)), value, sigma, frequency, SCREENED, CANDIDATES)
    constants = (own[:, None] == np.unique(own)).astype(float)
    none = information(constants, value, sigma)
    criterion = np.array([_least(time / one, constants, value, sigma) for one in period]) - none
    multiple = period[criterion.argmin()] / period
    part = (multiple > 1.5) & (np.abs(multiple - np.rint(multiple)) < SAME * multiple)
    part &= criterion < criterion.min() + DECISIVE
    order = np.lexsort((criterion, ~part))[:count]
    return period[order], criterion[order]


def scaled(tai, band, flux, error):
    """Measurements of the filters that have enough of them, each filter about 0 and in units of its amplitude."""
    parts = []
    for one in np.unique(band):
        own = band == one
        middle = np.median(flux[own])
        spread = 1.4826 * np.median(np.abs(flux[own] - middle))
        own[own] = np.abs(flux[own] - middle) <= OUTLYING * spread
        if own.sum() < FEWEST:
            continue
        amplitude = np.sqrt(max(np.var(flux[own]) - np.median(error[own]) ** 2, 0.1 * np.var(flux[own])))
        value = (flux[own] - np.average(flux[own], weights=error[own] ** -2.0)) / amplitude
        parts.append((tai[own], band[own], value, np.hypot(error[own] / amplitude, MODEL_ERROR)))
    return [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.empty(0)] * 4


def _least(phase, constants, value, sigma):
    """Criterion of the best number of harmonics."""
    angles = [2 * np.pi * k * phase for k in range(1, max(HARMONICS) + 1)]
    waves = np.stack([turn(angle) for angle in angles for turn in (np.cos, np.sin)], axis=1)
    designs = (np.hstack([constants, waves[:, : 2 * count]]) for count in HARMONICS)
    return min(information(design, value, sigma) for design in designs if design.shape[1] < len(value))


def information(design, value, sigma):
    """Bayesian information criterion of a linear model whose errors, of unknown scale, have Cauchy's wings.

    Reweighted least squares (Schwarz 1978, Ann. Stat. 6, 461).
    """
    weight = 1 / sigma
    for _ in range(ROUNDS):
        solution = np.linalg.lstsq(design * weight[:, None], value * weight, rcond=None)[0]
        rest = (value - design @ solution) / sigma
        scale = max(1.0, 1.4826 * np.median(np.abs(rest)))
        tail = 1 + (rest / (TAIL * scale)) ** 2
        weight = 1 / (sigma * np.sqrt(tail))
    deviance = TAIL**2 * np.log(tail).sum() + 2 * len(value) * np.log(scale)
    return deviance + design.shape[1] * np.log(len(value))
