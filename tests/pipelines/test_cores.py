"""Bright stars in a difference: what was wrong with them is taken out, what changed stays."""

import numpy as np
import pytest

from pipelines.image import VaryingImage
from pipelines.steps.cores import settle_cores

SIDE, FLUX = 121, 1e6


def star(sigma, x=60.0, y=60.0):
    v, u = np.mgrid[:SIDE, :SIDE]
    return FLUX * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


@pytest.fixture
def kernel():
    v, u = np.mgrid[-10:11, -10:11]
    return VaryingImage((np.exp(-(u**2 + v**2) / 4) / (4 * np.pi))[None], (SIDE, SIDE))


def settled(difference, kernel, saturated):
    reference = star(2.0)
    v, u = np.mgrid[-10:11, -10:11]
    wings = np.stack([np.exp(-(u**2 + v**2) / (2 * s**2)) for s in (4.0, 6.0)])
    cores, nothing = reference > 1000, np.zeros((SIDE, SIDE), bool)
    usable = ~cores if saturated else ~nothing
    difference = difference + np.random.default_rng(1).normal(0, 3, difference.shape)
    errors = np.where(cores & saturated, np.float32(1e-6), 0)
    settle_cores(difference, np.full_like(difference, 9), usable, reference, cores, kernel, wings, errors)
    return difference


def flux(image):
    """By the matched filter of the matched PSF."""
    psf = star(np.sqrt(6)) / FLUX
    return np.sum(psf * image) / np.sum(psf**2)


def test_the_change_of_a_bright_star_stays(kernel):
    left = settled(-0.02 * star(np.sqrt(6)), kernel, saturated=False)
    assert flux(left) == pytest.approx(-0.02 * FLUX, abs=0.001 * FLUX)


def test_what_is_off_its_place_is_taken_out_and_no_flux_with_it(kernel):
    moved = 0.98 * star(np.sqrt(6), 60.05, 59.97) - star(np.sqrt(6))
    left = settled(moved, kernel, saturated=False)
    assert flux(left) == pytest.approx(-0.02 * FLUX, abs=0.001 * FLUX)
    assert np.std(left + 0.02 * star(np.sqrt(6))) < 6


def test_a_core_that_was_filled_with_too_little_leaves_nothing_round_it(kernel):
    left = settled(0.05 * star(np.sqrt(6)), kernel, saturated=True)
    assert np.std(left[star(2.0) <= 1000]) < 4
