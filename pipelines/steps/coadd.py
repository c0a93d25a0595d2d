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


def coadd(warps, params=None, shape=None):
    """Add registered exposures, weighted by their sky noise, without what is not in all of them.

    A plain median costs 1.2 times in noise and keeps a part of every bright transient. Here the median only
    serves to compare: each input minus the PSF-matched median is searched with the matched filter for transients
    of either sign and pixel by pixel for cosmic rays; their footprints are left out (CLIPPED) of the mean.

    Parameters
    ----------
    warps : sequence of Exposure
        On one pixel grid, without sky, each with PSF and PhotoCalib. One that covers a part of the grid may hold that
        part alone: `pixels.x0, y0` say where it lies.
    params : CoaddParams, optional
    shape : tuple of int, optional
        Rows and columns of the grid; by default those of the first.

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
    shape = shape or warps[0].shape
    good = [_usable(w) for w in warps]
    if len(warps) >= params.min_inputs:
        middle = _median(warps, scales, good, shape)
        found = detect(middle, fwhm=_fwhm(middle))
        kept = [g & ~transients(w, *_cut(middle, found, w), params) for w, g in zip(warps, good, strict=True)]
        alone = np.ones(shape, bool)  # no two inputs agree: all of them say more than none
        for warp, keep in zip(warps, kept, strict=True):
            alone[place_of(warp)] &= ~keep
        good = [k | g & alone[place_of(w)] for w, k, g in zip(warps, kept, good, strict=True)]
    weights = 1 / np.array([np.median(w.pixels.variance[g]) for w, g in zip(warps, good, strict=True)]) / scales**2
    total, image, noise = (np.zeros(shape) for _ in range(3))
    inputs, flags = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for number, (warp, scale, weight, use) in enumerate(zip(warps, scales, weights, good, strict=True)):
        here = place_of(warp)
        total[here] += weight * use
        image[here] += weight * use * scale * warp.pixels.image
        noise[here] += (weight * scale) ** 2 * use * warp.pixels.variance
        inputs[here] |= use.astype(np.int32) << min(number, 30)
        flags[here] |= warp.pixels.mask
    seen = total > 0
    image, noise = image / np.where(seen, total, 1), noise / np.where(seen, total, 1) ** 2
    mask = np.where(seen, np.int32(0), flags | bits("NO_DATA"))
    mask |= np.where(seen & (total < 0.99 * total.max()), np.int32(bits("INEXACT_PSF")), np.int32(0))
    pixels = MaskedImage(image.astype(np.float32), mask.astype(np.int32), noise.astype(np.float32))
    return _described(warps, pixels, weights), inputs


def place_of(warp):
    """Return the slices of the grid that an input covers."""
    (rows, columns), x0, y0 = warp.shape, warp.pixels.x0, warp.pixels.y0
    return np.s_[y0 : y0 + rows, x0 : x0 + columns]


def _cut(middle, found, warp):
    """Return the median's part under an input, and its detections there."""
    if middle.shape == warp.shape:
        return middle, found
    rows, columns = place_of(warp)
    box = columns.start, columns.stop, rows.start, rows.stop
    inside = (found["x"] > box[0]) & (found["x"] < box[1] - 1) & (found["y"] > box[2]) & (found["y"] < box[3] - 1)
    found = found[inside]
    found["x"] -= box[0]
    found["y"] -= box[2]
    psf = Psf(middle.psf.model.cut(box), middle.psf.oversampling)
    return middle.with_(pixels=middle.pixels.segment(box), psf=psf), found


def _fwhm(exposure):
    return exposure.psf.fwhm(exposure.shape[1] / 2, exposure.shape[0] / 2)


def _usable(warp):
    return ~warp.pixels.flagged(*(set(UNUSABLE) - {"SAT"})) & (warp.pixels.variance > 0)


def _median(warps, scales, good, shape):
    """Return the pixel-wise median as an exposure, with its PSF."""
    stack = np.full((len(warps), *shape), np.nan, np.float32)
    noise, mask = np.zeros(shape, np.float32), np.full(shape, -1, np.int32)
    for layer, warp, scale, use in zip(stack, warps, scales, good, strict=True):
        here = place_of(warp)
        layer[here] = np.where(use, scale * warp.pixels.image, np.nan)
        noise[here] += np.float32(scale**2) * use * warp.pixels.variance
        mask[here] &= warp.pixels.mask
    count = np.sum(~np.isnan(stack), axis=0)
    stack[0][count == 0] = 0
    image = np.nanmedian(stack, axis=0).astype(np.float32)
    variance = (1.57 * noise / np.maximum(count, 1) ** 2).astype(np.float32)  # a median's, against a mean's
    mask = np.where(count == 0, np.where(mask == -1, 0, mask) | bits("NO_DATA"), mask).astype(np.int32)
    return _with_psf(warps[0].with_(pixels=MaskedImage(image, mask, variance), wcs=_wcs(warps[0])), _fwhm(warps[0]))


def _wcs(warp):
    """Return the projection of the whole grid."""
    return warp.wcs.shifted(warp.pixels.x0, warp.pixels.y0)


def _with_psf(exposure, fwhm):
    exposure, _ = fit_psf(exposure, detect(exposure, fwhm), PsfParams(min_stars=3))
    return exposure


def transients(warp, middle, found, params):
    """Return the pixels of an input that differ from the median of all: transients, cosmic rays, trails.

    Where no kernel can be fitted to the median's detections `found` the input is compared pixel by pixel only.
    """
    fwhm = _fwhm(warp)
    science, template = fill_saturated(warp), fill_saturated(middle)
    try:
        difference, kernel, report = subtract(
            science, template, found["x"], found["y"], found["flux"], params.subtraction
        )
    except NoKernel:
        difference = science.with_image(science.pixels.image - template.pixels.image)
        return np.abs(difference.pixels.image) > 2 * params.threshold * np.sqrt(science.pixels.variance)
    size = np.abs(difference.pixels.image)
    light = science.pixels.image
    if report["convolved"] == "science":  # which lowers the peaks of what differs as of all else
        light = kernel.convolve(light) / np.float32(report["kernel_sum"])
    apart = size > params.share * maximum_filter(np.abs(light), 2 * int(fwhm) + 1)
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
        pixels, observation, wcs=_wcs(first), psf=_mean_psf(warps, weights, pixels.shape),
        photo_calib=first.photo_calib, noise_correlation=mean, provenance=notes,
    )  # fmt: skip
    # Of narrow stars the errors of registration are a part of the width.
    fwhm = whole.psf.fwhm(*centre(whole.shape))
    return _with_psf(whole, fwhm) if fwhm < NARROW else whole


def _mean_psf(warps, weights, shape):
    places = [(w.pixels.x0, w.pixels.y0) for w in warps]
    return Psf.mean([w.psf for w in warps], weights, places, shape)
