import numpy as np
import pytest

from udf.pulsation import pulsation_periods, scaled

GRID = np.linspace(1, 5, 30_000)


def curve(random, period=0.5431, count=150):
    """A sawtooth in three filters of other amplitudes, one of them with few measurements."""
    tai = np.sort(random.uniform(51000, 52000, count))
    band = random.choice([1, 2, 3], count, p=[0.5, 0.47, 0.03])
    error = random.uniform(0.01, 0.03, count)
    phase = (tai / period) % 1
    shape = np.where(phase < 0.15, phase / 0.15, (1 - phase) / 0.85)
    return tai, band, 15 + band - shape / band + random.normal(0, error), error


def test_the_period_is_found_in_spite_of_outliers():
    random = np.random.default_rng(5)
    tai, band, mag, error = curve(random)
    mag[random.choice(len(mag), 10, replace=False)] += random.uniform(-3, 3, 10)
    period, criterion = pulsation_periods(tai, band, mag, error, GRID, 3)
    assert period[0] == pytest.approx(0.5431, rel=1e-4)
    assert criterion[0] < -50


def test_twice_the_period_goes_after_it():
    period, _ = pulsation_periods(*curve(np.random.default_rng(6), 0.31), GRID, 16)
    assert period[0] == pytest.approx(0.31, rel=1e-4)


def test_filters_are_scaled_to_one_amplitude_and_few_measurements_left_out():
    _, band, value, _ = scaled(*curve(np.random.default_rng(7)))
    assert set(band) == {1, 2}
    assert [np.std(value[band == one]) for one in (1, 2)] == pytest.approx([1, 1], rel=0.05)


def test_nothing_has_no_period():
    empty = np.empty(0)
    assert [len(one) for one in pulsation_periods(empty, empty, empty, empty, GRID, 3)] == [0, 0]
