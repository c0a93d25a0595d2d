"""The flux of each Snap, from the Visit's and from what sets the Snaps apart."""

import numpy as np
import pytest

from pipelines.steps.measure import DIA_SOURCE, force_photometry, measure_snaps
from tests.pipelines import scene

SIZE = (400, 400)
GRID = np.arange(20.0, 390, 20)


@pytest.fixture(scope="module")
def pair():
    """Isolated stars of which the first Snap has 3000 electrons, the second 2000."""
    rng, seeing, wcs = np.random.default_rng(4), scene.Seeing(4.0), scene.wcs(SIZE)
    stars = np.zeros(GRID.size**2, scene.TRUTH)
    stars["x"], stars["y"] = (axis.ravel() for axis in np.meshgrid(GRID, GRID))
    stars["ra"], stars["dec"] = wcs.sky(stars["x"], stars["y"])
    snaps = []
    for flux in (3000.0, 2000.0):
        stars["flux"] = flux
        snaps.append(scene.observe(stars, seeing, wcs, rng, SIZE).with_(psf=seeing.psf(SIZE)))
    images, variance = [snap.pixels.image for snap in snaps], sum(snap.pixels.variance for snap in snaps)
    total = snaps[0].with_image(images[0] + images[1], variance=variance)
    return stars, total, total.with_image(images[0] - images[1])


@pytest.fixture(scope="module")
def measured(pair):
    stars, total, apart = pair
    forced, _ = force_photometry(total, stars["ra"], stars["dec"])
    rows = np.zeros(len(forced), DIA_SOURCE)
    for name in ("x", "y", "psf_flux", "psf_flux_err"):
        rows[name] = forced[name]
    return measure_snaps(rows, apart)


@pytest.mark.parametrize(("snap", "electrons"), [(0, 3000.0), (1, 2000.0)])
def test_each_snap_has_its_own_flux_with_an_honest_error(pair, measured, snap, electrons):
    # A Snap collects half the time of the Visit: its flux density is twice its electrons in the Visit's scale.
    truth = 2 * electrons * pair[1].photo_calib.nanojansky_per_count
    pull = (measured[snap]["psf_flux"] - truth) / measured[snap]["psf_flux_err"]
    assert abs(pull.mean()) < 0.3
    assert 0.9 < pull.std() < 1.1


def test_a_star_that_dims_a_little_is_no_cosmic_ray(measured):
    assert not any(snap["cosmic_ray_like"].any() for snap in measured)


def test_light_of_one_snap_alone_is_like_a_cosmic_ray_in_that_snap(pair):
    stars, total, _ = pair
    forced, _ = force_photometry(total, stars["ra"], stars["dec"])
    rows = np.zeros(len(forced), DIA_SOURCE)
    for name in ("x", "y", "psf_flux", "psf_flux_err"):
        rows[name] = forced[name]
    first, second = measure_snaps(rows, total)  # all of it fell into the first
    assert first["cosmic_ray_like"].mean() > 0.99
    assert not second["cosmic_ray_like"].any()
