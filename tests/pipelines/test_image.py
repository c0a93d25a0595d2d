import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.image import (
    Exposure,
    MaskedImage,
    Observation,
    PhotoCalib,
    Psf,
    VaryingImage,
    Wcs,
    assemble,
    bits,
    read_exposure,
    write_exposure,
)
from pipelines.image.files import DamagedFile, exposure_bytes
from pipelines.image.psf import oversampling_for
from pipelines.image.varying import polynomial, surface

OBSERVATION = Observation("simulated", 3, 1, "calibrated", "r", 60000.5, 30.0, sequence=7, boresight=(10.0, -5.0))


def gaussian_planes(sigma, half, slope=0.0):
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    stamp = np.exp(-(u**2 + v**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return np.stack([stamp, slope * stamp * u, np.zeros_like(stamp)])


@pytest.fixture
def exposure():
    rng = np.random.default_rng(5)
    pixels = MaskedImage.from_image(rng.normal(0, 10, (60, 80)).astype(np.float32), variance=100.0)
    return Exposure(
        pixels.with_flag(pixels.image > 25, "CR"),
        OBSERVATION,
        wcs=Wcs.tangent(10, -5, 40, 30, np.diag([-0.2, 0.2]) / 3600),
        psf=Psf(VaryingImage(gaussian_planes(1.5, 8), (60, 80))),
        photo_calib=PhotoCalib.from_zeropoint(27.0, 0.01),
        aperture_corrections={5.0: 0.93},
        valid_polygon=np.array([[0, 0], [80, 0], [80, 60]], float),
        provenance=("made: by a test",),
    )


def test_mask_planes_are_named_statements():
    pixels = MaskedImage.from_image(np.zeros((3, 4))).with_flag(np.eye(3, 4, dtype=bool), "SAT")
    assert pixels.flagged("SAT").sum() == 3
    assert not pixels.flagged("CR").any()
    assert pixels.with_flag(np.eye(3, 4, dtype=bool), "CR").mask[0, 0] == bits("SAT", "CR")


def test_a_segment_knows_its_place_and_is_assembled_back():
    whole = MaskedImage.from_image(np.arange(48, dtype=np.float32).reshape(6, 8), 2.0)
    halves = [whole.segment((0, 4, 0, 6)), whole.segment((4, 8, 0, 6))]
    np.testing.assert_array_equal(assemble(halves, (6, 8)).image, whole.image)
    assert assemble(halves[:1], (6, 8)).flagged("NO_DATA").sum() == 24


def test_exposures_are_immutable(exposure):
    changed = exposure.with_("step: changed", photo_calib=None)
    assert exposure.photo_calib is not None
    assert changed.provenance == ("made: by a test", "step: changed")
    with pytest.raises(AttributeError):
        exposure.photo_calib = None


def test_fits_round_trip_is_exact_without_compression(exposure, tmp_path):
    write_exposure(exposure, tmp_path / "e.fits", compress=False)
    back = read_exposure(tmp_path / "e.fits")
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(back.pixels, plane), getattr(exposure.pixels, plane))
    assert back.observation == exposure.observation
    assert back.photo_calib == exposure.photo_calib
    assert back.aperture_corrections == exposure.aperture_corrections
    assert back.provenance == exposure.provenance
    np.testing.assert_allclose(back.psf.model.planes, exposure.psf.model.planes)
    np.testing.assert_allclose(back.wcs.sky(3, 4), exposure.wcs.sky(3, 4))
    np.testing.assert_array_equal(back.valid_polygon, exposure.valid_polygon)


def test_compression_costs_a_small_part_of_the_noise(exposure, tmp_path):
    write_exposure(exposure, tmp_path / "e.fits")
    back = read_exposure(tmp_path / "e.fits")
    assert np.abs(back.pixels.image - exposure.pixels.image).max() < 10 / 16
    np.testing.assert_array_equal(back.pixels.mask, exposure.pixels.mask)


def test_the_same_exposure_gives_the_same_bytes(exposure):
    assert exposure_bytes(exposure) == exposure_bytes(exposure)


def test_a_truncated_file_is_refused_with_a_remedy(exposure, tmp_path):
    (tmp_path / "half.fits").write_bytes(exposure_bytes(exposure)[:9000])
    with pytest.raises(DamagedFile, match="no readable exposure.*Remedy: fetch the file again"):
        read_exposure(tmp_path / "half.fits")


@given(st.floats(-20, 60), st.floats(-20, 60))
def test_pixel_and_sky_are_inverse(x, y):
    wcs = Wcs.tangent(359.99, 60, 40, 30, np.diag([-0.2, 0.2]) / 3600)
    np.testing.assert_allclose(wcs.pixel(*wcs.sky(x, y)), (x, y), atol=1e-6)


def test_jacobian_is_in_arcsec_east_and_north():
    wcs = Wcs.tangent(359.9999, 60, 40, 30, np.diag([-0.2, 0.2]) / 3600)
    np.testing.assert_allclose(wcs.jacobian(40.0, 30.0), [[-0.2, 0], [0, 0.2]], atol=1e-7)


def test_varying_convolution_equals_the_sum_over_pixels():
    rng = np.random.default_rng(1)
    kernel = VaryingImage(rng.normal(size=(6, 5, 5)), (20, 24))
    image = rng.normal(size=(20, 24)).astype(np.float32)
    padded = np.pad(image, 2)
    fast = kernel.convolve(image)
    for y, x in [(0, 0), (3, 17), (19, 23), (10, 10)]:
        slow = np.sum(kernel.at(x, y)[::-1, ::-1] * padded[y : y + 5, x : x + 5])
        assert fast[y, x] == pytest.approx(slow, abs=2e-5)


def test_interpolated_varying_image_reproduces_a_polynomial():
    truth = VaryingImage(np.random.default_rng(2).normal(size=(6, 3, 3)), (50, 40))
    fitted = VaryingImage.interpolate(truth.at, (50, 40), 2)
    np.testing.assert_allclose(fitted.planes, truth.planes, atol=1e-9)


def test_surface_equals_the_polynomial_at_each_pixel():
    coefficients = np.array([1.0, -2.0, 0.5, 3.0, 0.1, -0.7])
    y, x = np.mgrid[0:7, 0:9]
    expected = np.tensordot(coefficients, polynomial(x, y, (7, 9), 2), axes=1)
    np.testing.assert_allclose(surface(coefficients, (7, 9)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sigma", [1.3, 2.0, 3.5])
def test_a_shifted_psf_agrees_with_the_shifted_gaussian(sigma):
    oversampling, half = oversampling_for(2.3548 * sigma), 14
    grid = gaussian_planes(sigma * oversampling, half * oversampling)
    grid[0] *= oversampling**2
    psf = Psf(VaryingImage(grid, (64, 64)), oversampling)
    v, u = np.mgrid[-7:8, -7:8]
    expected = np.exp(-((u - 0.3) ** 2 + (v + 0.45) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    np.testing.assert_allclose(psf.at(20.3, 29.55, 15), expected, atol=2e-4 * expected.max())


def test_the_mean_of_psfs_is_that_of_their_stars():
    psfs, weights = [], (3.0, 1.0)
    for sigma, oversampling in ((1.2, 2), (2.0, 1)):
        samples = oversampling**2 * gaussian_planes(sigma * oversampling, 14 * oversampling)
        psfs.append(Psf(VaryingImage(samples, (64, 64)), oversampling))
    expected = sum(w / 4 * psf.at(20.3, 29.55, 15) for w, psf in zip(weights, psfs, strict=True))
    np.testing.assert_allclose(Psf.mean(psfs, weights).at(20.3, 29.55, 15), expected, atol=5e-4 * expected.max())


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_the_psf_is_nan_where_there_is_no_place(slope):
    psf = Psf(VaryingImage(gaussian_planes(1.5, 10, slope), (64, 64)))
    stamps = psf.stamps([np.nan, 20.0, np.inf, 20.0], [30.0, 30.0, 30.0, np.nan])
    assert np.isnan(stamps[[0, 2, 3]]).all()
    assert np.isfinite(stamps[1]).all()


def test_fwhm_of_a_gaussian_psf():
    psf = Psf(VaryingImage(gaussian_planes(1.5, 10), (64, 64)))
    assert psf.fwhm(32, 32) == pytest.approx(2.3548 * 1.5, rel=1e-3)


def test_the_same_exposure_has_the_same_bytes_at_any_time(exposure, monkeypatch):
    before = exposure_bytes(exposure)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert exposure_bytes(exposure) == before
