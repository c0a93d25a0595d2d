import numpy as np
import pytest

from udf.harmonics import best_periods, reduction, trig_sums


def curve(random, period=0.5431, count=60):
    """A sawtooth in two filters, as RR Lyrae have."""
    tai = np.sort(random.uniform(51000, 54000, count))
    band, error = random.integers(1, 3, count), random.uniform(0.01, 0.03, count)
    phase = (tai / period) % 1
    shape = np.where(phase < 0.15, phase / 0.15, (1 - phase) / 0.85)
    return tai, band, 15 + band - shape + random.normal(0, error), error


def slow_reduction(tai, band, flux, error, frequency, harmonics):
    """By least squares with one column for each term."""
    total = 0.0
    for one in np.unique(band):
        own = band == one
        angle = 2 * np.pi * frequency * (tai[own] - tai[0])
        terms = [np.ones(own.sum()), *(f(k * angle) for k in range(1, harmonics + 1) for f in (np.cos, np.sin))]
        rest = []
        for columns in (terms[:1], terms):
            design = np.stack(columns, axis=1) / error[own, None]
            fit = np.linalg.lstsq(design, flux[own] / error[own], rcond=None)[0]
            rest.append(((flux[own] / error[own] - design @ fit) ** 2).sum())
        total += rest[0] - rest[1]
    return total


def test_the_reduction_is_that_of_least_squares():
    measured = curve(np.random.default_rng(1))
    frequency = np.array([1.1, 1.8412, 3.3])
    expected = [slow_reduction(*measured, one, 3) for one in frequency]
    assert reduction(*measured, frequency, 3)[0] == pytest.approx(expected, rel=1e-5)


def test_fast_sums_are_the_direct_ones():
    random = np.random.default_rng(2)
    time, value, frequency = random.uniform(0, 3000, 50), random.normal(size=50), np.linspace(1, 5, 3000)
    direct = np.exp(2j * np.pi * np.outer(frequency, time)) @ value
    assert trig_sums(value, time, frequency) == pytest.approx(direct, abs=1e-5)


def test_the_period_of_a_sawtooth_is_found():
    measured = curve(np.random.default_rng(3))
    period, power = best_periods(*measured, np.linspace(1, 5, 60_000), 3, 3)
    assert period[0] == pytest.approx(0.5431, rel=1e-5)
    assert power[0] > 0.9
    assert (np.diff(power) <= 0).all()


def test_too_few_points_have_no_period():
    assert reduction(np.arange(5.0), np.ones(5), np.arange(5.0), np.ones(5), np.array([0.3]), 3)[0] == 0
