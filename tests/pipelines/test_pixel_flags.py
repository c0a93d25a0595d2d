"""Pixel flags of measurements: the mask planes in the box round each position."""

import numpy as np
import pytest

from pipelines.image import MaskedImage, bits
from pipelines.steps.measure import FORCED, set_pixel_flags


@pytest.fixture
def pixels():
    mask = np.zeros((40, 40), np.int32)
    mask[20, 22] = bits("CR")
    plane = np.ones((40, 40), np.float32)
    return MaskedImage(plane, mask, plane)


def test_a_flag_is_raised_within_the_box_only(pixels):
    rows = np.zeros(2, FORCED)
    set_pixel_flags(rows, pixels, np.array([20.0, 19.0]), np.array([20.0, 20.0]), 2)
    assert rows["pixel_flag_cosmic_ray"].tolist() == [True, False]


def test_no_positions_have_no_flags(pixels):
    set_pixel_flags(np.zeros(0, FORCED), pixels, np.zeros(0), np.zeros(0), 2)
