"""Light curves of a drifting field, freed of what the detector leaves in them."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.report import transit_page
from pipelines.report.ensemble import LightCurves, without_pattern

SHAPE = (200, 400)


def field(stars=120, exposures=60, pattern=0.006, seed=1):
    """Stars that drift over dust shadows of 60 pixels; the response [mag] at each measurement as well."""
    rng = np.random.default_rng(seed)
    begin = rng.uniform((150, 0), (400, 200), (stars, 2))
    x = begin[:, :1] - np.linspace(0, 150, exposures)
    y = begin[:, 1:] + np.zeros(exposures)
    response = pattern * np.sin(x / 20) * np.cos(y / 20)
    sigma = rng.uniform(0.002, 0.02, stars)[:, None]
    time = 2458107.6 + np.arange(exposures) / 480
    magnitude = -10 + response + rng.normal(0, sigma, x.shape)
    curves = LightCurves(np.arange(stars), time, 1 + np.arange(exposures) / 100, magnitude, sigma + 0 * x, x, y)
    return curves, response


def test_the_pattern_that_others_show_is_taken_off():
    curves, response = field()
    left = without_pattern(curves, None).magnitude - curves.magnitude + response
    assert np.std(left) < 0.7 * np.std(response)


def test_a_star_has_no_say_in_its_own_light_curve():
    curves, _ = field()
    dip = np.zeros_like(curves.magnitude)
    dip[7, 20:40] = 0.02
    plain = without_pattern(curves, None).magnitude[7]
    dipped = without_pattern(replace(curves, magnitude=curves.magnitude + dip), None).magnitude[7]
    assert dipped - plain == pytest.approx(dip[7], abs=1e-12)


def test_a_star_that_is_left_out_has_no_say_in_any():
    curves, _ = field()
    bright = replace(curves, magnitude=curves.magnitude.copy())
    bright.magnitude[7] += 0.001 * np.arange(60)
    others = np.arange(120) != 7
    assert without_pattern(bright, 7).magnitude[others] == pytest.approx(without_pattern(curves, 7).magnitude[others])


def test_stars_that_were_never_measured_stay_so():
    curves, _ = field()
    curves.magnitude[3] = np.nan
    assert np.isnan(without_pattern(curves, None).magnitude[3]).all()


def test_the_nearest_transit_is_taken():
    planet = transit_page.find("HAT-P-32 b")
    night = np.array([2458107.60, 2458107.80])
    assert planet.nearest(night).mid_transit == pytest.approx(2458107.71129, abs=1e-4)


def test_an_unknown_planet_is_named():
    with pytest.raises(transit_page.NoTransit, match="no planet is 'Vulcan'. Remedy: known are HAT-P-32 b"):
        transit_page.find("Vulcan")


def test_a_camera_without_a_site_is_refused():
    with pytest.raises(transit_page.NoTransit, match="has no site, which barycentric times need. Remedy: name it"):
        transit_page.observed(None, transit_page.find("HAT-P-32 b"), None)
