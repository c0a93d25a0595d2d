"""The simulated scene: its renderers against GalSim, its counts, its noise and its seeds."""

import numpy as np
import pytest

from pipelines.simulate import oracle
from pipelines.simulate.bounds import errors, information
from pipelines.simulate.exposures import bleed, conditions, light, standard, transient_rows
from pipelines.simulate.galaxies import BULGE, DISC, add_galaxies
from pipelines.simulate.places import projected
from pipelines.simulate.scene import SceneParameters, magnitude, make_scene
from pipelines.simulate.seeing import Seeing, draw_seeing
from pipelines.simulate.visits import make_visit, registration_error

PEAK = 0.001  # how far, in units of the peak, the fast renderer may be off


def difference(seeing, side, profile=None):
    fast, slow = np.zeros((side, side)), np.zeros((side, side))
    x, y, flux = side // 2 + 0.31, side // 2 - 0.23, 1e6
    if profile is None:
        seeing.add_stars(fast, x, y, flux)
    else:
        add_galaxies(fast, seeing, np.array([x]), np.array([y]), np.array([flux]), np.array([profile]))
    oracle.add(slow, seeing, x, y, flux, profile)
    return np.abs(fast - slow).max() / slow.max()


@pytest.mark.parametrize("fwhm", [3.0, 4.5, 6.0])
def test_stars_are_galsims(fwhm):
    seeing = draw_seeing(fwhm, (128, 128), np.random.default_rng(1), ellipticity=0.1)
    assert difference(seeing, 129) < PEAK


@pytest.mark.parametrize("nu", [DISC, BULGE])
@pytest.mark.parametrize("radius", [0.9, 8.0])
def test_galaxies_are_galsims(radius, nu):
    seeing = draw_seeing(3.0, (256, 256), np.random.default_rng(2), ellipticity=0.1)
    assert difference(seeing, 257, (radius, 0.4, -0.3, nu)) < PEAK


def test_one_seed_gives_the_same_bits():
    one, two, other = (standard(seed, 256) for seed in (3, 3, 4))
    for name in ("image", "mask", "variance"):
        same = np.array_equal(getattr(one.science.pixels, name), getattr(two.science.pixels, name))
        assert same and np.array_equal(getattr(one.template.pixels, name), getattr(two.template.pixels, name))
    assert not np.array_equal(one.science.pixels.image, other.science.pixels.image)


def test_counts_are_those_of_the_standard_scene():
    p = SceneParameters(margin=0)
    scene = make_scene(p)
    hosted, near = scene.transients["host"] >= 0, scene.transients["star"] >= 0
    assert (len(scene.stars), len(scene.galaxies), len(scene.transients)) == (20_000, 3_000, 100)
    assert np.sum(magnitude(scene.stars["flux"]) < 15.4) in range(17, 24)
    assert (hosted.sum(), near.sum()) == (50, 5)


def test_hosted_transients_lie_within_the_half_light_ellipse():
    scene = make_scene(SceneParameters(completeness=True))
    hosted = scene.transients[scene.transients["host"] >= 0]
    host = scene.galaxies[hosted["host"]]
    places = zip(hosted["ra"], hosted["dec"], host["ra"], host["dec"], strict=True)
    east, north = np.array([projected(*place) for place in places]).T
    along = east * np.cos(host["angle"]) + north * np.sin(host["angle"])
    across = (north * np.cos(host["angle"]) - east * np.sin(host["angle"])) / host["ratio"]
    assert np.all(np.hypot(along, across) <= host["radius"] * (1 + 1e-6))


def test_noise_is_what_the_truth_says():
    night = standard(5, 512)
    excess = night.science.pixels.image + 2 * night.visit.sky(0.2) - night.truth.expected
    pull = excess / np.sqrt(night.truth.variance)
    clean = ~night.science.pixels.flagged("SAT")
    assert np.std(pull[clean]) == pytest.approx(1, abs=0.01)


def test_transients_have_the_snr_that_was_asked_for():
    scene, visit, reference = conditions(SceneParameters(seed=6, size=512, transients=1600), fwhm=4.0, ratio=1.0)
    sky = 2 * (visit.sky(0.2) + 49)
    image, rows = light(scene, visit)
    points = rows[(rows["kind"] == 2) & (rows["x"] > 20) & (rows["x"] < 490) & (rows["y"] > 20) & (rows["y"] < 490)]
    clean = scene.transients["host"][points["index"]] < 0
    stamps = np.array([visit.snaps[0].stamp(r["x"], r["y"], 31) for r in points[clean]])
    noise = sky * (1 + 1 / (20 * 0.9)) + 2 * points["flux"][clean][:, None, None] * stamps
    snr = 2 * points["flux"][clean] * np.sqrt((stamps**2 / noise).sum(axis=(1, 2)))
    assert np.median(snr / scene.transients["snr"][points["index"][clean]]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("flux", [1e3, 1e5, 1e7])
def test_the_bound_is_what_the_best_weights_reach(flux):
    seeing, random = Seeing(4.0, 0.02, 0.0, ((0,) * 5,) * 3, (200, 200)), np.random.default_rng(8)
    stamp = seeing.stamp(100, 100, 41)
    noise = 900 + flux * stamp
    draws = random.poisson(noise, (1500, 41, 41)) - 900.0
    fitted = (draws * stamp / noise).sum(axis=(1, 2)) / (stamp**2 / noise).sum()
    least = errors(seeing, np.array([100.0]), np.array([100.0]), np.array([flux]), 900.0)
    assert least[0, 0] == pytest.approx(np.std(fitted), rel=0.06)
    assert least[0, 0] > np.sqrt(flux)
    if flux == 1e3:
        known = information(4.0, 900.0)
        assert least[:2, 0] == pytest.approx([known[0] ** -0.5, known[1] ** -0.5 / flux], rel=0.03)


def test_bleeding_conserves_charge_and_stays_in_its_column():
    image = np.zeros((50, 3), np.float32)
    image[25, 1] = 700
    full = bleed(image, 100.0)
    assert image.sum() == pytest.approx(700)
    assert image[:, [0, 2]].sum() == 0
    assert full[:, 1].sum() == 7
    assert image.max() <= 100.001


def test_registration_error_has_its_size():
    scene = make_scene(SceneParameters(size=1024, stars=0, galaxies=0, asteroids=0))
    y, x = np.mgrid[0:1024:64, 0:1024:64].astype(float)
    size = [
        np.mean(np.sum(registration_error(scene.parameters, make_visit(scene, n, smooth_mas=10.0), x, y) ** 2, axis=0))
        for n in range(40)
    ]
    assert 200 * np.sqrt(np.mean(size)) == pytest.approx(10, rel=0.1)


def test_transients_are_among_the_bodies():
    night = standard(7, 512, completeness=True)
    assert len(transient_rows(night.truth)) >= 6
