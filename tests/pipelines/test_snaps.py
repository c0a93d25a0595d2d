import numpy as np
import pytest

from pipelines.image import Exposure, MaskedImage, Observation
from pipelines.steps.cosmic_rays import flag_sharp_cosmic_rays
from pipelines.steps.snaps import MissingSnap, combine_snaps, flag_cosmic_rays
from tests.pipelines import scene

SIZE = (600, 600)


def rays(rng, image, n):
    """Add straight tracks of charge; return where they fell and how much they left."""
    deposit = np.zeros(SIZE)
    for _ in range(n):
        x, y, angle, length = rng.uniform(20, 580), rng.uniform(20, 580), rng.uniform(0, 7), rng.uniform(1, 15)
        for step in np.arange(0, length, 0.7):
            deposit[int(y + step * np.sin(angle)), int(x + step * np.cos(angle))] += rng.uniform(100, 2000)
    image += deposit
    return deposit


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(8)
    stars = scene.stars(rng, SIZE, 400)
    snaps, deposits = [], []
    for snap, change in ((1, 1.0), (2, 1.02)):  # the seeing changes a little
        exposure = scene.observe(stars, scene.Seeing(4.0 * change), scene.wcs(SIZE), rng, SIZE)
        image = exposure.pixels.image.copy()
        deposits.append(rays(rng, image, 30))
        observation = exposure.observation.with_(snap=snap, midpoint_tai=60000 + snap / 1440, exposure_seconds=15.0)
        snaps.append(exposure.with_image(image).with_(observation=observation))
    return snaps, deposits


def test_cosmic_rays_are_flagged_in_the_snap_that_they_hit(pair):
    snaps, deposits = pair
    noise = np.sqrt(snaps[0].pixels.variance + snaps[1].pixels.variance)
    for flagged, deposit in zip(flag_cosmic_rays(snaps), deposits, strict=True):
        strong = deposit > 7 * noise  # noise takes no more than 2 sigma
        assert flagged.pixels.flagged("CR")[strong].mean() > 0.99


def test_stars_are_not_flagged_though_the_seeing_changes(pair):
    snaps, deposits = pair
    for flagged, deposit in zip(flag_cosmic_rays(snaps), deposits, strict=True):
        near = np.zeros(SIZE, bool)
        for y, x in np.argwhere(deposit > 0):
            near[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = True
        assert flagged.pixels.flagged("CR")[~near].sum() <= 5e-6 * near.size + 2


def test_the_visit_is_the_sum_of_its_snaps(pair):
    snaps, _ = pair
    snaps = flag_cosmic_rays(snaps)
    visit = combine_snaps(snaps)
    clean = ~visit.pixels.flagged("CR")
    for plane in ("image", "variance"):
        total = sum(getattr(s.pixels, plane) for s in snaps)
        np.testing.assert_allclose(getattr(visit.pixels, plane)[clean], total[clean], rtol=1e-5, atol=1e-3)
    assert visit.observation.snap == 0
    assert visit.observation.exposure_seconds == 30
    assert visit.observation.midpoint_tai == pytest.approx(60000 + 1.5 / 1440)


def test_a_pixel_hit_in_one_snap_takes_the_other_twice(pair):
    snaps, deposits = pair
    snaps = flag_cosmic_rays(snaps)
    visit = combine_snaps(snaps)
    hit = snaps[0].pixels.flagged("CR") & ~snaps[1].pixels.flagged("CR")
    np.testing.assert_allclose(visit.pixels.image[hit], 2 * snaps[1].pixels.image[hit], rtol=1e-6)
    np.testing.assert_allclose(visit.pixels.variance[hit], 4 * snaps[1].pixels.variance[hit], rtol=1e-6)


def test_snaps_of_different_detectors_are_refused(pair):
    snaps, _ = pair
    other = snaps[1].with_(observation=snaps[1].observation.with_(detector=9))
    with pytest.raises(MissingSnap, match="2 Snaps of 2 kinds.*Remedy: wait for the missing Snap"):
        combine_snaps([snaps[0], other])


def test_one_snap_alone_is_searched_by_sharpness():
    rng = np.random.default_rng(9)
    image = rng.normal(500, np.sqrt(500), SIZE)
    deposit = rays(rng, image, 20)
    exposure = Exposure(
        MaskedImage.from_image(image.astype(np.float32), 500.0),
        Observation("simulated", 0, 1, "calibrated", "r", 60000.0, 30.0),
    )
    found = flag_sharp_cosmic_rays(exposure, fwhm=4.0)
    assert found.pixels.flagged("CR")[deposit > 500].mean() > 0.9
    assert np.abs(np.where(found.pixels.flagged("CR"), found.pixels.image - 500, 0)).max() < 300
