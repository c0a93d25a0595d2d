"""The whole pixel path on two real raw frames: undersampled, trailed, without calibration frames."""

import numpy as np
import pytest

from pipelines.instruments import instrument
from pipelines.productions.detector import parameters
from pipelines.productions.injected import trial
from pipelines.productions.reliability import FALSE
from pipelines.steps.acquire import read_raw
from pipelines.steps.background import subtract_background
from pipelines.steps.decorrelate import decorrelate
from pipelines.steps.detect import detect
from pipelines.steps.kernel import KernelParams
from pipelines.steps.measure import force_photometry, measure_dia_sources, measure_sources
from pipelines.steps.overscan import assemble_detector, subtract_overscan
from pipelines.steps.peaks import find_peaks, score_image
from pipelines.steps.pointsource import fit_sources, weights
from pipelines.steps.psf import fit_psf
from pipelines.steps.refcat import tycho2
from pipelines.steps.subtract import SubtractParams, subtract
from pipelines.steps.variance import scale_variance, to_electrons
from pipelines.steps.warp import warp
from pipelines.steps.wcs import WcsParams, fit_wcs, solve_blind
from pipelines.steps.zeropoint import fit_zeropoint
from tests.pipelines.shared_data import SHARED, needs_astrometry_net, needs_data

pytestmark = [needs_data("hatp32_microobservatory"), needs_astrometry_net]
FRAMES = SHARED / "hatp32_microobservatory"
CAMERA = instrument("microobservatory")
HATP32 = 31.0428, 46.6878


def calibrated(name):
    detector = CAMERA.detector(0)
    segments = [
        subtract_overscan(segment, amplifier, detector.saturation, detector.pedestal)
        for segment, amplifier in zip(read_raw(FRAMES / name, CAMERA), detector.amplifiers, strict=True)
    ]
    exposure = to_electrons(assemble_detector(segments, detector), detector)
    exposure, _ = subtract_background(exposure)
    exposure, _ = scale_variance(exposure)
    found = detect(exposure, fwhm=2.5)
    exposure, _ = fit_psf(exposure, found)
    fitted = fit_sources(exposure.pixels.image, weights(exposure.pixels), exposure.psf, found["x"], found["y"])
    x, y = (np.where(np.isfinite(fitted[c]), fitted[c], found[c]) for c in "xy")
    boresight = exposure.observation.boresight
    guess = solve_blind(found["x"], found["y"], found["flux"], exposure.shape, CAMERA.pixel_scale, boresight)
    stars = tycho2(*guess.sky(325, 250), radius_deg=0.7)
    exposure, report = fit_wcs(exposure, x, y, stars, guess, WcsParams(radius_arcsec=15))
    detected, referenced = report["detected"], report["referenced"]
    flux, error = fitted["flux"][detected], np.sqrt(fitted["var_flux"][detected])
    exposure, _ = fit_zeropoint(exposure, flux, error, stars["magnitude"][referenced])
    return exposure, found, report


@pytest.fixture(scope="module")
def science():
    return calibrated("HATP-32171220043312.FITS.gz")


@pytest.fixture(scope="module")
def template():
    return calibrated("HATP-32171220043612.FITS.gz")


def test_blind_wcs_fits_tycho_within_a_fifth_of_a_pixel(science):
    _, _, report = science
    assert report["n_stars"] >= 25
    assert max(report["rms_east"], report["rms_north"]) < 0.2 * CAMERA.pixel_scale


def test_zeropoint_repeats_between_frames(science, template):
    assert science[0].photo_calib.zeropoint == pytest.approx(template[0].photo_calib.zeropoint, abs=0.1)


def test_the_target_has_its_catalogue_magnitude(science):
    rows, _ = force_photometry(science[0], *[np.array([v]) for v in HATP32])
    assert 31.4 - 2.5 * np.log10(rows["psf_flux"][0]) == pytest.approx(11.4, abs=0.3)  # V_T 11.48


def test_sources_are_measured_on_the_sky(science):
    exposure, found, _ = science
    rows = measure_sources(exposure, found)
    assert len(rows) > 400
    near = np.hypot((rows["ra"] - HATP32[0]) * np.cos(np.radians(46.7)), rows["dec"] - HATP32[1]) * 3600
    assert near.min() < 1.5


def test_the_difference_has_no_stars_left(science, template):
    (exposure, found, _), (other, _, _) = science, template
    registered = warp(other, exposure.wcs, exposure.shape)
    registered, _ = fit_psf(registered, detect(registered, fwhm=2.5))
    params = SubtractParams(KernelParams(half=7, widths=0, stamp_half=7, sigmas=(0.7, 1.5, 2.5), degrees=(4, 3, 2)))
    difference, kernel, _ = subtract(exposure, registered, found["x"], found["y"], found["flux"], params)
    difference = decorrelate(difference, kernel, exposure, registered)
    peaks = find_peaks(score_image(difference), threshold=20)
    rows = measure_dia_sources(difference, exposure, registered, peaks)
    bright = np.sum(found["clean"] & (found["snr"] > 40))
    clean = ~(rows["pixel_flag_saturated"] | rows["pixel_flag_edge"])
    assert bright > 40
    assert clean.sum() < bright


def test_injected_transients_survive_and_little_else(science, template):
    found = trial(science[0], template[0], parameters(CAMERA), np.full(40, 12.0), np.array([HATP32]),
                  np.random.default_rng(1))  # fmt: skip
    transients, kept, others = found.kept()
    assert transients > 30
    assert kept > 0.8 * transients  # frames without a dark, one the template; of a coadd 97 % at SNR 8
    assert others < 0.5 * np.sum(found.label == FALSE)
    assert found.flagged < 0.1
