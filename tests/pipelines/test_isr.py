"""Instrument signature: each step takes out what the test puts in."""

import numpy as np
import pytest
from astropy.io import fits

from pipelines.calibrate.compare import compare
from pipelines.calibrate.masters import (
    TooFewFrames,
    fixed_pattern,
    master_bias,
    master_dark,
    master_flat,
    robust_stack,
)
from pipelines.image import Exposure, MaskedImage, Observation, bits
from pipelines.image.files import DamagedFile
from pipelines.instruments import Amplifier, Detector, UnknownInstrument, available, instrument
from pipelines.steps.acquire import WrongHeader, read_raw
from pipelines.steps.background import NoSky, subtract_background
from pipelines.steps.bias import subtract_bias
from pipelines.steps.calibrations import WrongCalibration
from pipelines.steps.crosstalk import correct_crosstalk
from pipelines.steps.dark import subtract_dark
from pipelines.steps.flat import divide_flat
from pipelines.steps.linearity import linearise
from pipelines.steps.overscan import assemble_detector, overscan_level, subtract_overscan
from pipelines.steps.saturation import grow_saturation
from pipelines.steps.variance import scale_variance, to_electrons
from tests.pipelines.shared_data import SHARED, needs_data

SHAPE = (64, 80)
LEFT = Amplifier("L", (0, 40, 0, 64), 2.0, 5.0, data=(0, 40, 0, 64), overscan=(42, 50, 0, 64))
RIGHT = Amplifier("R", (40, 80, 0, 64), 4.0, 7.0, data=(0, 40, 0, 64), overscan=(42, 50, 0, 64), flip_x=True)
DETECTOR = Detector(0, SHAPE, 60000.0, (LEFT, RIGHT), bad=((3, 5, 0, 64),))


def frame(image, kind="raw", variance=0.0, **changes):
    observation = Observation("test", 0, 1, kind, "r", 60000.0, 30.0).with_(**changes)
    return Exposure(MaskedImage.from_image(np.asarray(image, np.float32), variance), observation)


def raw_segment(amplifier, level, signal):
    raw = np.full((64, 50), 0, np.uint16)
    raw[:, :40] = level + signal
    raw[:, 42:] = level
    x_lo, _, y_lo, _ = amplifier.box
    pixels = MaskedImage(raw, np.zeros(raw.shape, np.int32), np.zeros(raw.shape, np.float32), x_lo, y_lo)
    return frame(np.zeros((1, 1))).with_(pixels=pixels)


def test_overscan_is_removed_and_amplifiers_are_joined_the_right_way_round():
    ramp = np.arange(40, dtype=np.uint16)
    segments = [raw_segment(LEFT, 1000, ramp), raw_segment(RIGHT, 1500, ramp)]
    trimmed = [subtract_overscan(s, a, 60000) for s, a in zip(segments, DETECTOR.amplifiers, strict=True)]
    whole = assemble_detector(trimmed, DETECTOR)
    np.testing.assert_array_equal(whole.pixels.image[10], np.append(ramp, ramp[::-1]))
    assert whole.pixels.flagged("BAD").sum() == 2 * 64


def test_overscan_level_follows_a_slow_drift_but_not_one_bad_row():
    strip = np.repeat(np.linspace(1000, 1010, 64)[:, None], 8, axis=1)
    strip[30] += 500
    np.testing.assert_allclose(overscan_level(strip), np.linspace(1000, 1010, 64), atol=2)


def test_saturation_is_flagged_on_raw_counts():
    segment = raw_segment(LEFT, 1000, np.where(np.arange(40) == 7, 60000, 0).astype(np.uint16))
    assert subtract_overscan(segment, LEFT, 60000).pixels.flagged("SAT")[:, 7].all()


def test_variance_equals_the_scatter_of_a_simulated_exposure():
    rng = np.random.default_rng(1)
    electrons = rng.poisson(900, SHAPE)
    counts = np.hstack([
        np.rint((electrons[:, :40] + rng.normal(0, 5, (64, 40))) / 2),
        np.rint((electrons[:, 40:] + rng.normal(0, 7, (64, 40))) / 4),
    ])  # fmt: skip
    exposure = to_electrons(frame(counts), DETECTOR)
    pull = (exposure.pixels.image - 900) / np.sqrt(exposure.pixels.variance)
    assert pull.std() == pytest.approx(1, abs=0.03)  # 5120 pixels: ± 0.01


def test_variance_is_scaled_to_the_scatter_of_the_sky():
    sky = np.random.default_rng(2).normal(0, 12, SHAPE)
    exposure, factor = scale_variance(frame(sky, variance=100.0))
    assert factor == pytest.approx(1.44, rel=0.1)
    np.testing.assert_allclose(exposure.pixels.variance, 100 * factor, rtol=1e-5)


def test_linearity_is_undone():
    true = np.linspace(0, 50000, 80)[None].repeat(64, 0)
    bent = Amplifier("A", (0, 80, 0, 64), 1.0, 5.0, linearity=(2e-7,))
    measured = (np.sqrt(1 + 4 * 2e-7 * true) - 1) / (2 * 2e-7)
    corrected = linearise(frame(measured), Detector(0, SHAPE, 1e5, (bent,)))
    np.testing.assert_allclose(corrected.pixels.image, true, rtol=1e-4, atol=0.1)


def test_bias_dark_and_flat_are_taken_out_in_turn():
    rng = np.random.default_rng(3)
    light, rate, response = 1000.0, rng.uniform(0, 2, SHAPE), rng.uniform(0.9, 1.1, SHAPE)
    structure = rng.normal(0, 3, SHAPE)
    raw = frame(light * response + 30 * rate + structure)
    exposure = subtract_bias(raw, frame(structure, "bias", 0.1))
    exposure = subtract_dark(exposure, frame(rate, "dark", 1e-4))
    exposure = divide_flat(exposure, frame(response, "flat", 1e-6))
    np.testing.assert_allclose(exposure.pixels.image, light, rtol=1e-4)
    expected = (0.1 + 900 * 1e-4) / response**2 + 1e6 * 1e-6 / response**2
    np.testing.assert_allclose(exposure.pixels.variance, expected, rtol=1e-3)


def test_pixels_without_response_become_bad():
    flat = np.ones(SHAPE)
    flat[5, 6] = 0.0
    exposure = divide_flat(frame(np.ones(SHAPE)), frame(flat, "flat"))
    assert exposure.pixels.mask[5, 6] == bits("BAD")
    assert np.isfinite(exposure.pixels.image).all()


def test_a_flat_of_another_band_is_refused():
    with pytest.raises(WrongCalibration, match="master of .*'i'.*; the exposure needs .*'r'.*Remedy: look up"):
        divide_flat(frame(np.ones(SHAPE)), frame(np.ones(SHAPE), "flat", band="i"))


def test_crosstalk_ghosts_are_removed_and_flagged():
    crossed = Detector(0, SHAPE, 1e5, (LEFT, RIGHT), crosstalk=((0, 0.01), (0.002, 0)))
    image = np.zeros(SHAPE)
    image[20, 10] = 50000
    image[20, 79 - 10] = 0.002 * 50000  # the same time of reading, in the amplifier that is mirrored
    exposure = correct_crosstalk(frame(image), crossed)
    assert exposure.pixels.image[20, 69] == pytest.approx(0, abs=1e-3)
    assert exposure.pixels.mask[20, 69] == bits("CROSSTALK")


def test_neighbours_of_saturation_are_flagged():
    exposure = frame(np.full(SHAPE, 95.0))
    exposure = exposure.with_(pixels=exposure.pixels.with_flag(np.eye(64, 80, dtype=bool), "SAT"))
    grown = grow_saturation(exposure, radius=1, saturation=100.0)
    assert grown.pixels.flagged("SAT")[10, 11]
    assert grown.pixels.flagged("SUSPECT").all()


def test_robust_stack_rejects_an_outlier_and_knows_its_error():
    rng = np.random.default_rng(4)
    stack = rng.normal(100, 5, (25, *SHAPE))
    stack[3, 10, 10] += 10000
    mean, variance = robust_stack(stack)
    assert abs(mean[10, 10] - 100) < 5
    assert np.mean((mean - 100) ** 2) == pytest.approx(np.mean(variance), rel=0.1)


def test_two_frames_are_no_master():
    with pytest.raises(TooFewFrames, match="got 2 frames; it needs 3"):
        robust_stack([np.zeros(SHAPE)] * 2)


def test_masters_recover_what_went_in():
    rng = np.random.default_rng(5)
    structure, rate, response = rng.normal(0, 3, SHAPE), rng.uniform(0, 0.1, SHAPE), rng.uniform(0.9, 1.1, SHAPE)
    rate[7, 7] = 50.0
    response[8, 8] = 0.1
    bias = master_bias([frame(structure + rng.normal(0, 4, SHAPE), "bias") for _ in range(16)])
    assert np.std(bias.pixels.image - structure) == pytest.approx(1, rel=0.1)
    assert np.median(bias.pixels.variance) == pytest.approx(1, rel=0.2)
    dark = master_dark([frame(30 * rate + rng.normal(0, 4, SHAPE), "dark") for _ in range(9)])
    assert dark.pixels.mask[7, 7] == bits("BAD")
    flat = master_flat([frame(2e4 * k * response + rng.normal(0, 100, SHAPE), "flat") for k in (1, 1.3, 0.8, 1.1)])
    assert flat.pixels.image.mean() == pytest.approx(1)
    assert flat.pixels.mask[8, 8] == bits("BAD")
    assert np.std(flat.pixels.image / response) < 0.01


def test_a_bias_of_columns_adds_little_noise_and_keeps_odd_pixels():
    rng = np.random.default_rng(15)
    structure = np.broadcast_to(rng.normal(0, 3, SHAPE[1]), SHAPE).copy()
    structure[20, 30] += 40
    bias = master_bias([frame(structure + rng.normal(0, 4, SHAPE), "bias") for _ in range(5)])
    left = bias.pixels.image - structure
    assert abs(left[20, 30]) < 8
    left[20, 30] = 0
    assert np.std(left) < 0.5  # a mean of five frames: 1.8
    assert np.std(left) ** 2 == pytest.approx(np.median(bias.pixels.variance), rel=0.4)


def test_the_variance_of_the_bias_comes_with_the_gain():
    plain, known = (to_electrons(frame(np.zeros(SHAPE), variance=v), DETECTOR).pixels.variance for v in (0.0, 2.0))
    np.testing.assert_allclose((known - plain)[0, [0, 79]], [8.0, 32.0], rtol=1e-5)


def test_a_new_master_is_compared_with_the_previous_one():
    rng = np.random.default_rng(6)
    old, same = (frame(rng.normal(0, 1, SHAPE), "bias", 1.0) for _ in range(2))
    changed = frame(same.pixels.image + 50 * (rng.random(SHAPE) < 0.01), "bias", 1.0)
    assert compare(same, old).accepted
    assert not compare(changed, old).accepted
    assert compare(frame(same.pixels.image + 3, "bias", 1.0), old, shift=1.0).shift == pytest.approx(3, abs=0.1)


def test_hot_pixels_are_found_in_drifting_frames():
    rng = np.random.default_rng(7)
    frames = []
    for k in range(9):
        image = rng.normal(0, 1, SHAPE)
        image[30, 5 + 8 * k] += 1000  # a star that drifts
        image[50, 50] += 60  # a hot pixel that stays
        image[40, 40] += 60 * (k % 3 == 0)  # one that flickers
        frames.append(frame(image))
    pattern = fixed_pattern(frames)
    assert pattern.pixels.variance[40, 40] > 100 * np.median(pattern.pixels.variance)
    assert pattern.pixels.image[50, 50] == pytest.approx(2, rel=0.1)
    assert np.abs(pattern.pixels.image[30]).max() < 0.1


def test_a_frame_without_usable_pixels_is_a_stated_condition():
    exposure = frame(np.full(SHAPE, 65535.0))
    exposure = exposure.with_(pixels=exposure.pixels.with_flag(np.ones(SHAPE, bool), "SAT"))
    with pytest.raises(NoSky, match="100 % unusable pixels.*Remedy: look at the raw frame") as caught:
        subtract_background(exposure)
    assert caught.value.condition == "no_usable_pixels"


def test_an_unknown_instrument_names_those_that_are_shipped():
    assert {"microobservatory", "lco_fa05", "calibrated"} <= set(available())
    with pytest.raises(UnknownInstrument, match="got 'hubble'; shipped are calibrated"):
        instrument("hubble")


def test_a_raw_file_with_a_wrong_header_is_refused(tmp_path):
    fits.PrimaryHDU(np.zeros((500, 650), np.int16)).writeto(tmp_path / "no_header.fits")
    with pytest.raises(WrongHeader, match="lacks or garbles.*UT-OBS.*microobservatory needs UT-OBS"):
        read_raw(tmp_path / "no_header.fits", instrument("microobservatory"))


def test_a_truncated_raw_file_is_refused(tmp_path):
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE  =                    T" * 10)
    with pytest.raises(DamagedFile, match="no readable raw file of microobservatory"):
        read_raw(tmp_path / "broken.fits", instrument("microobservatory"))


@needs_data("raw_ccd")
def test_four_real_amplifiers_are_assembled_with_their_read_noise():
    camera = instrument("lco_fa05")
    detector = camera.detector(0)
    segments = read_raw(SHARED / "raw_ccd" / "mef_raw_test_frame.fits", camera)
    for segment, amplifier in zip(segments, detector.amplifiers, strict=True):
        x_lo, x_hi, y_lo, y_hi = amplifier.overscan
        strip = segment.pixels.image[y_lo:y_hi, x_lo:x_hi].astype(float)
        noise = amplifier.gain * np.std(strip - overscan_level(strip)[:, None])
        assert noise == pytest.approx(7.0, rel=0.15)
    trimmed = [subtract_overscan(s, a, detector.saturation) for s, a in zip(segments, detector.amplifiers, strict=True)]
    exposure = to_electrons(assemble_detector(trimmed, detector), detector)
    levels = [np.median(exposure.pixels.image[y : y + 512, x : x + 512]) for x in (0, 512) for y in (0, 512)]
    assert np.ptp(levels) < 0.05 * np.mean(levels)
    # The sky goes smoothly over the joints: mirrored the wrong way it would not.
    joint = exposure.pixels.image[:, 505:519]
    assert abs(np.median(joint[:, :7]) - np.median(joint[:, 7:])) < 0.05 * np.mean(levels)
    assert exposure.observation.boresight == pytest.approx((287.324829, 59.493931), abs=1e-5)
