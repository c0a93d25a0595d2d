"""PSF, photometry and shapes of a quarter of the standard scene's detector, against its truth."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pipelines.image import Psf, VaryingImage
from pipelines.simulate.exposures import calibrated
from pipelines.simulate.scene import SceneParameters, make_scene
from pipelines.simulate.visits import GALAXY_KIND, STAR_KIND, make_visit
from pipelines.steps.background import subtract_background
from pipelines.steps.detect import detect, guess_fwhm
from pipelines.steps.measure import measure_sources
from pipelines.steps.pointsource import add_sources, fit_sources, fit_together
from pipelines.steps.profile import Profile
from pipelines.steps.psf import fit_psf
from pipelines.steps.shape import adaptive_moments, extendedness
from pipelines.steps.variance import smooth_variance
from tests.benchmarks import scores
from tests.pipelines.scene import Seeing

SIDE = 2048  # pixels


@pytest.fixture(scope="module")
def night():
    scene = make_scene(SceneParameters(seed=2, size=SIDE, transients=0))
    exposure, truth = calibrated(scene, make_visit(scene, 0, fwhm=4.0))
    exposure, _ = subtract_background(exposure)
    exposure = exposure.with_(pixels=exposure.pixels.with_(variance=smooth_variance(exposure.pixels.variance)))
    found = detect(exposure, guess_fwhm(exposure))
    exposure, _ = fit_psf(exposure, found)
    rows = measure_sources(exposure, found)
    rows = rows[~(rows["pixel_flag_saturated_center"] | rows["pixel_flag_edge"])]
    return SimpleNamespace(exposure=exposure, truth=truth, scene=scene, rows=rows)


def matched(night, kind, alone=1.5, share=0.05):
    """Return the bodies of a kind that were measured, and their rows: those with little light of others so near."""
    bodies, rows = night.truth.bodies, night.rows
    places = np.column_stack([bodies["x"], bodies["y"]])
    distance, row = cKDTree(np.column_stack([rows["x"], rows["y"]])).query(places)
    own = np.flatnonzero((distance < 1) & (bodies["kind"] == kind))
    near = cKDTree(places).query_ball_point(places[own], alone * 4.0)
    light = np.array([bodies["flux"][who].sum() for who in near])
    own = own[light < (1 + share) * bodies["flux"][own]]
    return bodies[own], rows[row[own]]


def test_the_psf_has_the_size_and_shape_of_stars(night):
    residual = scores.psf_residuals(night.exposure, night.truth)
    assert residual["size"] < 0.0035
    assert residual["ellipticity"] < 0.003


def test_psf_fluxes_of_stars_are_the_truths(night):
    stars, rows = matched(night, STAR_KIND, alone=4, share=0.003)
    excess = rows["raw_flux"] / stars["flux"] - 1
    bright = rows["snr"] > 50
    assert np.median(excess[bright]) == pytest.approx(-0.005, abs=0.002)  # 0.5 % of the light lies beyond the model
    pull = (excess - np.median(excess[bright])) * rows["snr"]
    assert 1.4826 * np.median(np.abs(pull[bright])) < 1.2
    brightest = rows["snr"] > 300
    assert brightest.sum() >= 20
    assert 1.4826 * np.median(np.abs(excess - np.median(excess[brightest]))[brightest]) < 0.003


def test_aperture_fluxes_equal_psf_fluxes(night):
    _, rows = matched(night, STAR_KIND, alone=4, share=0.003)
    rows = rows[rows["snr"] > 200]
    ratio = rows["ap_flux"] / rows["psf_flux"]
    assert np.median(ratio) == pytest.approx(1, abs=0.002)
    assert 1.4826 * np.median(np.abs(ratio - np.median(ratio))) < 0.004


def test_bright_stars_are_points_and_galaxies_are_not(night):
    _, stars = matched(night, STAR_KIND)
    _, galaxies = matched(night, GALAXY_KIND)
    assert np.mean(stars["extendedness"][stars["snr"] > 100] < 0.5) >= 0.99
    assert np.mean(stars["extendedness"][stars["snr"] > 20] < 0.5) >= 0.97
    assert np.mean(galaxies["extendedness"][galaxies["snr"] > 20] > 0.5) >= 0.95


def test_a_profile_is_recovered_from_noiseless_stars():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 1023, (2, 60))
    shapes = np.zeros((3, 6))
    shapes[:, 0] = np.log(4.0), 0.05, -0.03
    shapes[0, 1], shapes[1, 2] = 0.02, 0.01
    true = Profile(shapes, 3.4, (1024, 1024), 14, 1)
    fitted = Profile.round(4.4, (1024, 1024), 28, 1)
    for _ in range(6):
        left = true.psf().stamps(x, y) - fitted.psf().stamps(x, y)
        fitted = fitted.refined(x, y, left, np.full(left.shape, 1e10), fitted.psf())
    np.testing.assert_allclose(fitted.shapes, shapes, atol=2e-3)
    assert fitted.beta == pytest.approx(3.4, rel=0.01)
    assert fitted.psf().at(300, 700).sum() == pytest.approx(1, abs=1e-6)


def test_a_profile_is_the_pixels_mean_of_a_moffat():
    profile = Profile.round(4.0, (64, 64), 30, 2)
    u = np.arange(-40, 41) / 81  # within one pixel
    alpha2 = 4 / (2 ** (1 / profile.beta) - 1)
    fine = (1 + ((u[:, None] + 3) ** 2 + u**2) / alpha2) ** -profile.beta
    middle = (1 + (u[:, None] ** 2 + u**2) / alpha2) ** -profile.beta
    stamp = profile.psf().at(32, 32)
    half = len(stamp) // 2
    assert stamp[half, half + 3] / stamp[half, half] == pytest.approx(fine.mean() / middle.mean(), rel=1e-3)


def test_overlapping_stars_share_their_light():
    psf, rng = Seeing(4.0, change=0).psf((64, 64)), np.random.default_rng(2)
    x, y, flux = np.array([30.2, 34.9]), np.array([31.7, 30.1]), np.array([50_000.0, 10_000.0])
    image = add_sources(np.zeros((64, 64)), psf, x, y, flux) + rng.normal(0, 5, (64, 64)).astype(np.float32)
    weight = np.full((64, 64), 0.04, np.float32)
    alone = fit_sources(image, weight, psf, x + 0.3, y - 0.2)
    together, left, removed = fit_together(image, weight, psf, x + 0.3, y - 0.2)
    assert abs(alone["flux"][1] / flux[1] - 1) > 0.2
    np.testing.assert_allclose(together["flux"], flux, rtol=0.02)
    np.testing.assert_allclose(removed, flux, rtol=0.02)
    assert np.abs(left).max() < 100


def test_errors_of_moments_are_their_scatter():
    rng, size = np.random.default_rng(3), 800
    v, u = np.mgrid[-12:13, -12:13]
    star = np.exp(-(u**2 / 2.5 + v**2 / 3.5) / 2)
    image = np.concatenate([star + rng.normal(0, 0.03, star.shape) for _ in range(size)], axis=1)
    place = 12 + 25.0 * np.arange(size)
    moments, errors, good = adaptive_moments(image, np.full(image.shape, 0.03**-2), place, np.full(size, 12.0), 1.7, 12)
    assert good.all()
    np.testing.assert_allclose(moments.mean(axis=0), [2.5, 3.5, 0], rtol=0.02, atol=0.02)
    np.testing.assert_allclose(moments.std(axis=0), errors.mean(axis=0), rtol=0.1)


def test_extendedness_is_a_probability():
    """Stars and galaxies as many, of a signal-to-noise ratio of 25: of those it calls 80 % likely, 80 % are."""
    rng, size, n = np.random.default_rng(4), (41, 41), 600
    v, u = np.mgrid[-20:21, -20:21]
    psf = Psf(VaryingImage((np.exp(-(u**2 + v**2) / 6) / (6 * np.pi))[None], size))
    chance, truth = [], rng.random(n) < 0.5
    for galaxy in truth:
        # Under a weight of the PSF's width sizes of galaxies are spread evenly between the PSF's and twice that.
        excess = rng.random() if galaxy else 0
        square = 3 * (1 + excess) / (1 - 0.5 * (1 + excess)) / 2
        image = 25 * np.exp(-(u**2 + v**2) / (2 * square)) / np.sqrt(np.pi * square)
        image = image + rng.normal(size=size)
        chance.append(extendedness(image, np.ones(size, np.float32), psf, np.array([20.0]), np.array([20.0]))[0])
    chance = np.array(chance)
    assert np.mean(chance) == pytest.approx(truth.mean(), abs=0.06)
    for low, high in ((0, 0.4), (0.4, 1.01)):
        inside = (chance >= low) & (chance < high)
        assert truth[inside].mean() == pytest.approx(chance[inside].mean(), abs=0.12)



def test_a_hollow_source_is_extended():
    v, u = np.mgrid[-20:21, -20:21]
    psf = Psf(VaryingImage((np.exp(-(u**2 + v**2) / 6) / (6 * np.pi))[None], u.shape))
    ring, place = 1000.0 * (np.hypot(u, v) > 4), np.array([20.0])
    assert extendedness(ring, np.ones(u.shape, np.float32), psf, place, place) > 0.99
