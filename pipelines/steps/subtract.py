"""Subtract a registered template after matching its PSF (Alard & Lupton 1998)."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter

from pipelines.image import VaryingImage, bits
from pipelines.image.masked import UNUSABLE, grow
from pipelines.image.varying import surface
from pipelines.steps.kernel import KernelParams, choose_stamps, fit_kernel, kernel_between


@dataclass(frozen=True)
class SubtractParams:
    """How a template is subtracted.

    Parameters
    ----------
    kernel : KernelParams
    deconvolve : float
        The template is convolved where its FWHM is less than so many times the science exposure's, else the
        science exposure.
    mismatch : float
        Error of the matched image in parts of the light around a pixel, which enters the variance: what
        interpolation leaves of stars of two pixels. 0 where stars are well sampled.
    """

    kernel: KernelParams = KernelParams()
    deconvolve: float = 1.0
    mismatch: float = 0.0


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
    sharper = template.psf.fwhm(*middle) <= params.deconvolve * science.psf.fwhm(*middle)
    reference, target = (template, science) if sharper else (science, template)
    bad = reference.pixels.unusable | target.pixels.unusable
    ref_image, target_image = (_filled(exposure.pixels) for exposure in (reference, target))
    variance = reference.pixels.variance + target.pixels.variance
    weight = np.where(bad, 0, 1 / np.maximum(variance, 1e-9)).astype(np.float32)
    stars = _places(science, x, y, flux, params.kernel)
    guess = kernel_between(reference.psf, target.psf, science.shape, params.kernel)
    kernel, background, report = fit_kernel(ref_image, target_image, weight, stars, guess, params.kernel)
    matched = kernel.convolve(ref_image)
    difference = target_image - matched - surface(background, science.shape)
    noise = VaryingImage(kernel.at(*middle)[None] ** 2, kernel.shape)
    variance = target.pixels.variance + np.maximum(noise.convolve(reference.pixels.variance), 0)
    if params.mismatch:
        variance = variance + (params.mismatch * maximum_filter(matched, 3)) ** 2
    psf = science.psf
    if not sharper:  # the difference has the template's scale and sign
        factor = -1 / kernel.at(*middle).sum()
        difference, variance = difference * np.float32(factor), variance * np.float32(factor**2)
        psf = psf.convolved(VaryingImage(-factor * kernel.planes, kernel.shape))
    spoilt = grow(reference.pixels.unusable, kernel_reach(kernel.at(*middle)))
    border = int(kernel_reach(kernel.at(*middle), 0.05))
    spoilt |= np.pad(np.zeros([n - 2 * border for n in spoilt.shape], bool), border, constant_values=True)
    mask = science.pixels.mask | _template_mask(template.pixels.mask)
    mask |= np.where(spoilt & ~(mask & bits(*UNUSABLE) > 0), np.int32(bits("SAT_TEMPLATE")), np.int32(0))
    report["convolved"] = "template" if sharper else "science"
    note = "subtract: {n_stamps} stamps, chi2 {reduced_chi2:.2f}, {convolved} convolved".format(**report)
    observation = science.observation.with_(kind="difference")
    difference = science.with_image(difference, note, mask=mask, variance=variance)
    return difference.with_(observation=observation, psf=psf), kernel, report


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
