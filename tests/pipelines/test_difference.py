"""Subtraction, decorrelation, detection and measurement on a small synthetic scene with known transients."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import norm

from pipelines.image import Exposure, MaskedImage, Observation, Psf, VaryingImage
from pipelines.steps.background import subtract_background
from pipelines.steps.decorrelate import decorrelate, whitening_kernel
from pipelines.steps.detect import detect
from pipelines.steps.interpolate import fill_alone, fill_saturated
from pipelines.steps.kernel import KernelParams, _convolve_stamp, basis_images, basis_rows, stamp_equations
from pipelines.steps.measure import force_photometry, measure_dia_sources
from pipelines.steps.peaks import blank_scatter, find_peaks, score_image
from pipelines.steps.psf import fit_psf
from pipelines.steps.registration import registration
from pipelines.steps.subtract import subtract
from pipelines.steps.warp import warp, warp_psf
from tests.pipelines import scene

SIZE = (1024, 1024)
DEPTH = 10


def ideal_snr(truth, psf, on_template):
    """Return what a perfect difference with known PSF would give, photons of the source included."""
    stamps = psf.stamps(truth["x"], truth["y"], 31)
    noise = (scene.SKY + scene.READ_NOISE**2) * (1 + 1 / DEPTH)
    photons = np.where(on_template, truth["flux"] / DEPTH, truth["flux"])[:, None, None] * stamps
    return truth["flux"] * np.sqrt((stamps**2 / (noise + photons)).sum(axis=(1, 2)))


def prepared(exposure, fwhm):
    exposure, _ = subtract_background(exposure, box=128)
    found = detect(exposure, fwhm)
    exposure, _ = fit_psf(exposure, found)
    return fill_saturated(exposure), found


@pytest.fixture(scope="module", params=[3.2, 4.8], ids=["sharper template", "wider template"])
def night(request):
    rng = np.random.default_rng(11)
    seeing, template_seeing = scene.Seeing(4.0), scene.Seeing(request.param, e1=-0.02, e2=0.01)
    stars = scene.stars(rng, SIZE, 1250)
    truth = np.zeros(150, scene.TRUTH)
    truth["x"], truth["y"] = rng.uniform(30, 994, (2, 150))
    truth["flux"] = rng.uniform(5, 25, 150) * 220
    truth["ra"], truth["dec"] = scene.wcs(SIZE).sky(truth["x"], truth["y"])
    fading = rng.random(150) < 0.5
    there = scene.wcs(SIZE, dx=3.3, dy=-2.6, rotation=0.002)
    believed = scene.wcs(SIZE, dx=3.34, dy=-2.63, rotation=0.00202)  # off by 10 mas
    science = scene.observe(np.append(stars, truth[~fading]), seeing, scene.wcs(SIZE), rng, SIZE)
    template = scene.observe(np.append(stars, truth[fading]), template_seeing, there, rng, SIZE, depth=DEPTH)
    science, found = prepared(science, 4.0)
    template, _ = prepared(template.with_(wcs=believed), request.param)
    shift, _ = registration(science, template, found)
    registered = warp(template, science.wcs, SIZE, shift=shift).with_(psf=warp_psf(template, science.wcs, SIZE))
    raw, kernel, report = subtract(science, registered, found["x"], found["y"], found["flux"])
    pair = (science, registered) if report["convolved"] == "template" else (registered, science)
    difference = decorrelate(raw, kernel, *pair)
    rows = measure_dia_sources(difference, science, registered, find_peaks(score_image(difference)))
    snr = ideal_snr(truth, seeing.psf(SIZE), fading) * np.where(fading, -1, 1)
    distance, index = cKDTree(np.stack([rows["x"], rows["y"]], 1)).query(np.stack([truth["x"], truth["y"]], 1))
    return SimpleNamespace(
        truth=truth, snr=snr, hit=distance < 2, match=index, rows=rows, difference=difference, raw=raw,
        kernel=kernel, pair=pair,
    )  # fmt: skip


def masked(night):
    x, y = (np.rint(night.truth[c]).astype(int) for c in "xy")
    near = night.difference.pixels.with_flag(night.difference.pixels.unusable, "BAD", radius=4)
    return near.unusable[y, x]


def test_what_fills_a_core_leaves_the_variance_around_as_it_is(night):
    """One pixel of 10⁹ times the sky's variance, as a saturated star's; single precision keeps seven digits."""
    pixels = night.raw.pixels
    variance = pixels.variance.copy()
    variance[500:510, 500:510] = 5e9 * np.median(variance)
    core = variance > 1e9 * np.median(variance)
    filled = night.raw.with_(pixels=pixels.with_(variance=variance).with_flag(core, "SAT"))
    spoilt = decorrelate(filled, night.kernel, *night.pair).pixels
    away = ~spoilt.unusable & ~night.difference.pixels.unusable
    away[460:550, 460:550] = False
    np.testing.assert_allclose(spoilt.variance[away], night.difference.pixels.variance[away], rtol=1e-3)


@pytest.mark.parametrize(("fwhm", "half"), [(4.0, 20), (7.5, 28)])
def test_the_kernel_grows_with_the_seeing(fwhm, half):
    rng = np.random.default_rng(14)
    stars = scene.stars(rng, (512, 512), 150, faintest=2e4, brightest=5e5)
    pair = [scene.observe(stars, scene.Seeing(f), scene.wcs((512, 512)), rng, (512, 512)) for f in (fwhm, fwhm / 1.2)]
    wide, sharp = (e.with_(psf=scene.Seeing(f).psf((512, 512))) for e, f in zip(pair, (fwhm, fwhm / 1.2), strict=True))
    _, kernel, _ = subtract(wide, sharp, stars["x"], stars["y"], stars["flux"])
    assert kernel.planes.shape[1] // 2 == pytest.approx(half, abs=1)


def test_blank_sky_tells_its_scatter_among_many_transients():
    score = np.random.default_rng(12).normal(0, 1.2, (800, 805)).astype(np.float32)
    score[::40, ::40] += 30
    score[:200] = 0  # no score there
    assert blank_scatter(score) == pytest.approx(1.2, abs=0.01)
    assert blank_scatter(np.zeros((40, 40))) == 1.0


def test_whitening_follows_a_kernel_that_varies():
    def wider(x, y):
        v, u = np.mgrid[-10:11, -10:11]
        sigma = 0.7 + 0.5 * (2 * x / 511 - 1) ** 2
        return np.exp(-(u**2 + v**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)

    rng, shape = np.random.default_rng(13), (512, 512)
    sky = np.ones(shape, np.float32)
    kernel = VaryingImage.interpolate(wider, shape, 4)
    convolved, left = (exposure_of(rng.normal(0, size, shape), size**2 * sky) for size in (1.0, 0.2))
    power = np.sum(kernel.at(256, 256) ** 2)
    image = left.pixels.image - kernel.convolve(convolved.pixels.image)
    pixels = decorrelate(exposure_of(image, (0.04 + power) * sky), kernel, left, convolved).pixels
    pull = pixels.image / np.sqrt(pixels.variance)
    strips = [np.std(strip[20:-20]) for strip in np.split(pull, 8, axis=1)[1:-1]]
    np.testing.assert_allclose(strips, 1, atol=0.05)


def exposure_of(image, variance):
    psf = scene.Seeing(4.0).psf(image.shape)
    pixels = MaskedImage(image.astype(np.float32), np.zeros(image.shape, np.int32), variance.astype(np.float32))
    return Exposure(pixels, Observation("simulated", 0, 0, "calibrated", "r", 60000.0, 30.0), psf=psf)


def test_transients_of_either_sign_are_found(night):
    visible = ~masked(night) & (np.abs(night.snr) > 6)
    expected = norm.cdf(np.abs(night.snr[visible]) - 5).sum()
    assert night.hit[visible].sum() >= 0.98 * expected
    signs = np.sign(night.rows["psf_flux"][night.match])
    np.testing.assert_array_equal(signs[visible & night.hit], np.sign(night.snr[visible & night.hit]))


def test_few_false_detections(night):
    tree = cKDTree(np.stack([night.truth["x"], night.truth["y"]], 1))
    distance, _ = tree.query(np.stack([night.rows["x"], night.rows["y"]], 1))
    assert np.sum(distance > 2) <= 3  # 1 by noise in a megapixel


def test_masked_area_is_small(night):
    assert night.difference.pixels.unusable.mean() < 0.055  # the wings of the kernel round three saturated stars


def test_noise_is_white_and_of_the_stated_variance(night):
    pixels = night.difference.pixels
    pull = np.where(pixels.unusable, 0, pixels.image / np.sqrt(pixels.variance))
    assert 1.4826 * np.median(np.abs(pull[~pixels.unusable])) == pytest.approx(1, abs=0.02)
    neighbours = np.corrcoef(pull[:, :-1].ravel().clip(-4, 4), pull[:, 1:].ravel().clip(-4, 4))[0, 1]
    assert abs(neighbours) < 0.05


def test_fluxes_and_positions_scatter_by_their_errors(night):
    use = night.hit & (np.abs(night.snr) > 10)
    rows, truth = night.rows[night.match[use]], night.truth[use]
    expected = np.sign(night.snr[use]) * truth["flux"]
    ratio = np.median(rows["raw_flux"] / expected)  # the PSF's normalisation goes into the zeropoint
    pulls = [(rows["raw_flux"] - expected * ratio) / rows["raw_flux_err"]]
    places = [(rows[c] - truth[c] - np.median(rows[c] - truth[c])) / rows[f"{c}_err"] for c in "xy"]
    for pull in (*pulls, np.concatenate(places)):
        assert 1.4826 * np.median(np.abs(pull)) == pytest.approx(1, abs=0.3)  # 100 sources: ± 0.1


def test_forced_flux_at_the_true_place_agrees(night):
    use = night.hit & (np.abs(night.snr) > 10)
    forced, _ = force_photometry(night.difference, night.truth["ra"][use], night.truth["dec"][use])
    rows = night.rows[night.match[use]]
    assert np.median(np.abs((forced["psf_flux"] - rows["psf_flux"]) / rows["psf_flux_err"])) < 0.2


def test_stamp_convolution_equals_plain_convolution():
    params = KernelParams(half=4, sigmas=(1.0, 2.0), degrees=(2, 1))
    image = np.random.default_rng(3).normal(size=(31, 31)).astype(np.float32)
    rows, pairs = basis_rows(params)
    fast = np.empty((len(pairs), 49), np.float32)
    _convolve_stamp(image, 15, 14, rows, pairs, 3, fast)
    for kernel, values in zip(basis_images(params), fast, strict=True):
        slow = [
            np.sum(kernel[::-1, ::-1] * image[y - 4 : y + 5, x - 4 : x + 5])
            for y in range(11, 18)
            for x in range(12, 19)
        ]
        np.testing.assert_allclose(values, slow, atol=1e-4)


def test_a_bright_stars_equations_are_no_less_than_positive():
    """What rounding takes away would be a kernel that costs nothing, another for each order of the sums."""
    params = KernelParams()
    v, u = np.mgrid[-50:51, -50:51]
    star = (1e5 * np.exp(-(u**2 + v**2) / 8)).astype(np.float32)
    middle = np.array([[50, 50]])
    matrices, *_ = stamp_equations(star, star, np.full_like(star, 0.01), middle, params)
    values = np.linalg.eigvalsh(matrices[0])
    assert values[0] > -1e-13 * values[-1]


def test_whitening_makes_the_spectrum_flat():
    v, u = np.mgrid[-10:11, -10:11]
    kernel = np.exp(-(u**2 + v**2) / 4.5) / (4.5 * np.pi)
    phi = whitening_kernel(kernel, 1.0, 1.0)
    spectrum = np.fft.fft2(phi, (64, 64))
    noise = np.abs(spectrum) ** 2 * (1 + np.abs(np.fft.fft2(kernel, (64, 64))) ** 2)
    np.testing.assert_allclose(noise, 2, rtol=0.02)


def test_peaks_are_found_between_pixels():
    psf = scene.Seeing(4.0, change=0).psf((64, 64))
    score = np.zeros((64, 64), np.float32)
    for x, y, height in ((20.5, 30.5, 6.0), (40.2, 10.0, -7.0)):
        stamp = psf.at(x, y, 21)
        row, column = round(y), round(x)
        score[row - 10 : row + 11, column - 10 : column + 11] += height * stamp / psf.at(20, 20).max()
    peaks = find_peaks(score, threshold=5)
    np.testing.assert_allclose(peaks["snr"], [-7, 6], rtol=0.03)
    np.testing.assert_allclose(peaks["x"], [40.2, 20.5], atol=0.1)


def test_a_psf_convolved_with_a_kernel_has_the_joint_width():
    v, u = np.mgrid[-15:16, -15:16]
    kernel = VaryingImage((np.exp(-(u**2 + v**2) / 8) / (8 * np.pi))[None], (64, 64))
    gaussian = VaryingImage((np.exp(-(u**2 + v**2) / 18) / (18 * np.pi))[None], (64, 64))
    joint = Psf(gaussian).convolved(kernel)
    assert joint.fwhm(32, 32) == pytest.approx(2.3548 * np.sqrt(9 + 4), rel=0.01)


def test_a_pixel_that_stands_alone_is_filled_as_well_as_it_was_measured():
    rng = np.random.default_rng(5)
    stars = scene.stars(rng, (256, 256), 60)
    exposure, _ = subtract_background(scene.observe(stars, scene.Seeing(4.0), scene.wcs((256, 256)), rng, (256, 256)))
    exposure = exposure.with_(psf=scene.Seeing(4.0).psf((256, 256)))
    lost = np.zeros((256, 256), bool)
    lost[2::6, 3::6] = True  # each alone
    lost[::6, 200] = lost[1::6, 200] = True  # in twos
    spoilt = exposure.with_(pixels=exposure.pixels.with_(image=np.where(lost, 6e4, exposure.pixels.image)))
    filled = fill_alone(spoilt.with_(pixels=spoilt.pixels.with_flag(lost, "BAD"))).pixels
    mended = lost & ~filled.unusable
    assert mended.sum() > 0.9 * lost[2::6, 3::6].size
    assert not mended[:, 200].any()
    np.testing.assert_array_equal(filled.image[~lost], exposure.pixels.image[~lost])
    noise = np.sqrt(filled.variance + exposure.pixels.variance)
    assert np.std(((filled.image - exposure.pixels.image) / noise)[mended]) == pytest.approx(1, abs=0.1)
