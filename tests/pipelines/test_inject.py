"""Synthetic sources are added with the exposure's own PSF and the noise of their light, and told by a mask plane."""

import galsim
import numpy as np
import pytest

from pipelines.productions.efficiency import binned, half_point, interval
from pipelines.productions.release import ParamsError, params_of
from pipelines.productions.synthesis import InjectionError, draw, object_class
from pipelines.steps.inject import inject
from pipelines.synthetic import HOST, Region, Supernova
from tests.pipelines import scene

SIZE = (200, 240)
REGION = Region(10.0, -5.0, 0.2, 60000.0, 60100.0)
GIVEN = {"class": "pipelines.synthetic:Supernova", "number": 40, "seed": 3}
PARAMS = {"instrument": "simcam_1k", "reference": "simulated"}


@pytest.fixture(scope="module")
def blank():
    seeing = scene.Seeing()
    random = np.random.default_rng(2)
    sky = scene.observe(scene.stars(random, SIZE, 0), seeing, scene.wcs(SIZE), random, SIZE)
    return sky.with_(psf=seeing.psf(SIZE))


def added(blank, x, y, flux, profile=None):
    places = [np.atleast_1d(np.asarray(one, float)) for one in (x, y, flux)]
    made = inject(blank, *places, [profile] * len(places[0]), np.random.default_rng(5))
    return made, made.pixels.image - blank.pixels.image


def test_a_point_has_its_flux_place_and_width(blank):
    electrons = 4e6
    made, light = added(blank, 100.3, 80.8, electrons * blank.photo_calib.nanojansky_per_count)
    y, x = np.indices(SIZE)
    assert light.sum() == pytest.approx(electrons, rel=0.005)
    assert (light * x).sum() / light.sum() == pytest.approx(100.3, abs=0.02)
    assert (light * y).sum() / light.sum() == pytest.approx(80.8, abs=0.02)
    stamp = blank.psf.at(100.3, 80.8)
    half = stamp.shape[0] // 2
    there = light[81 - half : 82 + half, 100 - half : 101 + half]
    assert np.abs(there / electrons - stamp / stamp.sum()).max() < 0.01 * stamp.max()


def test_the_noise_of_what_is_added_is_poissons_and_in_the_variance(blank):
    count = 60
    random = np.random.default_rng(7)
    x, y = random.uniform(30, 200, count), random.uniform(30, 170, count)
    flux = np.full(count, 2000 * blank.photo_calib.nanojansky_per_count)
    pulls = []
    for seed in range(8):
        made = inject(blank, x, y, flux, [None] * count, np.random.default_rng(seed))
        light = made.pixels.image - blank.pixels.image
        expected = made.pixels.variance - blank.pixels.variance
        bright = expected > 20
        pulls.append((light - expected)[bright] / np.sqrt(expected[bright]))
    assert np.std(np.concatenate(pulls)) == pytest.approx(1, abs=0.03)


def test_what_was_added_is_flagged_and_nothing_else(blank):
    made, _ = added(blank, 60, 60, 5e4 * blank.photo_calib.nanojansky_per_count)
    flagged = made.pixels.flagged("INJECTED")
    light = made.pixels.variance - blank.pixels.variance
    assert flagged[60, 60]
    assert not flagged[:, 150:].any()
    assert (light[~flagged] <= 0.101 * np.sqrt(blank.pixels.variance[~flagged])).all()


def test_a_profile_is_wider_than_a_point_and_keeps_its_flux(blank):
    total = 1e6
    flux = total * blank.photo_calib.nanojansky_per_count
    _, point = added(blank, 100.4, 100.2, flux)
    _, disc = added(blank, 100.4, 100.2, flux, galsim.Exponential(half_light_radius=0.8))
    assert disc.sum() == pytest.approx(total, rel=0.02)
    assert disc.max() < 0.5 * point.max()
    x = np.indices(SIZE)[1]
    assert (disc * x).sum() / disc.sum() == pytest.approx(100.4, abs=0.1)


@pytest.mark.parametrize(("x", "y"), [(-30.0, 50.0), (239.0, 199.0), (0.2, 0.4), (500.0, 500.0)])
def test_what_lies_over_the_border_is_cut_there(blank, x, y):
    made, light = added(blank, x, y, 1e6)
    assert made.shape == SIZE
    assert np.isfinite(light).all()


def test_the_same_file_draws_the_same_objects():
    hosts = np.array([(7, 10.0, -5.0, 1.0, 1.0, 0.0)], HOST)
    one, two = (draw(GIVEN, REGION, hosts) for _ in range(2))
    assert one == two
    hosted = [object_ for object_ in one if object_.host == 0]
    assert 15 < len(hosted) < 40
    distances = [np.hypot((o.ra - 10) * np.cos(np.radians(5)), o.dec + 5) * 3600 for o in hosted]
    assert [o.parameters["separation_arcsec"] for o in hosted] == pytest.approx(distances, rel=1e-3)


def test_a_supernova_rises_and_fades():
    made = Supernova(rise=10, decay=40)
    parameters = {"magnitude": 20.0, "begin_tai": 60000.0}
    curve = [made.flux(parameters, "r", 60000.0 + day) for day in (-1, 5, 10, 50)]
    assert curve == pytest.approx([0, 10**4.56 / 2, 10**4.56, 10**4.56 / np.e])


@pytest.mark.parametrize(("given", "said"), [
    ({}, "got nothing; needed are class and number"),
    (GIVEN | {"colour": 1}, "got class, number, seed, colour; needed are"),
    (GIVEN | {"class": "nowhere:Nothing"}, "nowhere:Nothing can't be made"),
    (GIVEN | {"options": {"mass": 2}}, "Supernova can't be made .*mass"),
])  # fmt: skip
def test_a_file_that_makes_no_sense_is_refused(given, said):
    with pytest.raises(InjectionError, match=said):
        object_class(given)


def test_a_release_holds_nothing_synthetic_and_all_of_the_survey():
    area = {"ra": 10.0, "dec": 0.0, "radius_deg": 0.1}
    with pytest.raises(ParamsError, match="a Data Release got area, inject; it holds all of the survey, and nothing"):
        params_of(3, 60000.0, PARAMS | {"area": area, "inject": GIVEN})
    with pytest.raises(ParamsError, match="synthetic objects need an area"):
        params_of(50, 60000.0, PARAMS | {"inject": GIVEN})
    assert params_of(50, 60000.0, PARAMS | {"area": area, "inject": GIVEN}).area["reach_arcsec"] > 360


def test_binomial_intervals_cover_as_often_as_they_say():
    random, share, tried = np.random.default_rng(0), 0.9, 30
    intervals = [interval(int(found), tried) for found in random.binomial(tried, share, 2000)]
    inside = [low <= share <= high for low, high in intervals]
    assert np.mean(inside) == pytest.approx(0.683, abs=0.06)
    assert interval(0, 5)[0] == 0
    assert interval(5, 5)[1] == 1


def test_half_of_all_is_found_where_it_is():
    random = np.random.default_rng(1)
    magnitude = random.uniform(20, 26, 4000)
    noise = 10 ** ((31.4 - 23.5) / 2.5) / 5
    found = 10 ** ((31.4 - magnitude) / 2.5) + random.normal(0, noise, 4000) > 5 * noise
    half, err = half_point(magnitude, found)
    assert abs(half - 23.5) < 3 * err < 0.1
    bins = binned(magnitude, found, np.arange(20, 26.5, 0.5))
    assert sum(one.tried for one in bins) == 4000
    assert bins[0].efficiency == 1
