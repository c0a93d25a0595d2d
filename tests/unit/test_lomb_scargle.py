import numpy as np
import pytest

from udf.lomb_scargle import false_alarm, grid, peaks, periodogram
from udf.refused import RefusedError


def curve(random, count=120, period=3.7, amplitude=2.0):
    tai = np.sort(random.uniform(60000, 60200, count))
    band, error = random.integers(1, 3, count), random.uniform(0.5, 1.5, count)
    wave = amplitude * band * np.sin(2 * np.pi * tai / period + band) + 10 * band
    return tai, band, wave + random.normal(0, error), error


def slow_reduction(tai, band, flux, error, frequency):
    """Reduction of chi squared by a least-squares fit of constant, sine and cosine in each filter."""
    total = 0.0
    for one in np.unique(band):
        own = band == one
        terms = [np.ones(own.sum()), *(f(2 * np.pi * frequency * tai[own]) for f in (np.sin, np.cos))]
        rest = []
        for model in (terms[:1], terms):
            design = np.stack(model, axis=1) / error[own, None]
            fit = np.linalg.lstsq(design, flux[own] / error[own], rcond=None)[0]
            rest.append(((flux[own] / error[own] - design @ fit) ** 2).sum())
        total += rest[0] - rest[1]
    return total


def test_the_reduction_is_that_of_least_squares():
    measured = curve(np.random.default_rng(1))
    frequency = np.array([0.1, 1 / 3.7, 0.9, 4.2])
    expected = [slow_reduction(*measured, one) for one in frequency]
    assert periodogram(*measured, frequency)[0] == pytest.approx(expected, rel=1e-6)


def test_the_true_period_is_the_highest_peak():
    measured = curve(np.random.default_rng(2))
    frequency = grid(measured[0], 0.3, 100)
    reduction, chi2, bands = periodogram(*measured, frequency)
    best = peaks(frequency, reduction, 3)[0]
    assert 1 / frequency[best] == pytest.approx(3.7, rel=2e-3)
    assert reduction[best] / chi2 > 0.8
    assert false_alarm(reduction[best], bands, frequency.size) < 1e-20


def test_false_alarms_are_as_frequent_as_they_say():
    random = np.random.default_rng(3)
    chances = []
    for _ in range(200):
        tai, band, flux, error = curve(random, 60, amplitude=0)
        frequency = grid(tai, 5, 100)
        reduction, _, bands = periodogram(tai, band, flux, error, frequency)
        chances.append(false_alarm(reduction[peaks(frequency, reduction, 1)[0]], bands, frequency.size / 5))
    assert 0.02 < np.mean(np.array(chances) < 0.1) < 0.35


def test_filters_with_few_points_are_left_out():
    tai = np.arange(5.0)
    assert periodogram(tai, np.arange(5), tai, np.ones(5), np.array([0.1]))[2] == 0


@pytest.mark.parametrize(
    ("periods", "message"), [((2, 1), "periods are 2 and 1 d"), ((1e-6, 1), "frequencies, allowed are")]
)
def test_impossible_periods_are_refused(periods, message):
    with pytest.raises(RefusedError, match=message):
        grid(np.array([0.0, 100.0]), *periods)
