"""Exposures that are fitted to their common mean catalogue."""

import numpy as np
import pytest

from pipelines.image import Wcs
from pipelines.steps.joint import JointParams, NoJointFit, StarList, fit_jointly
from pipelines.steps.refcat import reference
from pipelines.steps.wcs import inverse_gnomonic

CENTRE = 31.0, 46.7
SHAPE = (500, 650)
SCALE = 5.0  # arcsec per pixel
NOISE = 0.2  # arcsec


def night(exposures=12, stars=300, seed=1):
    """Star lists of drifting exposures whose given WCS is wrong by arcseconds, the true sky, and a reference."""
    rng = np.random.default_rng(seed)
    sky = np.stack(inverse_gnomonic(*rng.uniform(-0.6, 0.6, (2, stars)), *CENTRE))
    lists = []
    for k in range(exposures):
        cd = np.diag([-SCALE, SCALE]) / 3600 @ rotation(0.2 * k)
        true = Wcs.tangent(CENTRE[0] + 0.01 * k, CENTRE[1], 325, 250, cd)
        wrong = Wcs.tangent(CENTRE[0] + 0.01 * k + 3e-4, CENTRE[1] - 2e-4, 325, 250, cd)
        x, y = true.pixel(*sky)
        seen = np.flatnonzero((x > 0) & (x < SHAPE[1]) & (y > 0) & (y < SHAPE[0]) & (rng.random(stars) < 0.9))
        x, y = (v[seen] + rng.normal(0, NOISE / SCALE, seen.size) for v in (x, y))
        lists.append(StarList(x, y, np.full(seen.size, NOISE), 1e5 + seen, wrong, SHAPE))
    return lists, sky, reference(*sky[:, ::5], np.zeros(len(sky[0, ::5])))


def rotation(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


@pytest.fixture(scope="module")
def fitted():
    lists, sky, known = night()
    wcs, catalogue, number = fit_jointly(lists, known, JointParams(degree=1))
    return lists, sky, wcs, catalogue, number


def offsets(ra, dec, sky):
    """East and north in arcsec of the nearest true star."""
    east = (ra[:, None] - sky[0]) * np.cos(np.radians(CENTRE[1]))
    north = dec[:, None] - sky[1]
    nearest = np.argmin(np.hypot(east, north), axis=1)
    rows = np.arange(len(ra))
    return 3600 * np.stack([east[rows, nearest], north[rows, nearest]])


def test_mean_positions_are_better_than_single_ones(fitted):
    _, sky, _, catalogue, _ = fitted
    often = catalogue[catalogue["exposures"] >= 8]
    assert len(often) > 100
    error = offsets(often["ra"], often["dec"], sky)
    assert np.std(error) < 1.3 * NOISE / np.sqrt(8)
    assert abs(np.mean(error, axis=1)).max() < 0.06


def test_scatter_is_the_error_of_one_position(fitted):
    catalogue = fitted[3]
    assert np.median(catalogue["scatter"][catalogue["exposures"] >= 8]) == pytest.approx(NOISE, rel=0.1)


def test_each_wcs_finds_the_sky_again(fitted):
    _, sky, wcs, *_ = fitted
    for one in wcs:
        ra, dec = one.sky(*np.mgrid[100:600:100, 100:450:100].reshape(2, -1))
        x, y = one.pixel(ra, dec)
        assert np.allclose((x, y), np.mgrid[100:600:100, 100:450:100].reshape(2, -1), atol=1e-4)
    found = np.concatenate([offsets(*one.sky(s.x, s.y), sky) for one, s in zip(wcs, fitted[0], strict=True)], axis=1)
    assert np.std(found) < 1.1 * NOISE


def test_numbers_name_the_same_star_everywhere(fitted):
    lists, _, _, catalogue, number = fitted
    flux = [s.flux[n >= 0] - catalogue["flux"][n[n >= 0]] for s, n in zip(lists, number, strict=True)]
    assert np.mean(np.concatenate(flux) == 0) > 0.99  # the flux is the star's own number here


def test_exposures_that_share_no_star_are_refused():
    lists, _, known = night(exposures=2)
    apart = [lists[0], StarList(lists[1].x, lists[1].y, lists[1].error, lists[1].flux,
                                Wcs.tangent(100.0, -30.0, 325, 250, np.diag([-SCALE, SCALE]) / 3600), SHAPE)]
    with pytest.raises(NoJointFit, match="no star in two of 2 exposures"):
        fit_jointly(apart, known)
