"""Ten real DECam stamps of one field, two years apart: a known source has changed between them."""

import numpy as np
import pytest
import sep

from pipelines.image import PhotoCalib
from pipelines.instruments import instrument
from pipelines.steps.acquire import read_calibrated
from pipelines.steps.background import subtract_background
from pipelines.steps.coadd import CoaddParams, coadd
from pipelines.steps.decorrelate import decorrelate
from pipelines.steps.detect import detect
from pipelines.steps.kernel import KernelParams
from pipelines.steps.peaks import find_peaks, score_image
from pipelines.steps.psf import PsfParams, fit_psf
from pipelines.steps.subtract import SubtractParams, subtract
from pipelines.steps.variance import measure_noise_correlation
from tests.pipelines.shared_data import SHARED, needs_data

pytestmark = needs_data("decam_sfft_2016_2018")
STAMPS = SHARED / "decam_sfft_2016_2018" / "input_data"
VARIABLE = 318.10824, -66.01572
FEW_STARS = PsfParams(min_stars=3, min_snr=30)
MATCH = SubtractParams(KernelParams(degree=1, min_stamps=3, max_stamps=200))


def stack(epoch):
    """Coadd the five frames of an epoch, their fluxes scaled to the first by six bright stars."""
    frames = []
    for letter in "abcde":
        exposure = read_calibrated(STAMPS / f"DEC-OBS{epoch}{letter}.mini.fits", instrument("calibrated"))
        exposure, _ = subtract_background(exposure)
        exposure, _ = fit_psf(exposure, detect(exposure, fwhm=4.5), FEW_STARS)
        frames.append(measure_noise_correlation(exposure))
    bright = detect(frames[0], fwhm=4.5)[:6]
    fluxes = [sep.sum_circle(f.pixels.image, bright["x"], bright["y"], 12)[0] for f in frames]
    scaled = [
        f.with_(photo_calib=PhotoCalib(1 / np.median(flux / fluxes[0]))) for f, flux in zip(frames, fluxes, strict=True)
    ]
    return coadd(scaled, CoaddParams(subtraction=MATCH))[0]


@pytest.fixture(scope="module")
def detections():
    science, template = stack("04"), stack("18")
    found = detect(science, fwhm=4.5)
    difference, kernel, report = subtract(science, template, found["x"], found["y"], found["flux"], MATCH)
    pair = (science, template) if report["convolved"] == "template" else (template, science)
    difference = decorrelate(difference, kernel, *pair)
    score = score_image(difference)
    blank = score[20:-20, 20:-20]
    noise = 1.4826 * np.median(np.abs(blank[blank != 0]))
    peaks = find_peaks(score / noise, threshold=6)
    inside = np.all([(peaks[c] >= 20) & (peaks[c] < 236) for c in "xy"], axis=0)
    ra, dec = difference.wcs.sky(peaks["x"][inside], peaks["y"][inside])
    distance = 3600 * np.hypot((ra - VARIABLE[0]) * np.cos(np.radians(VARIABLE[1])), dec - VARIABLE[1])
    return peaks[inside], distance


def test_the_variable_source_is_found_in_its_place(detections):
    peaks, distance = detections
    assert distance.min() < 0.15
    assert peaks["snr"][np.argmin(distance)] > 20


def test_little_else_is_found(detections):
    peaks, _ = detections
    assert len(peaks) <= 6
