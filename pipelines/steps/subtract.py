"""Subtract a registered template after matching its PSF (Alard & Lupton 1998)."""

from dataclasses import dataclass, replace

import numba
import numpy as np
import sep

from pipelines.image import VaryingImage, bits
from pipelines.image.masked import UNUSABLE, grow
from pipelines.image.varying import surface
from pipelines.steps.cores import settle_cores
from pipelines.steps.interpolate import fill_alone
from pipelines.steps.kernel import KernelParams, basis_images, choose_stamps, fit_kernel, kernel_between, kernel_of
from pipelines.steps.variance import smooth_variance

WINGS = 3  # widths of the kernel, its largest, by which it may be wrong for a saturated star


@dataclass(frozen=True)
class SubtractParams:
    """How a template is subtracted.

    Parameters
    ----------
    kernel : KernelParams
    deconvolve : float
        The template is convolved where its FWHM is less than so many times the science exposure's, else the
        science exposure.
    jitter : float
        Pixels that single stars may be off the registration (proper motion, refraction by colour, atmosphere). The
        variance grows by its square times that of the image's gradient, so that bright stars' dipoles are no
        detections. Neighbouring pixels err together: it is to be twice the scatter of single stars.
    mismatch : float
        Part of the light around a pixel by which the matched PSFs may differ; its square goes into the variance.
        Interpolation leaves more of stars of two pixels than of well sampled ones.
    core_error : float
        Part by which what fills saturated cores and bleeds may be wrong, which the kernel spreads.
    bright : float
        Sigma of the sky from where on a star's pixels are a core that tells its own kernel: see `settle_cores`.
    sky_box : int
        Side in pixels of the mesh on which the difference's own sky is fitted.
    """

    kernel: KernelParams = KernelParams()
    deconvolve: float = 1.0
    jitter: float = 0.04
    mismatch: float = 0.005
    core_error: float = 0.3
    bright: float = 1000.0
    sky_box: int = 128


def subtract(science, template, x, y, flux, params=None):
    """Subtract a template on the same pixels from a science exposure.

    The sharper of the two is convolved, so that a deconvolution never amplifies noise; the result is in the
    science exposure's counts either way.

    Parameters
    ----------
    science, template : Exposure
        On the same pixel grid, without sky, each with its PSF; the template may cover a part.
    x, y, flux : ndarray
        Sources to match on.
    params : SubtractParams, optional

    Returns
    -------
    Exposure
        The difference. Its variance is the sum of both; its noise is correlated: see `decorrelate`.
    VaryingImage
        The matching kernel.
    dict
        SDQA values of the fit, and `convolved`: "template" or "science".

    Raises
    ------
    NoKernel
    """
    params = params or SubtractParams()
    middle = (science.shape[1] / 2, science.shape[0] / 2)
    ours, theirs = (exposure.psf.fwhm(*middle) for exposure in (science, template))
    sharper = theirs <= params.deconvolve * ours
    reference, target = (template, science) if sharper else (science, template)
    reference = fill_alone(reference)
    bad = reference.pixels.unusable | target.pixels.unusable
    ref_image, target_image = (_filled(exposure.pixels) for exposure in (reference, target))
    lasting = _in_both(science.pixels.image, template.pixels.image, x, y)
    fit = params.kernel
    fit = replace(fit, half=max(fit.half, int(np.ceil(fit.widths * max(ours, theirs)))))
    stars = _places(science, x[lasting], y[lasting], flux[lasting], fit)
    guess = kernel_between(reference.psf, target.psf, science.shape, fit)
    likely = kernel_of(guess, science.shape, fit).at(*middle)
    power = np.sum(likely**2)
    variance = target.pixels.variance + np.float32(power) * reference.pixels.variance
    # Else a few bright stars that are off their place bend the kernel.
    add_model_error(variance, target_image, np.float32(params.jitter**2), np.float32(params.mismatch**2))
    near = bad | grow(reference.pixels.unusable, kernel_reach(likely))
    weight = np.where(near, 0, 1 / np.maximum(variance, 1e-9)).astype(np.float32)
    noise = reference.pixels.variance
    kernel, background, report = fit_kernel(ref_image, target_image, weight, noise, stars, guess, fit)
    matched = kernel.convolve(ref_image)
    difference = target_image - matched - surface(background, science.shape)
    difference -= _sky(difference, bad, params.sky_box)
    noise = VaryingImage(kernel.at(*middle)[None] ** 2, kernel.shape)
    variance = smooth_variance(target.pixels.variance) + np.maximum(noise.convolve(reference.pixels.variance), 0)
    add_model_error(variance, matched, np.float32(params.jitter**2), np.float32(params.mismatch**2))
    spoilt = grow(reference.pixels.unusable, kernel_reach(kernel.at(*middle)))
    saturated = reference.pixels.flagged("SAT")
    cores = saturated | (ref_image > params.bright * np.sqrt(np.median(variance[::8, ::8])))
    wings = basis_images(replace(fit, sigmas=fit.sigmas[-WINGS:], degrees=(0,) * WINGS))
    errors = np.where(saturated, params.core_error, 0).astype(np.float32)
    settle_cores(difference, variance, ~(bad | spoilt), ref_image, cores, kernel, wings, errors)
    psf = science.psf
    if not sharper:  # the difference has the template's scale and sign
        factor = -1 / kernel.at(*middle).sum()
        difference, variance = difference * np.float32(factor), variance * np.float32(factor**2)
        psf = psf.convolved(VaryingImage(-factor * kernel.planes, kernel.shape))
    border = int(kernel_reach(kernel.at(*middle), 0.05))
    spoilt |= np.pad(np.zeros([n - 2 * border for n in spoilt.shape], bool), border, constant_values=True)
    mask = science.pixels.mask | _template_mask(template.pixels.mask)
    mask |= np.where(spoilt & ~(mask & bits(*UNUSABLE) > 0), np.int32(bits("SAT_TEMPLATE")), np.int32(0))
    report["convolved"] = "template" if sharper else "science"
    note = "subtract: {n_stamps} stamps, chi2 {reduced_chi2:.2f}, {convolved} convolved".format(**report)
    observation = science.observation.with_(kind="difference")
    difference = science.with_image(difference, note, mask=mask, variance=variance)
    return difference.with_(observation=observation, psf=psf), kernel, report


def _sky(difference, bad, box):
    """Return what the polynomial background of the kernel's fit leaves, far from most stamps."""
    image = np.ascontiguousarray(difference, np.float32)
    if min(image.shape) < 4 * box or bad.mean() > 0.9:
        return np.float32(0)
    return sep.Background(image, mask=bad, bw=box, bh=box, fw=3, fh=3).back(dtype=np.float32)


@numba.njit(cache=True, fastmath=True)
def add_model_error(variance, matched, jitter2, mismatch2):
    """Add to the variance that of stars off their place by a jitter, and of a mismatch of the PSFs."""
    rows, columns = variance.shape
    for j in range(1, rows - 1):
        for i in range(1, columns - 1):
            along_x = np.float32(0.5) * (matched[j, i + 1] - matched[j, i - 1])
            along_y = np.float32(0.5) * (matched[j + 1, i] - matched[j - 1, i])
            light = np.float32(0)
            for row in range(j - 1, j + 2):
                for column in range(i - 1, i + 2):
                    light = max(light, matched[row, column])
            variance[j, i] += jitter2 * (along_x * along_x + along_y * along_y) + mismatch2 * light * light


def _in_both(science, template, x, y, tolerance=1.5):
    """Return which sources have as much of their light in the template as most: a transient tells no kernel."""
    v, u = np.mgrid[-1:2, -1:2]
    rows = (np.rint(y).astype(int)[:, None, None] + v).clip(0, science.shape[0] - 1)
    columns = (np.rint(x).astype(int)[:, None, None] + u).clip(0, science.shape[1] - 1)
    here, there = (image[rows, columns].sum(axis=(1, 2)) for image in (science, template))
    ratio = there / np.maximum(here, 1e-9)
    usual = np.median(ratio[(here > 0) & (there > 0)]) if np.any((here > 0) & (there > 0)) else 1.0
    return (ratio > usual / tolerance) & (ratio < usual * tolerance)


def _places(science, x, y, flux, params):
    """Return columns and rows of the stars to match on, the brightest of each region."""
    stamp = science.psf.at(science.shape[1] / 2, science.shape[0] / 2)
    noise = np.sqrt(np.median(science.pixels.variance[::8, ::8]) / np.sum(stamp**2))
    bright = np.flatnonzero(flux > params.min_snr * noise)
    chosen = bright[choose_stamps(x[bright], y[bright], flux[bright], science.shape, params)]
    return np.rint(np.stack([x[chosen], y[chosen]], axis=1)).astype(int)


def _filled(pixels):
    """Return the image with 0 for pixels that hold no light of the sky; saturated ones keep what they have."""
    return np.where(pixels.flagged("BAD", "CR", "NO_DATA", "STREAK"), 0, pixels.image).astype(np.float32)


def kernel_reach(kernel, part=0.01):
    """Return the radius outside which all of |kernel| together is less than `part` of its sum."""
    half = kernel.shape[0] // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    order = np.argsort(np.hypot(u, v), axis=None)
    inside = np.cumsum(np.abs(kernel).ravel()[order]) / np.abs(kernel).sum()
    return float(np.hypot(u, v).ravel()[order][np.argmax(inside >= 1 - part)])


def _template_mask(mask):
    """Translate the template's mask: saturation there has a plane of its own."""
    saturated = (mask & bits("SAT")) != 0
    kept = mask & (bits(*UNUSABLE) & ~bits("SAT", "CR"))
    return np.where(saturated, kept | bits("SAT_TEMPLATE"), kept)
