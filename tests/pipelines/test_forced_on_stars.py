"""Forced fluxes on differences whose stars are two pixels wide and were matched by interpolation."""

import numpy as np
import pytest
from scipy.ndimage import laplace

from pipelines.steps.measure import force_photometry
from pipelines.steps.pointsource import forced_flux, weights
from tests.pipelines import scene

SIZE = (400, 400)
GRID = np.arange(20.0, 390, 20)
STAR, CHANGE, MISMATCH = 1e5, -0.02, 0.06
FAINT = 2000.0


@pytest.fixture(scope="module")
def difference():
    """Bright stars that lost 2 % and were matched a little too wide; between them faint transients."""
    rng, seeing, wcs = np.random.default_rng(6), scene.Seeing(2.0), scene.wcs(SIZE)
    places = np.zeros(GRID.size**2, scene.TRUTH)
    places["x"], places["y"] = (axis.ravel() + rng.uniform(-0.5, 0.5, GRID.size**2) for axis in np.meshgrid(GRID, GRID))
    places["ra"], places["dec"] = wcs.sky(places["x"], places["y"])
    stars, faint = places[::2].copy(), places[1::2].copy()
    stars["flux"], faint["flux"] = STAR, FAINT
    sky = scene.observe(faint, seeing, wcs, rng, SIZE)
    light = scene.observe(stars, seeing, wcs, rng, SIZE).pixels.image
    left = MISMATCH / 2 * laplace(light)  # the sum of which is zero
    made = sky.with_image(
        sky.pixels.image + CHANGE * light + left, variance=sky.pixels.variance + (MISMATCH * light) ** 2
    )
    return made.with_(psf=seeing.psf(SIZE), observation=made.observation.with_(kind="difference")), stars, faint


def test_what_a_mismatch_leaves_of_a_star_is_no_change_of_its_flux(difference):
    image, stars, _ = difference
    forced, _ = force_photometry(image, stars["ra"], stars["dec"])
    change = forced["psf_flux"] / image.photo_calib.nanojansky_per_count / STAR
    by_psf = forced_flux(image.pixels.image, weights(image.pixels), image.psf, stars["x"], stars["y"])[0] / STAR
    assert np.median(change) == pytest.approx(CHANGE, abs=0.005)
    assert np.std(change) < 0.01
    assert abs(np.median(by_psf) - CHANGE) > 0.03


def test_what_is_faint_is_weighted_by_the_psf(difference):
    image, _, faint = difference
    forced, _ = force_photometry(image, faint["ra"], faint["dec"])
    flux, error = forced_flux(image.pixels.image, weights(image.pixels), image.psf, faint["x"], faint["y"])
    factor = image.photo_calib.nanojansky_per_count
    np.testing.assert_allclose(forced["psf_flux"], flux * factor, rtol=1e-4)
    np.testing.assert_allclose(forced["psf_flux_err"], error * factor, rtol=1e-4)
