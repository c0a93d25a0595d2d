"""The sky round sources."""

import numpy as np
import pytest

from pipelines.image import MaskedImage
from pipelines.steps.local_sky import local_sky

SHAPE = 80, 100


@pytest.fixture
def pixels():
    rng = np.random.default_rng(5)
    image = (10 + 0.05 * np.arange(SHAPE[1]) + rng.normal(0, 2, SHAPE)).astype(np.float32)
    return MaskedImage(image, np.zeros(SHAPE, np.int32), np.full(SHAPE, 4, np.float32))


def test_sky_is_that_of_the_place_whatever_stars_stand_in_the_ring(pixels):
    pixels.image[38:42, 58:62] += 5000
    sky, error = local_sky(pixels, np.array([30.0, 50.2]), np.array([40.0, 40.3]), (7, 13))
    assert np.all(np.abs(sky - [11.5, 12.5]) < 4 * error)
    assert error == pytest.approx(2 / np.sqrt(np.pi * (13**2 - 7**2)), rel=0.15)


def test_flagged_pixels_have_no_say_and_a_ring_without_others_no_sky(pixels):
    pixels.image[:, 50:] = 1e6
    flagged = pixels.with_flag(np.broadcast_to(np.arange(SHAPE[1]) >= 50, SHAPE), "BAD")
    sky, error = local_sky(flagged, np.array([45.0, 80.0]), np.array([40.0, 40.0]), (7, 13))
    assert sky[0] == pytest.approx(12, abs=0.6)
    assert (sky[1], error[1]) == (0, 0)
