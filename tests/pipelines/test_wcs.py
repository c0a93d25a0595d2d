from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from pipelines.image import Exposure, MaskedImage, Observation, Wcs
from pipelines.steps.refcat import NoReference, reference, tycho2
from pipelines.steps.wcs import NoWcs, WcsParams, fit_wcs, gnomonic, inverse_gnomonic, match, solve_blind
from pipelines.steps.zeropoint import NoZeropoint, fit_zeropoint
from tests.pipelines.shared_data import SHARED, needs_astrometry_net, needs_data

SHAPE = (4096, 4096)
OBSERVATION = Observation("simulated", 0, 1, "calibrated", "r", 60000.0, 30.0)
EXPOSURE = Exposure(
    MaskedImage.from_image(np.zeros((4, 4))).with_(image=np.broadcast_to(np.float32(0), SHAPE)), OBSERVATION
)


def distorted_sky(x, y):
    """A telescope's sky: 0.2 arcsec pixels, turned, with a radial distortion of 2 pixels at the corner."""
    u, v = (x - 2047.5) / 2048, (y - 2047.5) / 2048
    stretch = 1 + 5e-4 * (u * u + v * v)
    east, north = -0.1138 * stretch * (u + 0.02 * v), 0.1138 * stretch * (v - 0.02 * u)
    return inverse_gnomonic(east, north, 150.0, 60.0)


@pytest.fixture(scope="module")
def field():
    rng = np.random.default_rng(21)
    x, y = rng.uniform(0, 4095, (2, 800))
    ra, dec = distorted_sky(x, y)
    error = 0.002 + 0.02 * rng.random(800)  # arcsec
    measured = [p + rng.normal(0, error / 0.2) for p in (x, y)]
    known = rng.permutation(800)[:500]
    stars = reference(ra[known], dec[known], np.full(500, 18.0))
    # 300 detections have no reference, and 50 references no detection.
    extra = reference(*distorted_sky(*rng.uniform(0, 4095, (2, 50))), np.full(50, 18.0))
    return SimpleNamespace(x=measured[0], y=measured[1], error=error, stars=np.append(stars, extra))


@given(st.floats(0, 360), st.floats(-89, 89), st.floats(-1, 1), st.floats(-1, 1))
def test_gnomonic_projection_and_its_inverse(ra0, dec0, east, north):
    back = gnomonic(*inverse_gnomonic(east, north, ra0, dec0), ra0, dec0)
    np.testing.assert_allclose(back, (east, north), atol=1e-9)


def test_a_distorted_field_is_fitted_to_milliarcsec(field):
    guess = Wcs.tangent(150.0, 60.0, 2047.5, 2047.5, np.diag([-0.2, 0.2]) / 3600)
    exposure, report = fit_wcs(
        EXPOSURE, field.x, field.y, field.stars, guess, WcsParams(radius_arcsec=20), error=field.error
    )
    assert report["n_stars"] > 450
    x, y = np.random.default_rng(1).uniform(0, 4095, (2, 100))
    true, fitted = distorted_sky(x, y), exposure.wcs.sky(x, y)
    offset = 3600 * gnomonic(*fitted, *true)
    assert np.sqrt(np.mean(offset**2)) < 0.002
    np.testing.assert_allclose(exposure.wcs.pixel(*fitted), (x, y), atol=1e-4)


def test_astropy_alone_reads_the_fitted_wcs(field):
    guess = Wcs.tangent(150.0, 60.0, 2047.5, 2047.5, np.diag([-0.2, 0.2]) / 3600)
    exposure, _ = fit_wcs(EXPOSURE, field.x, field.y, field.stars, guess, WcsParams(radius_arcsec=20))
    header = fits.Header.fromstring(exposure.wcs.header.tostring())
    assert header["CTYPE1"] == "RA---TAN-SIP"
    np.testing.assert_allclose(WCS(header).all_pix2world(100, 200, 0), exposure.wcs.sky(100, 200), rtol=1e-12)


def test_matching_pairs_each_star_once():
    wcs = Wcs.tangent(10, 0, 0, 0, np.diag([-1, 1]) / 3600)
    stars = reference(*wcs.sky(np.array([0.0, 50.0]), np.array([0.0, 0.0])), np.zeros(2))
    detected, referenced = match(np.array([0.4, 0.1, 70.0]), np.zeros(3), stars, wcs, 2.0)
    assert detected.tolist() == [1]
    assert referenced.tolist() == [0]


def test_no_reference_stars_are_a_stated_condition():
    guess = Wcs.tangent(150.0, 60.0, 2047.5, 2047.5, np.diag([-0.2, 0.2]) / 3600)
    with pytest.raises(NoWcs, match="matched 0 of 10 detections with 0 reference stars.*Remedy: check the pointing"):
        fit_wcs(EXPOSURE, np.arange(10.0), np.arange(10.0), reference([], [], []), guess)


@needs_astrometry_net
def test_a_field_that_cannot_be_solved_is_a_stated_condition():
    x, y = np.random.default_rng(2).uniform(0, 400, (2, 4))
    with pytest.raises(NoWcs, match="found no WCS for 4 detections.*Remedy: check the pixel scale"):
        solve_blind(x, y, np.ones(4), (400, 400), 5.0, (10.0, 10.0))


def test_a_missing_reference_catalogue_names_the_package(tmp_path):
    with pytest.raises(NoReference, match="Remedy: apt-get install astrometry.net"):
        tycho2(10, 10, 0.1, index=tmp_path / "absent.fits")


def test_the_zeropoint_is_recovered_though_a_star_varies():
    rng = np.random.default_rng(3)
    magnitude = rng.uniform(15, 20, 60)
    flux = 10 ** ((27.5 - magnitude) / 2.5) * (1 + 0.01 * rng.normal(size=60))
    flux[7] *= 2
    exposure, report = fit_zeropoint(EXPOSURE, flux, 0.002 * flux, magnitude)
    assert report["zeropoint"] == pytest.approx(27.5, abs=3 * report["zeropoint_err"])
    assert report["zeropoint_err"] < 0.003
    assert exposure.photo_calib.nanojansky_per_count == pytest.approx(10 ** ((31.4 - 27.5) / 2.5), rel=0.01)


def test_a_zeropoint_needs_reference_stars():
    with pytest.raises(NoZeropoint, match="got 0 reference stars above SNR 5; it needs 3"):
        fit_zeropoint(EXPOSURE, np.array([1.0]), np.array([1.0]), np.array([20.0]))


@needs_data("hsc_visit1180_gaia")
@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"])
def test_a_real_focal_plane_fits_gaia(step):
    """CCDs whose first guess has no distortion and is off by up to 4 arcsec at the field's edge; -s prints each."""
    folder = SHARED / "hsc_visit1180_gaia"
    gaia = pd.read_parquet(folder / "gaia_refCat.parquet").dropna(subset=["coord_ra"])
    years = (56744.29 - gaia["epoch"].iloc[0]) / 365.25
    moved = np.degrees([
        gaia["coord_ra"] + years * gaia["pm_ra"].fillna(0) / np.cos(gaia["coord_dec"]),
        gaia["coord_dec"] + years * gaia["pm_dec"].fillna(0),
    ])  # fmt: skip
    stars = reference(*moved, gaia["phot_g_mean_flux"].to_numpy())
    rms = []
    for path in sorted(folder.glob("1180_*.fits"))[::step]:
        with fits.open(path) as hdus:
            table, guess = hdus[1].data, Wcs.from_header(hdus[0].header)
        ccd = EXPOSURE.with_(pixels=MaskedImage.from_image(np.zeros((4176, 2048))))
        x, y = (np.asarray(table[c], float) for c in "xy")
        _, report = fit_wcs(ccd, x, y, stars, guess, WcsParams(degree=2, radius_arcsec=4.0))
        rms.append([report["rms_east"], report["rms_north"]])
        print(f"{path.stem}: {report['n_stars']} stars, rms {1000 * rms[-1][0]:.1f} x {1000 * rms[-1][1]:.1f} mas")
    assert np.median(rms, axis=0) == pytest.approx([0.022, 0.014], abs=0.008)
    assert np.max(rms) < 0.06
