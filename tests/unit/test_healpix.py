import healpy
import numpy as np
import pytest

from udf.sky import healpix

EDGES = np.array(
    [-720.0, -90.0, -1e-13, 0.0, 45.0, 90.0, 135.0, 180.0, 270.0, 359.9999999999999, 360.0, 1234.5]
)


@pytest.fixture(scope="module")
def sky():
    """Random positions, poles at all distances, meridians between faces."""
    random = np.random.default_rng(20111)
    ra, dec = random.uniform(0, 360, 200_000), np.degrees(np.arcsin(random.uniform(-1, 1, 200_000)))
    close = 10 ** random.uniform(-14, 1, 5000)
    dec[:10_000] = np.concatenate([90 - close, close - 90])
    ra[5000:20_000] = random.choice(EDGES, 15_000)
    dec[20_000:20_004] = [90, -90, 0, np.degrees(np.arcsin(2 / 3))]
    return ra, dec


@pytest.mark.parametrize("order", [0, 1, 7, 25, 29])
def test_pixels_equal_healpy(sky, order):
    expected = healpy.ang2pix(2**order, *sky, nest=True, lonlat=True)
    np.testing.assert_array_equal(healpix.pixels(*sky, order), expected)


@pytest.mark.parametrize("order", [0, 1, 7, 25, 29])
def test_centres_and_neighbours_equal_healpy(sky, order):
    pixels = healpix.pixels(*sky, order)
    np.testing.assert_allclose(
        healpix.centres(pixels, order), np.transpose(healpy.pix2vec(2**order, pixels, nest=True)), atol=3e-15
    )
    np.testing.assert_array_equal(
        healpix.neighbours(pixels, order), healpy.get_all_neighbours(2**order, pixels, nest=True).T
    )


def test_splitting_inverts_joining(sky):
    pixels = healpix.pixels(*sky)
    np.testing.assert_array_equal(healpix.join(*healpix.split(pixels, 29), 29), pixels)
