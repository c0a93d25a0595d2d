"""The steps of one detector of one Visit, in order: raw frames in, calibrated exposure and difference out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.image import Exposure, Wcs
from pipelines.instruments import Instrument
from pipelines.productions import signature
from pipelines.steps.acquire import read_raw
from pipelines.steps.background import subtract_background
from pipelines.steps.dark import subtract_dark
from pipelines.steps.decorrelate import decorrelate
from pipelines.steps.detect import detect, guess_fwhm
from pipelines.steps.flat import divide_flat
from pipelines.steps.interpolate import fill_saturated
from pipelines.steps.kernel import KernelParams
from pipelines.steps.measure import NARROW, measure_dia_sources, measure_sources, part_inside
from pipelines.steps.overscan import assemble_detector, subtract_overscan
from pipelines.steps.peaks import blank_scatter, find_peaks, score_image
from pipelines.steps.pointing import align
from pipelines.steps.pointsource import fit_together, weights
from pipelines.steps.psf import centre, fit_psf
from pipelines.steps.refcat import tycho2
from pipelines.steps.registration import registration
from pipelines.steps.reliability import score_reliability
from pipelines.steps.snaps import combine_snaps, flag_cosmic_rays
from pipelines.steps.subtract import SubtractParams, subtract
from pipelines.steps.variance import scale_variance, smooth_variance, to_electrons
from pipelines.steps.warp import check_cover, warp, warp_psf
from pipelines.steps.wcs import WcsParams, fit_wcs, nominal_wcs, solve_blind
from pipelines.steps.zeropoint import fit_zeropoint

Lookup = Callable[[float, float, float], np.ndarray]
"""Reference stars of a cone: ra, dec and radius in deg → REFERENCE."""


@dataclass(frozen=True)
class DetectorParams:
    """Parameters of every step; stored with the production's row.

    Parameters
    ----------
    fwhm : float
        First guess of the PSF's full width at half maximum, in pixels.
    threshold : float
        Signal-to-noise ratio above which a DiaSource is detected.
    aperture : float
        Radius in pixels of the Sources' aperture flux: that at which stars scatter least.
    ring : tuple of float or None
        Radii in pixels of the ring whose sky is taken off the aperture's; None: none is.
    reference_radius_deg : float
        Radius of the reference stars that are looked up round the detector's centre.
    reliability : str
        Name of the model that scores DiaSources.
    """

    fwhm: float = 2.5
    threshold: float = 5.0
    aperture: float = 3.5
    ring: tuple | None = (7.0, 13.0)
    reference_radius_deg: float = 0.7
    reliability: str = "reliability"
    wcs: WcsParams = field(default_factory=lambda: WcsParams(radius_arcsec=15))
    subtraction: SubtractParams = field(
        default_factory=lambda: SubtractParams(
            KernelParams(half=7, widths=0, stamp_half=7, sigmas=(0.7, 1.5, 2.5), degrees=(4, 3, 2), degree=2),
            mismatch=0.06,
        )
    )


NO_MASTERS = signature.Masters()
FINE_PIXELS = 0.5  # arcsec, below which stars are several pixels wide
POINTING_ARCSEC = 30.0  # largest error of a header's boresight


def parameters(camera: Instrument) -> DetectorParams:
    """Return the parameters for a camera: stars of fine pixels are wide, and headers of such cameras point well."""
    if camera.pixel_scale > FINE_PIXELS:
        return DetectorParams(reliability=camera.reliability)
    return DetectorParams(fwhm=4.0, ring=None, reference_radius_deg=0.25, reliability=camera.reliability,
                          wcs=WcsParams(), subtraction=SubtractParams())  # fmt: skip


def calibrate_snaps(
    raws: Sequence[Path], camera: Instrument, number: int, masters: signature.Masters,
    reference: Lookup,
) -> tuple[Exposure, np.ndarray, Exposure]:
    """Return the calibrated sum of a Visit's Snaps, its detections, and the first Snap minus the second.

    What sets the Snaps apart holds neither template nor sky; it has the sum's PSF, WCS and calibration.
    """
    params = parameters(camera)
    snaps = flag_cosmic_rays([signature.remove_signature(raw, camera, number, masters) for raw in raws])
    exposure, _ = subtract_background(combine_snaps(snaps))
    exposure = exposure.with_(pixels=exposure.pixels.with_(variance=smooth_variance(exposure.pixels.variance)))
    exposure, _ = scale_variance(exposure)
    found = detect(exposure, fwhm=guess_fwhm(exposure, params.fwhm))
    exposure, _ = fit_psf(exposure, found)
    guess = first_wcs(exposure, found, camera, params, reference)
    exposure = recalibrate(exposure.with_(wcs=guess), found, params, reference)
    apart = snaps[0].pixels.image - sum(snap.pixels.image for snap in snaps[1:])
    apart, _ = subtract_background(exposure.with_image(apart, "snaps: first minus second"))
    return exposure, found, apart


def remove_signature(raw: Path, camera: Instrument, number: int) -> Exposure:
    """Return one raw frame in electrons, free of overscan and bias."""
    detector = camera.detector(number)
    segments = [
        subtract_overscan(segment, amplifier, detector.saturation, detector.pedestal)
        for segment, amplifier in zip(read_raw(raw, camera, number), detector.amplifiers, strict=True)
    ]
    return to_electrons(assemble_detector(segments, detector), detector)


def calibrate(
    raw: Path, camera: Instrument, number: int, params: DetectorParams, reference: Lookup = tycho2,
    masters: signature.Masters = NO_MASTERS,
) -> tuple[Exposure, np.ndarray]:
    """Return the calibrated exposure of one raw frame, and the detections that calibrated it.

    `reference` gives the reference stars of a cone: ra, dec and radius in deg.
    """
    exposure = remove_signature(raw, camera, number)
    if masters.dark:
        exposure = subtract_dark(exposure, masters.dark)
    exposure, _ = subtract_background(exposure)
    if masters.flat:  # of stars, which says nothing of the sky
        exposure = divide_flat(exposure, masters.flat)
    exposure, _ = scale_variance(exposure)
    found = detect(exposure, fwhm=params.fwhm)
    exposure, _ = fit_psf(exposure, found)
    guess = first_wcs(exposure, found, camera, params, reference)
    return recalibrate(exposure.with_(wcs=guess), found, params, reference), found


def first_wcs(
    exposure: Exposure, found: np.ndarray, camera: Instrument, params: DetectorParams, reference: Lookup
) -> Wcs:
    """Return a WCS that is nearly right: the header's, shifted to the stars; of coarse pixels, one solved blindly."""
    if camera.pixel_scale > FINE_PIXELS:
        boresight = exposure.observation.boresight
        return solve_blind(found["x"], found["y"], found["flux"], exposure.shape, camera.pixel_scale, boresight)
    nominal = nominal_wcs(exposure.observation, camera)
    known = reference(*nominal.sky(*centre(exposure.shape)), params.reference_radius_deg)
    reach = POINTING_ARCSEC / camera.pixel_scale
    return align(found["x"], found["y"], found["flux"], known, nominal, exposure.shape, reach)


def recalibrate(
    exposure: Exposure, found: np.ndarray, params: DetectorParams, reference: Lookup
) -> Exposure:
    """Return the exposure with WCS and zeropoint fitted to reference stars, from a WCS that is nearly right."""
    stars, *_ = fit_together(exposure.pixels.image, weights(exposure.pixels), exposure.psf, found["x"], found["y"])
    x, y = (np.where(np.isfinite(stars[axis]), stars[axis], found[axis]) for axis in "xy")
    known = reference(*exposure.wcs.sky(exposure.shape[1] / 2, exposure.shape[0] / 2), params.reference_radius_deg)
    scale = exposure.wcs.pixel_scale(*(n / 2 for n in exposure.shape[::-1]))
    spread = scale * np.sqrt((stars["var_x"] + stars["var_y"]) / 2)
    place_error = np.where(np.isfinite(spread), spread, scale)
    exposure, matched = fit_wcs(exposure, x, y, known, exposure.wcs, params.wcs, error=place_error)
    flux, error = stars["flux"][matched["detected"]], np.sqrt(stars["var_flux"][matched["detected"]])
    exposure, _ = fit_zeropoint(exposure, flux, error, known["magnitude"][matched["referenced"]])
    part = part_inside(exposure.psf, params.aperture, *centre(exposure.shape))
    return exposure.with_(aperture_corrections={params.aperture: float(part)})


def sources(exposure: Exposure, found: np.ndarray, params: DetectorParams) -> np.ndarray:
    """Return the Sources of a calibrated exposure."""
    return measure_sources(exposure, found, params.aperture, params.ring)


def coadd_like(template: Exposure) -> Exposure:
    """Return an image as a template is to be: without sky, with its PSF."""
    template, _ = subtract_background(template)
    return fit_psf(template, detect(template, guess_fwhm(template)))[0]


def difference(
    exposure: Exposure, found: np.ndarray, template: Exposure, params: DetectorParams, apart: Exposure | None = None
) -> tuple[Exposure, np.ndarray, Exposure]:
    """Return the difference from the template, its DiaSources, and the template on the exposure's pixels.

    `apart`, the first Snap minus the second, tells what is in one of them only. A template without a PSF is given one.
    """
    if template.psf is None:
        template = coadd_like(template)
    if template.psf.fwhm(*centre(template.shape)) < NARROW:
        registered = check_cover(warp(template, exposure.wcs, exposure.shape), exposure)
        return difference_registered(exposure, found, registered, params, apart)
    shift, _ = registration(exposure, template, found)
    registered = check_cover(warp(template, exposure.wcs, exposure.shape, shift=shift), exposure)
    registered = registered.with_(psf=warp_psf(template, exposure.wcs, exposure.shape))
    return difference_registered(exposure, found, registered, params, apart)


def difference_registered(
    exposure: Exposure, found: np.ndarray, registered: Exposure, params: DetectorParams, apart: Exposure | None = None
) -> tuple[Exposure, np.ndarray, Exposure]:
    """Return what `difference` does, for a template that is on the exposure's pixels already."""
    if registered.psf is None:
        registered, _ = fit_psf(registered, detect(registered, fwhm=params.fwhm))
    exposure, registered = fill_saturated(exposure), fill_saturated(registered)
    stars = found[found["clean"]]
    result, kernel, report = subtract(
        exposure, registered, stars["x"], stars["y"], stars["flux"], params.subtraction
    )
    pair = (exposure, registered) if report["convolved"] == "template" else (registered, exposure)
    result = decorrelate(result, kernel, *pair)
    score = score_image(result)
    # Where interpolation has correlated the noise by more than decorrelation knows, blank sky says so.
    excess = max(1.0, blank_scatter(score, params.threshold))
    peaks = find_peaks(score / np.float32(excess), threshold=params.threshold)
    rows = measure_dia_sources(result, exposure, registered, peaks)
    return result, score_reliability(rows, result, exposure, registered, apart, params.reliability), registered
