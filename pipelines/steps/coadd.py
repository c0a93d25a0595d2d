"""Coadd exposures to a template that holds no transients."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter

from pipelines.image import Exposure, MaskedImage, Psf, bits
from pipelines.image.masked import UNUSABLE, grow
from pipelines.steps.conditions import BadInput
from pipelines.steps.decorrelate import decorrelate
from pipelines.steps.detect import detect
from pipelines.steps.interpolate import fill_saturated
from pipelines.steps.kernel import NoKernel
from pipelines.steps.measure import NARROW
from pipelines.steps.peaks import score_image
from pipelines.steps.psf import PsfParams, centre, fit_psf
from pipelines.steps.subtract import SubtractParams, subtract


class NoInputs(BadInput):
    """A coadd without inputs."""

    condition = "no_coadd_inputs"


@dataclass(frozen=True)
class CoaddParams:
    """How exposures are coadded.

    Parameters
    ----------
    threshold : float
        Of the matched filter, in sigma, above which what one input has and the others don't is left out.
    share : float
        Part of the light within a FWHM by which it must differ: what is left of bright stars is no transient.
    reach : float
        FWHM that are left out round it.
    min_inputs : int
        Fewer are added without a search: their median says nothing.
    subtraction : SubtractParams
    """

    threshold: float = 4.5
    share: float = 0.4
    reach: float = 1.5
    min_inputs: int = 3
    subtraction: SubtractParams = SubtractParams()


def coadd(warps, params=None):
    """Add registered exposures, weighted by their sky noise, without what is not in all of them.

    A plain median costs 1.2 times in noise and keeps a part of every bright transient. Here the median only
    serves to compare: each input minus the PSF-matched median is searched with the matched filter for transients
    of either sign and pixel by pixel for cosmic rays; their footprints are left out (CLIPPED) of the mean.

    Parameters
    ----------
    warps : sequence of Exposure
        On one pixel grid, without sky, each with PSF and PhotoCalib.
    params : CoaddParams, optional

    Returns
    -------
    Exposure
        Of kind "template", in the counts of the first input, with PSF, noise correlation and provenance.
        Pixels that lack inputs are INEXACT_PSF.
    ndarray of int32
        For each pixel, one bit for each input that went in (the first 31).

    Raises
    ------
    NoInputs
    """
    params = params or CoaddParams()
    if not warps:
        raise NoInputs("coadd got no exposures; it needs one", "choose another patch, band or range of nights")
    scales = np.array([w.photo_calib.nanojansky_per_count / warps[0].photo_calib.nanojansky_per_count for w in warps])
    good = [_usable(w, params) for w in warps]
    if len(warps) >= params.min_inputs:
        middle = _median(warps, scales, good)
        kept = [g & ~transients(w, middle, params) for w, g in zip(warps, good, strict=True)]
        alone = ~np.logical_or.reduce(kept)  # no two inputs agree: all of them say more than none
        good = [k | g & alone for k, g in zip(kept, good, strict=True)]
    weights = 1 / np.array([np.median(w.pixels.variance[g]) for w, g in zip(warps, good, strict=True)]) / scales**2
    total, image, noise = (np.zeros(warps[0].shape) for _ in range(3))
    inputs = np.zeros(warps[0].shape, np.int32)
    for number, (warp, scale, weight, use) in enumerate(zip(warps, scales, weights, good, strict=True)):
        total += weight * use
        image += weight * use * scale * warp.pixels.image
        noise += (weight * scale) ** 2 * use * warp.pixels.variance
        inputs |= use.astype(np.int32) << min(number, 30)
    seen = total > 0
    image, noise = image / np.where(seen, total, 1), noise / np.where(seen, total, 1) ** 2
    mask = np.where(seen, np.int32(0), np.bitwise_or.reduce([w.pixels.mask for w in warps]) | bits("NO_DATA"))
    mask |= np.where(seen & (total < 0.99 * total.max()), np.int32(bits("INEXACT_PSF")), np.int32(0))
    pixels = MaskedImage(image.astype(np.float32), mask.astype(np.int32), noise.astype(np.float32))
    return _described(warps, pixels, weights), inputs


def _usable(warp, params):
    return ~warp.pixels.flagged(*(set(UNUSABLE) - {"SAT"})) & (warp.pixels.variance > 0)


def _median(warps, scales, good):
    """Return the pixel-wise median as an exposure, with its PSF."""
    stack = np.stack([np.where(g, s * w.pixels.image, np.nan) for w, s, g in zip(warps, scales, good, strict=True)])
    count = np.sum(~np.isnan(stack), axis=0)
    stack[0][count == 0] = 0
    image = np.nanmedian(stack, axis=0).astype(np.float32)
    noise = np.mean([s**2 * w.pixels.variance for w, s in zip(warps, scales, strict=True)], axis=0)
    mask = np.bitwise_and.reduce([w.pixels.mask for w in warps])
    variance = (1.57 * noise / np.maximum(count, 1)).astype(np.float32)  # a median's, against a mean's
    middle = warps[0].with_(pixels=MaskedImage(image, np.where(count == 0, mask | bits("NO_DATA"), mask), variance))
    return _with_psf(middle)


def _with_psf(exposure):
    fwhm = exposure.psf.fwhm(exposure.shape[1] / 2, exposure.shape[0] / 2)
    exposure, _ = fit_psf(exposure, detect(exposure, fwhm), PsfParams(min_stars=3))
    return exposure


def transients(warp, middle, params):
    """Return the pixels of an input that differ from the median of all: transients, cosmic rays, trails.

    Where no kernel can be fitted the input is compared pixel by pixel only.
    """
    fwhm = warp.psf.fwhm(warp.shape[1] / 2, warp.shape[0] / 2)
    found = detect(middle, fwhm=fwhm)
    science, template = fill_saturated(warp), fill_saturated(middle)
    try:
        difference, kernel, report = subtract(
            science, template, found["x"], found["y"], found["flux"], params.subtraction
        )
    except NoKernel:
        difference = science.with_image(science.pixels.image - template.pixels.image)
        return np.abs(difference.pixels.image) > 2 * params.threshold * np.sqrt(science.pixels.variance)
    size = np.abs(difference.pixels.image)
    apart = size > params.share * maximum_filter(np.abs(science.pixels.image), 2 * int(fwhm) + 1)
    sharp = size > 1.5 * params.threshold * np.sqrt(difference.pixels.variance)
    pair = (science, template) if report["convolved"] == "template" else (template, science)
    score = score_image(decorrelate(difference, kernel, *pair))
    lasting = grow(apart & (np.abs(score) > params.threshold), params.reach * fwhm)
    return lasting | grow(apart & sharp & ~difference.pixels.unusable, 1.5)


def _described(warps, pixels, weights):
    """Give the coadd its observation, PSF, noise correlation and the list of its inputs."""
    first = warps[0]
    share = weights / weights.sum()
    observation = first.observation.with_(
        kind="template",
        snap=0,
        exposure_seconds=float(sum(w.observation.exposure_seconds for w in warps)),
        midpoint_tai=float(np.average([w.observation.midpoint_tai for w in warps], weights=share)),
    )
    correlations = [w.noise_correlation for w in warps]
    mean = None
    if all(c is not None and c.shape == correlations[0].shape for c in correlations):
        mean = np.average(correlations, axis=0, weights=share)
    notes = tuple(
        f"coadd: input {w.observation.instrument} MJD {w.observation.midpoint_tai:.6f} weight {s:.4f}"
        for w, s in zip(warps, share, strict=True)
    )
    whole = Exposure(
        pixels, observation, wcs=first.wcs, psf=Psf.mean([w.psf for w in warps], weights),
        photo_calib=first.photo_calib, noise_correlation=mean, provenance=notes,
    )  # fmt: skip
    # Of narrow stars the errors of registration are a part of the width.
    return _with_psf(whole) if whole.psf.fwhm(*centre(whole.shape)) < NARROW else whole
