import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.simulate.places import scattered, shifted
from udf.plane import Places, log_density, offsets, separations, turned, within

PLACES = [(0.0, 0.0), (359.99999, 45.0), (10.0, 89.9999), (200.0, -89.9995), (123.0, -30.0), (77.0, 90.0)]


@pytest.mark.parametrize("centre", PLACES)
@given(st.floats(-5, 5), st.floats(-5, 5))
def test_offsets_undo_a_shift(centre, east, north):
    ra, dec = shifted(*np.array(centre)[:, None], [east], [north])
    assert np.allclose(np.ravel(offsets(ra, dec, *centre)[:2]), (east, north), atol=1e-9)


@pytest.mark.parametrize("centre", PLACES)
def test_own_east_points_where_the_turn_says(centre):
    ra, dec = shifted(*np.array(centre)[:, None], [1.3], [0.7])
    beside = shifted(ra, dec, [1e-3], [0.0])
    x, y, turn = offsets(ra, dec, *centre)
    x2, y2, _ = offsets(*beside, *centre)
    assert np.allclose(np.arctan2(y2 - y, x2 - x), turn, atol=1e-6)


def test_a_turned_covariance_is_that_of_turned_offsets():
    random = np.random.default_rng(1)
    cloud = random.multivariate_normal([0, 0], [[2.0, 0.7], [0.7, 1.0]], 1000)
    cov, angle = np.cov(cloud.T), 0.8
    place = Places(*np.zeros((2, 1)), *(np.array([v]) for v in (cov[0, 0], cov[1, 1], cov[0, 1])))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = np.cov((cloud @ rotation.T).T)
    got = np.ravel(turned(place, np.array([angle])))
    assert np.allclose(got, (expected[0, 0], expected[1, 1], expected[0, 1]))


def test_the_density_is_the_normal_law_s():
    from scipy.stats import multivariate_normal

    ra, dec = shifted(np.array([359.9999]), np.array([10.0]), [0.3], [-0.2])
    one = Places(ra, dec, *(np.array([v]) for v in (0.02, 0.01, 0.004)))
    two = Places(np.array([359.9999]), np.array([10.0]), *(np.array([v]) for v in (0.05, 0.03, -0.01)))
    law = multivariate_normal([0, 0], [[0.07, -0.006], [-0.006, 0.04]])
    assert log_density(one, two)[0] == pytest.approx(law.logpdf([0.3, -0.2]), abs=1e-6)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.0, 89.999), (50.0, -89.999)])
def test_pairs_within_a_radius_are_all_those_that_are(centre):
    random = np.random.default_rng(2)
    cloud = [Places(*scattered(200, *centre, 0.002, random), *np.zeros((3, 200))) for _ in range(2)]
    radius = random.uniform(0, 2, 200)
    which, target = within(*cloud, radius)
    apart = separations(cloud[0].ra[:, None], cloud[0].dec[:, None], cloud[1].ra, cloud[1].dec)
    expected = np.stack(np.nonzero(apart <= radius), axis=-1)
    assert expected.size
    assert sorted(zip(which, target, strict=True)) == sorted(map(tuple, expected))
