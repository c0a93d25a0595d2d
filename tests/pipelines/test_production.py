"""One detector of the simulated camera from raw Snaps to DiaSources; and what bad input comes to."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from scipy.spatial import cKDTree

from pipelines.image.files import DamagedFile
from pipelines.image.masked import grow
from pipelines.instruments import instrument
from pipelines.productions.detector import calibrate_snaps, difference, parameters
from pipelines.productions.signature import make_masters
from pipelines.simulate import frames
from pipelines.simulate.exposures import conditions, template
from pipelines.simulate.visits import TRANSIENT_KIND, bodies, make_visit, true_wcs
from pipelines.steps.acquire import WrongHeader
from pipelines.steps.background import NoSky
from pipelines.steps.conditions import BadInput
from pipelines.steps.measure import measure_snaps
from pipelines.steps.psf import TooFewStars
from pipelines.steps.refcat import NoReference
from pipelines.steps.snaps import MissingSnap
from pipelines.steps.warp import NoCover
from pipelines.steps.wcs import NoWcs

CAMERA = instrument("simcam_1k")
PARAMS = parameters(CAMERA)


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    folder = tmp_path_factory.mktemp("field")
    scene, visit, reference = conditions(
        frames.scene_parameters(CAMERA, seed=7, transients=800, completeness=True), fwhm=3.9, ratio=1.15
    )
    raws = frames.write_visit(folder, scene, visit, CAMERA, streams=("corrected",))
    masters = make_masters(frames.write_calibrations(folder, CAMERA), CAMERA, 0)
    known = frames.reference_stars(scene)
    sky, truth = template(scene, reference)
    return SimpleNamespace(
        folder=folder, scene=scene, visit=visit, raws=raws, masters=masters, stars=lambda *_: known, template=sky,
        template_psf=truth.seeing,
    )


@pytest.fixture(scope="module")
def night(field):
    exposure, found, apart = calibrate_snaps(field.raws, CAMERA, 0, field.masters, field.stars)
    result, rows, _ = difference(exposure, found, field.template, PARAMS)
    return SimpleNamespace(exposure=exposure, found=found, apart=apart, result=result, rows=rows)


def test_the_wcs_is_good_to_five_milliarcsec(field, night):
    truth = true_wcs(field.scene.parameters, field.visit)
    x, y = np.meshgrid(*[np.linspace(30, 990, 9)] * 2)
    ra, dec = night.exposure.wcs.sky(x, y)
    at_x, at_y = truth.pixel(ra, dec)
    shift = 0.5 * field.visit.snap_shift  # of the Snaps' mean
    assert 200 * np.std([at_x - x, at_y - y]) < 5
    np.testing.assert_allclose([np.mean(x - at_x), np.mean(y - at_y)], shift, atol=0.025)


def test_the_zeropoint_is_that_of_the_scene(field, night):
    zeropoint = field.visit.zeropoint + 2.5 * np.log10(2)
    assert night.exposure.photo_calib.zeropoint == pytest.approx(zeropoint, abs=0.012)  # 5 mmag lie beyond the PSF


def test_bright_transients_are_found_and_the_snaps_have_their_mean(field, night):
    every = bodies(field.scene, field.visit)
    true = every[every["kind"] == TRANSIENT_KIND]
    snr = field.scene.transients["snr"][true["index"]]
    column, row = np.rint(true["x"]).astype(int).clip(0, 1023), np.rint(true["y"]).astype(int).clip(0, 1023)
    inside = np.all([(true[c] > 25) & (true[c] < 999) for c in "xy"], axis=0)
    spoilt = grow(night.result.pixels.unusable, 4.0)
    use = inside & (snr > 9) & ~spoilt[row, column]
    places = np.stack([night.rows["x"], night.rows["y"]], axis=1)
    distance, index = cKDTree(places).query(np.stack([true["x"], true["y"]], axis=1)[use])
    assert np.mean(distance < 2) > 0.97
    first, second = measure_snaps(night.rows, night.apart)
    np.testing.assert_allclose((first["psf_flux"] + second["psf_flux"]) / 2, night.rows["psf_flux"], rtol=1e-3)


def run(field, **changes):
    options = {"raws": field.raws, "camera": CAMERA, "number": 0, "reference": field.stars,
               "masters": field.masters} | changes  # fmt: skip
    return calibrate_snaps(**options)


def changed(field, name, change):
    """Write the first Snap again, its HDUs changed; return it with the second."""
    path = field.folder / f"{name}.fits"
    with fits.open(field.raws[0]) as hdus:
        change(hdus)
        hdus.writeto(path, overwrite=True)
    return [path, field.raws[1]]


def fill(value):
    def change(hdus):
        for hdu in hdus[1:]:
            hdu.data[:] = value

    return change


def test_a_truncated_file_is_a_stated_condition(field):
    path = field.folder / "short.fits"
    path.write_bytes(field.raws[0].read_bytes()[:100_000])
    with pytest.raises(DamagedFile, match="short.fits.*Remedy: fetch the file again"):
        run(field, raws=[path, field.raws[1]])


def test_a_corrupt_file_is_a_stated_condition(field):
    path = field.folder / "noise.fits"
    path.write_bytes(np.random.default_rng(1).bytes(20_000))
    with pytest.raises(DamagedFile, match="noise.fits"):
        run(field, raws=[path, path])


def test_a_wrong_header_is_a_stated_condition(field):
    with pytest.raises(WrongHeader, match="lacks or garbles.*DATE-OBS"):
        run(field, raws=changed(field, "header", lambda hdus: hdus[0].header.remove("DATE-OBS")))


def test_a_snap_of_another_band_is_a_stated_condition(field):
    def blue(hdus):
        hdus[0].header["FILTER"] = "g"

    with pytest.raises(BadInput) as caught:
        run(field, raws=changed(field, "blue", blue)[::-1])
    assert caught.value.condition in {"missing_snap", "wrong_calibration"}


def test_no_snap_is_a_stated_condition(field):
    with pytest.raises(MissingSnap, match="got 0 Snaps"):
        run(field, raws=[])


@pytest.mark.parametrize(("level", "error"), [(65535, NoSky), (0, BadInput)])
def test_a_saturated_or_an_empty_image_is_a_stated_condition(field, level, error):
    with pytest.raises(error) as caught:
        run(field, raws=changed(field, f"level{level}", fill(level))[:1] * 2)
    assert caught.value.condition in {"no_usable_pixels", "too_few_stars"}


def test_no_stars_are_a_stated_condition(field):
    rng = np.random.default_rng(2)

    def starless(hdus):
        for hdu in hdus[1:]:
            hdu.data[:] = rng.normal(2000, 15, hdu.data.shape)

    with pytest.raises(TooFewStars, match="clean stars above SNR"):
        run(field, raws=changed(field, "starless", starless)[:1] * 2)


def test_no_reference_stars_are_a_stated_condition(field):
    def nothing(*_):
        raise NoReference("no stars here", "import a reference catalogue")

    with pytest.raises(NoReference):
        run(field, reference=nothing)
    elsewhere = frames.reference_stars(field.scene)
    elsewhere["ra"] += 5
    with pytest.raises(NoWcs, match="fit_wcs matched"):
        run(field, reference=lambda *_: elsewhere)


def test_clouds_of_two_magnitudes_shift_the_zeropoint_only(field):
    visit = make_visit(field.scene, 0, fwhm=3.9, transparency=10**-0.8)
    raws = frames.write_visit(field.folder / "clouds", field.scene, visit, CAMERA, streams=("corrected",))
    exposure, _, _ = run(field, raws=raws)
    assert exposure.photo_calib.zeropoint == pytest.approx(visit.zeropoint + 2.5 * np.log10(2), abs=0.1)


def test_a_template_of_another_field_is_a_stated_condition(field, night):
    away = field.template.with_(wcs=field.template.wcs.shifted(3000, 0))
    with pytest.raises(NoCover, match="the template covers .* % of the exposure"):
        difference(night.exposure, night.found, away, PARAMS)
