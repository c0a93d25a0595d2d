"""Every metric of a detector has a value on a good one, passes, and fails where something was spoiled."""

import numpy as np
import pytest

from db.metrics import metrics
from pipelines import sdqa
from pipelines.image import PhotoCalib
from pipelines.steps.background import subtract_background
from pipelines.steps.decorrelate import decorrelate
from pipelines.steps.detect import detect
from pipelines.steps.interpolate import fill_saturated
from pipelines.steps.measure import measure_dia_sources
from pipelines.steps.peaks import find_peaks, score_image
from pipelines.steps.psf import fit_psf
from pipelines.steps.subtract import subtract
from pipelines.steps.warp import warp
from tests.pipelines import scene

SIZE = (1024, 1024)
DEPTH = 10
SUBJECT = 4096


@pytest.fixture(scope="module")
def images():
    """A calibrated exposure with its detections, and its difference from a deep template with its DiaSources."""
    rng = np.random.default_rng(11)
    stars = scene.stars(rng, SIZE, 800, brightest=5e5)
    new = scene.stars(rng, SIZE, 20, faintest=4000.0, brightest=1e5)
    science = scene.observe(np.append(stars, new), scene.Seeing(4.0), scene.wcs(SIZE), rng, SIZE)
    template = scene.observe(stars, scene.Seeing(3.2), scene.wcs(SIZE, dx=3.3, dy=-2.6), rng, SIZE, depth=DEPTH)
    observation = science.observation.with_(boresight=(150.0, 2.0), instrument="simcam", exposure_seconds=4.53)
    science = science.with_(observation=observation, photo_calib=PhotoCalib.from_zeropoint(30.0, 0.003))
    (science, found), (template, _) = prepared(science, 4.0), prepared(template, 3.2)
    registered = warp(template, science.wcs, SIZE).with_(psf=template.psf)
    raw, kernel, report = subtract(science, registered, found["x"], found["y"], found["flux"])
    pair = (science, registered) if report["convolved"] == "template" else (registered, science)
    difference = decorrelate(raw, kernel, *pair)
    return science, found, difference, measure_dia_sources(
        difference, science, registered, find_peaks(score_image(difference))
    )


def prepared(exposure, fwhm):
    exposure, _ = subtract_background(exposure, box=128)
    found = detect(exposure, fwhm)
    exposure, _ = fit_psf(exposure, found)
    return fill_saturated(exposure), found


def failing(connection, values):
    with connection.cursor() as cursor:
        sdqa.write(cursor, SUBJECT, values, None)
        cursor.execute("SELECT metric FROM sdqa_measurement WHERE subject_id = %s AND verdict = 'fail'", [SUBJECT])
        return {metric for (metric,) in cursor}


def test_a_good_detector_has_every_metric_and_none_fails(images, connection):
    values = sdqa.measure_detector(*images)
    assert values.keys() == {row["metric"] for row in metrics() if row["level"] == "detector"}
    assert [metric for metric, value in values.items() if not np.isfinite(value)] == []
    assert failing(connection, values) == set(), values


def test_what_was_put_in_is_measured(images):
    values = sdqa.measure_detector(*images)
    true = scene.Seeing(4.0).psf(SIZE).fwhm(512, 512) * scene.SCALE
    assert values["detector.psf_fwhm"] == pytest.approx(true, rel=0.05)
    assert values["detector.pixel_scale"] == pytest.approx(scene.SCALE, rel=1e-3)
    assert values["detector.pointing_offset"] < 1
    assert values["detector.cloud_extinction"] == pytest.approx(0, abs=0.01)
    assert values["detector.noise_ratio"] == pytest.approx(1, abs=0.1)
    assert values["detector.sky_noise"] == pytest.approx(np.sqrt(scene.SKY + scene.READ_NOISE**2), rel=0.1)
    assert values["detector.difference_noise_ratio"] == pytest.approx(1, abs=0.15)


def test_a_spoiled_detector_fails_by_name(images, connection):
    science, found, difference, dia_sources = images
    half = np.zeros(SIZE, bool)
    half[:600] = True
    calibration = PhotoCalib.from_zeropoint(30.0, 0.25)
    spoiled = science.with_(pixels=science.pixels.with_flag(half, "BAD"), photo_calib=calibration)
    values = sdqa.measure_detector(spoiled, found, difference, dia_sources)
    assert failing(connection, values) >= {"detector.pixels_usable", "detector.pixels_bad", "detector.zeropoint_err"}
