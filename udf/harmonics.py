"""Periods of variables whose light curves are no sinusoids: a Fourier series in each filter, the period shared."""

import numpy as np
from scipy import fft

LEAST_POINTS = 4  # beyond the coefficients of a filter
CHUNK = 8_192  # frequencies whose equations are solved at once
SPREAD = 8  # cells on either side over which a time is spread: sums are good to 1e-6
REFINED = 8  # candidates that are followed to the bottom
RIDGE = 1e-9  # of the normal matrix's diagonal: keeps gaps in phase from making it singular


def reduction(tai, band, flux, error, frequency, harmonics):
    """Reduction of chi squared by a Fourier series in each filter.

    Weighted least squares of a constant and so many harmonics; the filters share the period alone (Palmer 2009,
    ApJ 695, 496; VanderPlas & Ivezić 2015, ApJ 812, 18).

    Parameters
    ----------
    tai, band, flux, error : ndarray, shape (n,)
    frequency : ndarray, shape (m,)
        [1/d]; from a thousand on evenly spaced.
    harmonics : int

    Returns
    -------
    reduction : ndarray, shape (m,)
    chi2 : float
        About a constant in each filter.
    """
    total, chi2 = np.zeros(frequency.size), 0.0
    for one in np.unique(band):
        own = band == one
        terms = min(harmonics, (own.sum() - 1 - LEAST_POINTS) // 2)
        if terms < 1:
            continue
        weight = 1 / error[own].astype(float) ** 2
        signal = flux[own] - np.average(flux[own], weights=weight)
        chi2 += float(weight @ signal**2)
        time = tai[own] - tai[0]
        sums = np.array([trig_sums(weight, time, frequency * k) for k in range(2 * terms + 1)])
        products = np.array([trig_sums(weight * signal, time, frequency * k) for k in range(terms + 1)])
        for begin in range(0, frequency.size, CHUNK):
            part = slice(begin, begin + CHUNK)
            total[part] += _explained(sums[:, part], products[:, part], terms)
    return total, chi2


def trig_sums(value, time, frequency):
    """Sums of value times exp(2 pi i frequency time), shape (m,).

    This is equivalent to::

        np.exp(2j * np.pi * np.outer(frequency, time)) @ value

    Many evenly spaced frequencies are served by one FFT of the values spread by a Gaussian over a fine grid (Greengard
    & Lee 2004, SIAM Review 46, 443).
    """
    count = frequency.size
    step = frequency[1] - frequency[0] if count > 1 else 0.0
    if count < 1000 or not step:
        return np.exp(2j * np.pi * np.outer(frequency, time)) @ value
    cells = fft.next_fast_len(2 * count)
    half = count // 2
    turn = (step * time) % 1.0
    moved = value * np.exp(2j * np.pi * (frequency[0] * time + half * turn))
    tau = np.pi * SPREAD / (count**2 * (cells / count) * (cells / count - 0.5))
    nearest = np.floor(turn * cells).astype(int)
    offset = np.arange(-SPREAD, SPREAD + 1)
    cell = nearest[:, None] + offset
    apart = 2 * np.pi * (turn[:, None] - cell / cells)
    grid = np.zeros(cells, complex)
    np.add.at(grid, (cell % cells).ravel(), (moved[:, None] * np.exp(-(apart**2) / (4 * tau))).ravel())
    mode = np.arange(count) - half
    spectrum = fft.ifft(grid)[mode % cells]
    return np.sqrt(np.pi / tau) * np.exp(tau * mode**2) * spectrum


def _explained(sums, products, terms):
    """Chi squared that the series explains, from the sums of 2 terms + 1 orders, by the normal equations.

    Sums of products of sinusoids are sums of sinusoids of the sums and differences of their orders, so that these make
    the whole matrix.
    """
    cos, sin = sums.real, sums.imag
    size, count = 2 * terms + 1, sums.shape[1]
    matrix, right = np.empty((size, size, count)), np.empty((size, count))
    for a in range(terms + 1):
        right[a] = products[a].real
        if a:
            right[terms + a] = products[a].imag
        for b in range(terms + 1):
            apart, sign = abs(a - b), np.sign(a - b)
            matrix[a, b] = (cos[apart] + cos[a + b]) / 2
            if a and b:
                matrix[terms + a, terms + b] = (cos[apart] - cos[a + b]) / 2
            if a:
                matrix[terms + a, b] = matrix[b, terms + a] = (sin[a + b] + sign * sin[apart]) / 2
    for n in range(size):
        matrix[n, n] = matrix[n, n] * (1 + RIDGE) + RIDGE * cos[0]
    return _quadratic_form(matrix, right, RIDGE * cos[0])


def _quadratic_form(matrix, right, least):
    """right' matrix^-1 right for many positive definite matrices, shape (n, n, m), by Cholesky, all at once."""
    total = np.zeros(right.shape[1])
    for n in range(len(right)):
        pivot = np.maximum(matrix[n, n], least)
        total += right[n] ** 2 / pivot
        factor = matrix[n + 1 :, n] / pivot
        right[n + 1 :] -= factor * right[n]
        matrix[n + 1 :, n + 1 :] -= factor[:, None] * matrix[n, None, n + 1 :]
    return total


def best_periods(tai, band, flux, error, frequency, harmonics, count):
    """Periods [d] that explain most, best first, each refined between its neighbours on the grid.

    Returns
    -------
    period, power : ndarray, shape (≤ count,)
        Power is the share of chi squared that the series explains.
    """
    explained, chi2 = reduction(tai, band, flux, error, frequency, harmonics)
    inner = np.flatnonzero((explained[1:-1] >= explained[:-2]) & (explained[1:-1] > explained[2:])) + 1
    top = inner[np.argsort(-explained[inner], kind="stable")][: max(REFINED, count)]
    step = frequency[1] - frequency[0] if frequency.size > 1 else 0.0
    best, height = frequency[top], explained[top]
    for narrower in (1 / 5, 1 / 50, 1 / 500):
        fine = best[:, None] + step * narrower * np.arange(-6, 7)
        value, _ = reduction(tai, band, flux, error, fine.ravel(), harmonics)
        value = value.reshape(fine.shape)
        chosen = value.argmax(axis=1)
        best, height = fine[np.arange(best.size), chosen], value[np.arange(best.size), chosen]
    order = np.argsort(-height, kind="stable")[:count]
    return 1 / best[order], height[order] / chi2 if chi2 else height[order]
