"""The response of a detector from stars that drift over it."""

import numpy as np
import pytest

from pipelines.image.varying import polynomial, surface
from pipelines.steps.star_flat import LIGHT, LINEAR, NoStarFlat, fit_star_flat

SHAPE = (500, 650)


def vignetted(rng):
    """Coefficients [mag] of a response without gradient that varies by some per cent."""
    coefficients = rng.normal(0, 0.01, 15)
    coefficients[:LINEAR] = 0
    return coefficients


def night(coefficients, rng, stars=300, exposures=40, drift=270.0, noise=0.005):
    """Stars that drift along rows, in exposures of changing transparency; one in fifty measurements is wrong."""
    begin = rng.uniform((0, -60), (650, 500), (stars, 2))
    way = np.linspace(0, 1, exposures)[:, None] * (-drift, 60.0)
    x, y = (begin[:, None] + way).reshape(-1, 2).T
    light = np.zeros(stars * exposures, LIGHT)
    light["star"], light["exposure"] = np.divmod(np.arange(stars * exposures), exposures)
    light["x"], light["y"], light["error"] = x, y, noise
    light["magnitude"] = (
        rng.uniform(-12, -8, stars)[light["star"]] + rng.normal(0, 0.1, exposures)[light["exposure"]]
        + coefficients @ polynomial(x, y, SHAPE, 4) + rng.normal(0, noise, len(light))
        + 0.3 * (rng.random(len(light)) < 0.02)
    )  # fmt: skip
    return light[(x > 0) & (x < 649) & (y > 0) & (y < 499)]


@pytest.mark.parametrize("seed", range(3))
def test_light_curves_are_freed_of_the_response(seed):
    rng = np.random.default_rng(seed)
    coefficients = vignetted(rng)
    light = night(coefficients, rng)
    found = -2.5 * np.log10(fit_star_flat(light, SHAPE))
    before = surface(coefficients, SHAPE)
    after = before - found
    assert drift(light, after) < 0.001 < 5 * drift(light, after) < drift(light, before)


def drift(light, response):
    """How much a response changes stars along their ways [mag]."""
    there = response[np.rint(light["y"]).astype(int), np.rint(light["x"]).astype(int)]
    there = there - (np.bincount(light["exposure"], there) / np.bincount(light["exposure"]))[light["exposure"]]
    mean = np.bincount(light["star"], there) / np.maximum(np.bincount(light["star"]), 1)
    return np.std(there - mean[light["star"]])


def test_stars_that_stay_in_place_tell_nothing():
    rng = np.random.default_rng(5)
    light = night(vignetted(rng), rng, drift=0.0)
    light["y"] = 100
    with pytest.raises(NoStarFlat, match=r"which move by 0\.000 of the detector's width; it needs 0\.05"):
        fit_star_flat(light, SHAPE)


def test_a_handful_of_exposures_is_too_few():
    rng = np.random.default_rng(6)
    with pytest.raises(NoStarFlat, match="got 0 stars in 20 exposures"):
        fit_star_flat(night(vignetted(rng), rng, exposures=5), SHAPE)
