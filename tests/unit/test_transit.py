"""Transits: the model against a sum over pixels, and the fit against what was put in."""

import numpy as np
import pytest

from pipelines.transit import Orbit, fit_transit, separation, transit_flux

LIMB = (0.35, 0.2)
ORBIT = Orbit(period=2.15, distance=5.344, inclination=88.98, eccentricity=0.159, omega=50.0, limb=LIMB)
TIME = np.arange(-0.14, 0.14, 3 / 1440)


def by_pixels(z, ratio, pixels=1500):
    """The same as `transit_flux`, by adding up the pixels of a picture of the star."""
    axis = (np.arange(pixels) + 0.5) / pixels * 2 - 1
    x, y = np.meshgrid(axis, axis)
    mu = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    light = np.where(x**2 + y**2 < 1, 1 - LIMB[0] * (1 - mu) - LIMB[1] * (1 - mu) ** 2, 0)
    return 1 - light[np.hypot(x - z, y) < ratio].sum() / light.sum()


@pytest.mark.parametrize("z", [0, 0.05, 0.15, 0.5, 0.85, 0.95, 1.1, 1.2])
def test_model_agrees_with_a_picture(z):
    assert transit_flux(np.array([z]), 0.15, LIMB)[0] == pytest.approx(by_pixels(z, 0.15), abs=4e-5)


def test_a_star_without_limb_darkening_loses_the_ratio_of_areas():
    assert transit_flux(np.array([0.0, 0.5, 2.0]), 0.1, (0.0, 0.0)) == pytest.approx([0.99, 0.99, 1.0], abs=1e-9)


def test_conjunction_is_where_the_planet_is_nearest_to_the_middle():
    z = separation(np.array([-0.01, 0.0, 0.01, ORBIT.period / 2]), 0.0, ORBIT)
    assert z[1] < z[0]
    assert z[1] < z[2]
    assert np.isinf(z[3])


def test_errors_of_the_fit_are_right():
    rng = np.random.default_rng(2)
    model = transit_flux(separation(TIME, 0.001, ORBIT), 0.15, LIMB) * (1 + 0.05 * TIME)
    fits = [fit_transit(TIME, model * (1 + rng.normal(0, 0.004, TIME.size)), ORBIT, (0.004, 0.13), TIME[:, None])
            for _ in range(40)]
    late = np.array([(f.mid_transit - 0.001) / f.mid_transit_err for f in fits])
    deep = np.array([(f.ratio - 0.15) / f.ratio_err for f in fits])
    assert 0.6 < np.std(late) < 1.3
    assert 0.6 < np.std(deep) < 1.3
    assert abs(np.mean(deep)) < 0.5


def test_correlated_noise_is_told_and_makes_errors_larger():
    rng = np.random.default_rng(3)
    model = transit_flux(separation(TIME, 0.001, ORBIT), 0.15, LIMB)
    white = rng.normal(0, 0.003, TIME.size)
    drift = 0.003 * np.linalg.cholesky(np.exp(-np.abs(TIME[:, None] - TIME) * 24)) @ rng.normal(0, 1, TIME.size)
    plain, red = (fit_transit(TIME, model * (1 + noise), ORBIT, (0.004, 0.13)) for noise in (white, white + drift))
    assert red.red > 1.5 * plain.red
    assert red.ratio_err > 1.5 * plain.ratio_err


def test_one_spoilt_frame_has_no_weight():
    rng = np.random.default_rng(4)
    flux = transit_flux(separation(TIME, 0.001, ORBIT), 0.15, LIMB) * (1 + rng.normal(0, 0.003, TIME.size))
    spoilt = flux.copy()
    spoilt[TIME.size // 2] *= 1.05
    clean, with_it = (fit_transit(TIME, each, ORBIT, (0.004, 0.13)) for each in (flux, spoilt))
    assert with_it.ratio == pytest.approx(clean.ratio, abs=0.5 * clean.ratio_err)
