"""One detector of the standard scene, raw Snaps → measured DiaSources: CPU and memory of each step, and scores."""

import multiprocessing
import resource
import secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from astropy.io import fits

from pipelines.image import read_exposure, write_exposure
from pipelines.instruments import instrument
from pipelines.productions.signature import Masters, make_masters, remove_signature
from pipelines.simulate import exposures, frames
from pipelines.simulate.exposures import Standard
from pipelines.steps.background import subtract_background
from pipelines.steps.decorrelate import decorrelate
from pipelines.steps.detect import detect
from pipelines.steps.interpolate import fill_saturated
from pipelines.steps.measure import measure_dia_sources
from pipelines.steps.peaks import find_peaks, score_image
from pipelines.steps.pointsource import fit_sources, weights
from pipelines.steps.psf import fit_psf
from pipelines.steps.snaps import combine_snaps, flag_cosmic_rays
from pipelines.steps.subtract import subtract
from pipelines.steps.variance import scale_variance
from pipelines.steps.warp import warp
from pipelines.steps.wcs import fit_wcs, nominal_wcs
from pipelines.steps.zeropoint import fit_zeropoint
from tests.benchmarks import Measured, Result, scores

SIZES = {"standard": "simcam_4k", "small": "simcam_1k"}
"""Cameras."""
GUESS = 4.0  # pixels, of the FWHM
CPU_SECONDS, GIGABYTES = 30.0, 3.0


@dataclass
class Stopwatch:
    """CPU seconds by step."""

    seconds: dict = field(default_factory=dict)

    def __call__(self, name, step, *arguments, **options):
        """Run a step and add its time to `name`."""
        begin = time.process_time()
        result = step(*arguments, **options)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - begin
        return result


@dataclass
class Products:
    """What the steps made of one detector."""

    snaps: list
    summed: object
    science: object
    template: object
    difference: object
    peaks: np.ndarray
    rows: np.ndarray


def prepare(folder: Path, name: str, seed: int) -> None:
    """Write raw frames, masters and template of a standard scene."""
    camera = instrument(name)
    scene, visit, reference = exposures.conditions(frames.scene_parameters(camera, seed=seed))
    frames.write_visit(folder, scene, visit, camera, ("corrected",))
    masters = make_masters(frames.write_calibrations(folder, camera, seed=seed), camera, 0)
    for kind in ("bias", "dark", "flat"):
        write_exposure(getattr(masters, kind), folder / f"{kind}.fits", compress=False)
    write_exposure(exposures.template(scene, reference)[0], folder / "template.fits", compress=False)
    fits.BinTableHDU(frames.reference_stars(scene)).writeto(folder / "reference.fits")


def process(folder: Path, name: str, watch: Stopwatch) -> Products:
    """Run every step on what `prepare` wrote."""
    camera = instrument(name)
    masters = Masters(*(watch("read masters", read_exposure, folder / f"{k}.fits") for k in ("bias", "dark", "flat")))
    paths = sorted((folder / "corrected").glob("*.fits"))
    snaps = [watch("signature", remove_signature, path, camera, 0, masters) for path in paths]
    snaps = watch("cosmic rays", flag_cosmic_rays, snaps)
    summed = watch("sum of Snaps", combine_snaps, snaps)
    science, _ = watch("background", subtract_background, summed)
    science, _ = watch("variance", scale_variance, science)
    science, found, stars = _characterised(science, watch)
    reference = np.asarray(fits.getdata(folder / "reference.fits")).astype(frames.REFERENCE)
    guess = nominal_wcs(science.observation, camera)
    error = 0.2 * np.sqrt(stars["var_x"])
    science, matched = watch("wcs", fit_wcs, science, stars["x"], stars["y"], reference, guess, error=error)
    detected, magnitudes = matched["detected"], reference["magnitude"][matched["referenced"]]
    flux, flux_err = stars["flux"][detected], np.sqrt(stars["var_flux"][detected])
    science, _ = watch("zeropoint", fit_zeropoint, science, flux, flux_err, magnitudes)
    template = watch("read template", read_exposure, folder / "template.fits")
    template = watch("warp", warp, template, science.wcs, science.shape)
    template, _, _ = _characterised(watch("background", subtract_background, template)[0], watch)
    one, two = (watch("fill", fill_saturated, each) for each in (science, template))
    difference, kernel, report = watch("subtract", subtract, one, two, found["x"], found["y"], found["flux"])
    pair = (one, two) if report["convolved"] == "template" else (two, one)
    difference = watch("decorrelate", decorrelate, difference, kernel, *pair)
    peaks = watch("peaks", lambda: find_peaks(score_image(difference)))
    rows = watch("measure", measure_dia_sources, difference, one, two, peaks)
    return Products(snaps, summed, science, template, difference, peaks, rows)


def _characterised(exposure, watch):
    found = watch("detect", detect, exposure, GUESS)
    exposure, _ = watch("psf", fit_psf, exposure, found)
    stars = watch("fit stars", fit_sources, exposure.pixels.image, weights(exposure.pixels), exposure.psf,
                  found["x"], found["y"])  # fmt: skip
    good = np.isfinite(stars["x"] + stars["var_x"] + stars["flux"])
    return exposure, found[good], stars[good]


def score(products: Products, name: str, seed: int) -> dict:
    """Return every figure of `scores` for one processed detector, by the name of its score."""
    camera = instrument(name)
    scene, visit, reference = exposures.conditions(frames.scene_parameters(camera, seed=seed))
    night = Standard(scene, visit, reference, *exposures.calibrated(scene, visit),
                     *exposures.template(scene, reference))  # fmt: skip
    unusable, peaks = products.difference.pixels.unusable, products.peaks
    judged = scores.judged(night, unusable, peaks["x"], peaks["y"], peaks["snr"])
    noise = np.sqrt(np.maximum(sum(s.pixels.variance for s in products.snaps), 1))
    rays = []
    for snap, exposure in enumerate(products.snaps):
        truth = frames.expose(scene, visit, camera, snap).truth[0]
        rays.append(scores.cosmic_rays(exposure.pixels.flagged("CR"), truth.rays, noise))
    faint = night.truth.variance < 1.02 * np.median(night.truth.variance)
    signature = scores.signature(products.summed, np.where(faint, night.truth.expected, np.inf))
    return {
        "completeness": scores.completeness([judged]),
        "false": scores.false_detections(night, unusable, peaks["x"], peaks["y"]),
        "photometry": scores.photometry(night, judged[0], judged[2], products.rows),
        "psf": scores.psf_residuals(products.science, night.truth),
        "repeatability": scores.repeatability(products.science, night.truth, scene),
        "cosmic rays": rays, "signature": signature,
    }  # fmt: skip


def run(name: str) -> Measured:
    """Measure one detector of a fresh, printed seed."""
    seed = secrets.randbelow(10**6)
    with TemporaryDirectory(prefix="hven-detector-") as made:
        folder = Path(made)
        simulation = multiprocessing.get_context("spawn").Process(target=prepare, args=(folder, name, seed))
        simulation.start()  # in a process of its own: its memory is not the pipeline's
        simulation.join()
        if name != "simcam_1k":  # so that no compilation is measured
            small = folder / "small"
            prepare(small, "simcam_1k", seed)
            process(small, "simcam_1k", Stopwatch())
        watch = Stopwatch()
        products = process(folder, name, watch)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    standard = name == SIZES["standard"]
    results = [Result(f"CPU of {step}", seconds, "s") for step, seconds in watch.seconds.items()]
    total = sum(watch.seconds.values())
    results.append(Result("CPU in all", total, "s", goal=CPU_SECONDS if standard else None, higher_is_better=False))
    results.append(Result("memory", memory, "GB", goal=GIGABYTES if standard else None, higher_is_better=False))
    return Measured({"seed": seed}, [*results, *_results(score(products, name, seed))])


def _results(figures: dict) -> list[Result]:
    """Return the scores as results with their goals."""
    below = {"higher_is_better": False}
    photometry, repeatable, false = figures["photometry"], figures["repeatability"], figures["false"]
    rays = figures["cosmic rays"]
    hit = sum(r["pixels"] for r in rays)
    goals = (None, 0.98, 0.995, 0.995)
    results = [
        *(Result(f"completeness at SNR {b['bin'][0]:g} to {b['bin'][1]:g}", b["ratio"], "of the expected", goal=goal)
          for b, goal in zip(figures["completeness"], goals, strict=True) if b["transients"]),
        Result("false detections", false["false"], "", goal=false["allowed"], **below),
        Result("masked area", 100 * false["masked"], "%", goal=2.0, **below),
        *(Result(f"{what}, {where}", photometry[where][key], unit, goal=1.1, **below)
          for where in ("field", "hosted")
          for what, key, unit in (("flux pull", "flux_pull", "sigma"), ("position error", "position", "of the bound"))),
        Result("PSF size residual", figures["psf"]["size"], "rms", goal=0.0035, **below),
        Result("PSF ellipticity residual", figures["psf"]["ellipticity"], "rms", goal=0.003, **below),
        Result("astrometric repeatability", repeatable["astrometry"], "mas", goal=5.0, **below),
        Result("photometric repeatability", repeatable["photometry"], "mmag", goal=3.0, **below),
        Result("cosmic ray pixels found", sum(r["found"] for r in rays) / max(hit, 1), "part", goal=0.999),
        Result("cosmic ray pixels false", np.mean([r["false"] for r in rays]), "part", goal=5e-6, **below),
        Result("ISR over the photon floor", figures["signature"]["blocks"], "", goal=1.3, **below),
        Result("variance of pulls", figures["signature"]["variance"], ""),
    ]  # fmt: skip
    return [replace(r, value=float(r.value), goal=r.goal and float(r.goal)) for r in results if np.isfinite(r.value)]
