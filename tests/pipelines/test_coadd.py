import shutil
import subprocess

import numpy as np
import pytest
import sep
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from pipelines.image import Exposure, MaskedImage, Observation, PhotoCalib, Psf, VaryingImage, Wcs
from pipelines.image.interpolation import lanczos, taps
from pipelines.image.masked import grow
from pipelines.simulate.scene import SceneParameters, make_scene
from pipelines.simulate.visits import make_visit, true_wcs
from pipelines.steps.background import subtract_background
from pipelines.steps.coadd import CoaddParams, NoInputs, coadd
from pipelines.steps.detect import detect, footprints
from pipelines.steps.patches import COLUMNS, RINGS, columns_of, patch, patch_at, patches_touched
from pipelines.steps.pointsource import forced_flux, weights
from pipelines.steps.psf import fit_psf
from pipelines.steps.warp import grid, noise_correlation, warp, warp_pixels
from tests.pipelines import scene

SIZE = (512, 512)
EPOCHS = 12


@pytest.fixture(scope="module")
def stack():
    """Twelve epochs of changing seeing and pointing; 30 transients are there in the first three."""
    rng = np.random.default_rng(31)
    stars = scene.stars(rng, SIZE, 400, brightest=5e5)
    transients = np.zeros(30, scene.TRUTH)
    transients["x"], transients["y"] = rng.uniform(40, 470, (2, 30))
    transients["flux"] = rng.uniform(12, 40, 30) * 220
    transients["ra"], transients["dec"] = scene.wcs(SIZE).sky(transients["x"], transients["y"])
    warps = []
    for epoch in range(EPOCHS):
        pointing = scene.wcs(SIZE, *rng.uniform(-4, 4, 2), rotation=rng.uniform(-0.003, 0.003))
        truth = np.append(stars, transients) if epoch < 3 else stars
        seeing = scene.Seeing(rng.uniform(3.6, 4.6), e1=rng.uniform(-0.04, 0.04))
        exposure = scene.observe(truth, seeing, pointing, rng, (540, 540))
        exposure, _ = fit_psf(exposure, detect(exposure, 4.0))
        factor = rng.uniform(0.7, 1.3)  # another transparency
        exposure = exposure.with_image(
            exposure.pixels.image * np.float32(factor), variance=exposure.pixels.variance * np.float32(factor**2)
        )
        calib = PhotoCalib(exposure.photo_calib.nanojansky_per_count / factor)
        warps.append(warp(exposure.with_(photo_calib=calib), scene.wcs(SIZE), SIZE).with_(psf=exposure.psf))
    return stars, transients, warps, *coadd(warps)


def test_transients_leave_no_trace(stack):
    _, transients, _, whole, _ = stack
    pixels = whole.pixels
    flux, error = forced_flux(pixels.image, weights(pixels), whole.psf, transients["x"], transients["y"])
    assert np.mean(flux / error) < 3
    assert np.median(np.abs(flux / error)) < 3


def test_a_transient_beside_its_host_is_left_out_of_the_finest_input_too():
    rng = np.random.default_rng(3)
    stars = scene.stars(rng, SIZE, 300, brightest=3e5)
    amid = np.all([(stars[axis] > 40) & (stars[axis] < 470) for axis in "xy"], axis=0)
    new = stars[amid & (stars["flux"] > 1.5e4) & (stars["flux"] < 1e5)]
    new["x"] += 3
    new["flux"] *= 0.7
    new["ra"], new["dec"] = scene.wcs(SIZE).sky(new["x"], new["y"])
    warps = []
    for fwhm, truth in ((3.6, np.append(stars, new)), *[(5.4, stars)] * 3):
        exposure = scene.observe(truth, scene.Seeing(fwhm), scene.wcs(SIZE), rng, SIZE)
        warps.append(fit_psf(exposure, detect(exposure, 4.0))[0])
    x, y = (np.rint(new[axis]).astype(int) for axis in "xy")
    assert new.size > 5
    assert not np.any(coadd(warps)[1][y, x] & 1)


def test_depth_grows_with_the_root_of_the_inputs(stack):
    stars, _, warps, whole, inputs = stack
    near = np.zeros(SIZE, bool)
    inside = np.all([(stars[c] > 0) & (stars[c] < 511) for c in "xy"], axis=0)
    near[np.rint(stars["y"][inside]).astype(int), np.rint(stars["x"][inside]).astype(int)] = True
    blank = ~grow(near, 12.0) & (inputs == 2**EPOCHS - 1)
    assert np.mean(inputs == 2**EPOCHS - 1) > 0.85  # the pointings shift
    scale = [w.photo_calib.nanojansky_per_count / whole.photo_calib.nanojansky_per_count for w in warps]
    ideal = np.sum([1 / (s**2 * np.median(w.pixels.variance)) for w, s in zip(warps, scale, strict=True)]) ** -0.5
    values = whole.pixels.image[blank]
    scatter = 1.4826 * np.median(np.abs(values - np.median(values)))
    assert scatter == pytest.approx(ideal, rel=0.03)


def test_stars_keep_their_flux(stack):
    stars, _, warps, whole, _ = stack
    inside = np.all([(stars[c] > 30) & (stars[c] < 480) for c in "xy"], axis=0) & (stars["flux"] > 5e4)
    x, y = stars["x"][inside], stars["y"][inside]
    nanojansky = stars["flux"][inside] * PhotoCalib.from_zeropoint(30).nanojansky_per_count
    aperture = sep.sum_circle(whole.pixels.image, x, y, 10.0)[0] * whole.photo_calib.nanojansky_per_count
    assert np.median(aperture / nanojansky) == pytest.approx(0.9902, abs=0.003)  # 1 % lies outside
    fluxes = [
        forced_flux(e.pixels.image, weights(e.pixels), e.psf, x, y)[0] * e.photo_calib.nanojansky_per_count
        for e in (whole, *warps)
    ]
    ratio = fluxes[0] / np.nanmean(fluxes[1:], axis=0)
    assert np.median(ratio) == pytest.approx(1, abs=0.0015)
    assert np.std(ratio) < 0.002


def test_bright_stars_are_in_nearly_all_inputs(stack):
    stars, _, _, _, inputs = stack
    inside = np.all([(stars[c] > 30) & (stars[c] < 480) for c in "xy"], axis=0) & (stars["flux"] > 5e4)
    there = inputs[np.rint(stars["y"][inside]).astype(int), np.rint(stars["x"][inside]).astype(int)]
    assert min(int(bits).bit_count() for bits in there) >= EPOCHS - 2


def test_the_coadd_remembers_its_inputs(stack):
    _, transients, _, whole, inputs = stack
    assert sum(line.startswith("coadd: input") for line in whole.provenance) == EPOCHS
    x, y = (np.rint(transients[c]).astype(int) for c in "xy")
    assert np.mean((inputs[y, x] & 0b111) == 0) > 0.9
    assert whole.pixels.flagged("INEXACT_PSF")[y, x].mean() > 0.9


def part_of(warp, box):
    x_lo, _, y_lo, _ = box
    psf = Psf(warp.psf.model.cut(box), warp.psf.oversampling)
    return warp.with_(pixels=warp.pixels.segment(box), wcs=warp.wcs.shifted(-x_lo, -y_lo), psf=psf)


def test_inputs_that_hold_their_part_alone_make_the_same_coadd(stack):
    _, _, warps, *_ = stack
    warps = warps[3:]  # which have no transients
    boxes = [(0, 300, 0, 512)] * 2 + [(230, 512, 60, 512)] * 2
    whole = []
    for each, (x_lo, x_hi, y_lo, y_hi) in zip(warps, boxes, strict=False):
        outside = np.ones(SIZE, bool)
        outside[y_lo:y_hi, x_lo:x_hi] = False
        whole.append(each.with_(pixels=each.pixels.with_flag(outside, "NO_DATA")))
    parts = [part_of(each, box) for each, box in zip(warps, boxes, strict=False)]
    unsearched = CoaddParams(min_inputs=7)
    expected, inputs = coadd(whole, unsearched)
    found, there = coadd(parts, unsearched, SIZE)
    np.testing.assert_array_equal(there, inputs)
    np.testing.assert_allclose(found.pixels.image, expected.pixels.image, rtol=1e-6)
    np.testing.assert_allclose(found.wcs.sky(400, 300), expected.wcs.sky(400, 300), atol=1e-10)
    assert np.mean(coadd(parts, None, SIZE)[1] == inputs) > 0.97  # nothing is there to be left out


def test_the_sky_is_not_drawn_up_by_stars_and_a_coadd_no_deeper_for_it(stack):
    stars, *_ = stack
    rng, errors = np.random.default_rng(7), {"seen": [], "hidden": []}
    for _ in range(4):
        exposure = scene.observe(stars, scene.Seeing(4.0), scene.wcs(SIZE), rng, SIZE)
        first, sky = subtract_background(exposure)
        errors["seen"].append(sky)
        errors["hidden"].append(subtract_background(exposure, 128, grow(footprints(first, 4.0), 3.0))[1])
    seen, hidden = (np.mean(errors[name], axis=0) for name in ("seen", "hidden"))
    assert np.std(hidden) < 0.5 * np.std(seen)
    assert np.abs(np.mean(hidden)) < 0.5 * np.mean(seen)


def test_a_coadd_of_nothing_is_a_stated_condition():
    with pytest.raises(NoInputs, match="coadd got no exposures; it needs one"):
        coadd([])


def gaussian_exposure(flux=1e5, sigma=2.0):
    v, u = np.mgrid[0:101, 0:101]
    image = flux * np.exp(-((u - 50.3) ** 2 + (v - 49.8) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    stamp = np.exp(-(np.mgrid[-9:10, -9:10] ** 2).sum(axis=0) / (2 * sigma**2))[None]
    pixels = MaskedImage.from_image(image.astype(np.float32), 1.0)
    return Exposure(
        pixels, Observation("simulated", 0, 1, "calibrated", "r", 60000.0, 30.0),
        wcs=Wcs.tangent(30, -20, 50, 50, np.diag([-0.2, 0.2]) / 3600),
        psf=Psf(VaryingImage(stamp / stamp.sum(), (101, 101))),
    )  # fmt: skip


@pytest.mark.parametrize("scale", [0.2, 0.17])
def test_warping_conserves_flux_and_place(scale):
    target = Wcs.tangent(30, -20, 61.37, 58.81, scale * np.array([[-0.8, 0.6], [0.6, 0.8]]) / 3600)
    warped = warp(gaussian_exposure(), target, (130, 130))
    image = np.where(warped.pixels.unusable, 0, warped.pixels.image)
    assert image.sum() == pytest.approx(1e5, rel=1e-3)
    rows, columns = np.indices(image.shape)
    place = np.array([(columns * image).sum(), (rows * image).sum()]) / image.sum()
    expected = target.pixel(*gaussian_exposure().wcs.sky(50.3, 49.8))
    np.testing.assert_allclose(place, expected, atol=2e-3)


def test_distortion_leaves_the_flux_of_stars():
    """A detector whose corners have half a per cent larger pixels, warped to pixels of one size."""
    view = make_scene(SceneParameters(size=1024, stars=0, galaxies=0, asteroids=0, transients=0))
    x, y, flux = np.array([30.3, 512.0, 995.6]), np.array([30.8, 512.5, 993.2]), np.full(3, 1e5)
    distorted = true_wcs(view.parameters, make_visit(view, 0, offset=(0, 0), rotation=0.0))
    image = np.zeros((1024, 1024))
    scene.Seeing(4.0, change=0).render(image, x, y, flux, noise=0.01)
    observation = Observation("simulated", 0, 1, "calibrated", "r", 60000.0, 30.0)
    exposure = Exposure(MaskedImage.from_image(image.astype(np.float32), 1.0), observation, wcs=distorted)
    middle = distorted.sky(511.5, 511.5)
    target = Wcs.tangent(*(float(v) for v in middle), 530, 530, np.diag([-0.2, 0.2]) / 3600)
    warped = warp(exposure, target, (1060, 1060), table=taps(4.0, 5))
    before = sep.sum_circle(exposure.pixels.image, x, y, 14.0, subpix=0)[0]
    after = sep.sum_circle(warped.pixels.image, *target.pixel(*distorted.sky(x, y)), 14.0, subpix=0)[0]
    np.testing.assert_allclose(after / before, 1, atol=1e-3)


@pytest.mark.skipif(shutil.which("SWarp") is None, reason="SWarp (Debian package swarp) is not installed")
def test_fluxes_after_warping_are_swarps(tmp_path):
    rng = np.random.default_rng(34)
    stars = scene.stars(rng, SIZE, 40, faintest=3e4)
    exposure = scene.observe(stars, scene.Seeing(4.0), scene.wcs(SIZE, 3.3, -2.2, rotation=0.01), rng, SIZE)
    fits.PrimaryHDU(exposure.pixels.image, exposure.wcs.header).writeto(tmp_path / "in.fits")
    target = scene.wcs(SIZE)
    (tmp_path / "out.head").write_text(target.header.tostring(sep="\n") + "\nEND     \n")
    options = {"IMAGEOUT_NAME": "out.fits", "RESAMPLING_TYPE": "LANCZOS4", "SUBTRACT_BACK": "N",
               "CENTER_TYPE": "MANUAL", "IMAGE_SIZE": f"{SIZE[1]},{SIZE[0]}", "WEIGHTOUT_NAME": "weight.fits",
               "WRITE_XML": "N"}
    words = [word for name, value in options.items() for word in (f"-{name}", value)]
    subprocess.run(["SWarp", "in.fits", *words], cwd=tmp_path, check=True, capture_output=True)
    theirs = fits.getdata(tmp_path / "out.fits").astype(np.float32)
    ours = warp(exposure, target, SIZE).pixels.image
    inside = np.all([(stars[c] > 40) & (stars[c] < 470) for c in "xy"], axis=0)
    flux = [sep.sum_circle(image, stars["x"][inside], stars["y"][inside], 12.0)[0] for image in (ours, theirs)]
    np.testing.assert_allclose(flux[0] / flux[1], 1, atol=1e-3)


def test_warping_equals_the_plain_sum_of_weighted_pixels():
    rng = np.random.default_rng(32)
    pixels = MaskedImage.from_image(rng.normal(size=(40, 40)).astype(np.float32), 1.0)
    x, y = grid((16, 16))
    table = lanczos(3)
    warped = warp_pixels(pixels, x + 10.25, y + 12.5, (16, 16), table)
    wx, wy = table[256], table[512]
    for row, column in [(0, 0), (7, 9), (15, 15)]:
        cut = pixels.image[row + 10 : row + 16, column + 8 : column + 14]
        assert warped.image[row, column] == pytest.approx(wy @ cut @ wx, abs=1e-5)
        assert warped.variance[row, column] == pytest.approx(np.sum(wy**2) * np.sum(wx**2), rel=1e-5)


def test_interpolation_fitted_to_the_stars_beats_lanczos():
    phase, sigma = 0.5, 4.0 / 2.3548
    errors = []
    for table in (taps(4.0), lanczos(4)):
        weights_ = table[512]
        place = np.arange(-3, 5)[:, None] + np.linspace(-8, 8, 161)
        value = weights_ @ np.exp(-(place**2) / (2 * sigma**2))
        errors.append(np.abs(value - np.exp(-((np.linspace(-8, 8, 161) + phase) ** 2) / (2 * sigma**2))).max())
    assert errors[0] < 0.1 * errors[1]


def test_noise_correlation_is_that_of_warped_noise():
    rng = np.random.default_rng(33)
    pixels = MaskedImage.from_image(rng.normal(size=(300, 300)).astype(np.float32), 1.0)
    x, y = grid((256, 256))
    table = taps(4.0)
    image = warp_pixels(pixels, x + 20.5, y + 20.25, (256, 256), table).image
    expected = noise_correlation(table, x + 20.5, y + 20.25)
    middle = expected.shape[0] // 2
    measured = [np.mean(image[:, :-1] * image[:, 1:]), np.mean(image[:-1] * image[1:])] / np.mean(image**2)
    np.testing.assert_allclose(measured, [expected[middle, middle + 1], expected[middle + 1, middle]], atol=0.02)


@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90))
def test_every_position_lies_in_exactly_one_inner_region(ra, dec):
    place = patch(patch_at(ra, dec))
    assert place.holds(ra, dec)
    assert place.dec[0] <= dec + 1e-9
    assert dec <= place.dec[1] + 1e-9
    assert place.ra[0] <= ra + 1e-9
    assert ra <= place.ra[1] + 1e-9


@given(st.integers(0, RINGS - 1))
def test_inner_regions_are_no_larger_than_13_arcmin(ring):
    count = int(columns_of(ring))
    assert count < COLUMNS
    place = patch(ring * COLUMNS)
    nearest = min(abs(d) for d in place.dec) if place.dec[0] * place.dec[1] > 0 else 0
    width = 60 * (place.ra[1] - place.ra[0]) * np.cos(np.radians(nearest))
    assert width <= 13.0 + 1e-6 or count == 3


def test_a_patch_image_covers_its_inner_region_and_overlap():
    place = patch(patch_at(150.0, 60.0))
    wcs, shape = place.grid(pixel_scale=1.0)
    x, y = wcs.pixel(*np.array([(r, d) for r in place.ra for d in place.dec]).T)
    assert min(x.min(), y.min(), shape[1] - 1 - x.max(), shape[0] - 1 - y.max()) >= 58  # arcsec


def test_patches_touched_by_a_detector_hold_its_corners_and_middle():
    wcs = Wcs.tangent(10.0, 45.0, 2000, 2000, np.diag([-0.2, 0.2]) / 3600)
    corners = wcs.polygon((4000, 4000))
    touched = patches_touched(corners)
    assert set(patch_at(*corners.T)) | {int(patch_at(10.0, 45.0))} <= set(touched.tolist())
