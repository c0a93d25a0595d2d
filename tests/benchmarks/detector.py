"""Detectors of the standard scene, raw Snaps → scored DiaSources: what each step of the production costs, and gives."""

import multiprocessing
import resource
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipelines.instruments import instrument
from pipelines.productions import detector, signature, standard
from pipelines.productions.reliability import SEEDS, THRESHOLD
from pipelines.simulate import exposures, frames
from pipelines.simulate.exposures import Standard
from tests.benchmarks import Measured, Result, scores

SIZES = {"standard": ("simcam_4k", 6, 400), "small": ("simcam_1k", 3, 1600)}
"""Camera, how many scenes of fresh seeds, and transients for 4096 × 4096 pixels."""
CPU_SECONDS, GIGABYTES = 30.0, 3.0
STEPS = {
    detector: ("flag_cosmic_rays", "combine_snaps", "subtract_background", "scale_variance", "detect", "fit_psf",
               "align", "recalibrate", "registration", "warp", "warp_psf", "fill_saturated", "subtract", "decorrelate",
               "score_image", "find_peaks", "measure_dia_sources", "score_reliability"),
    signature: ("remove_signature",),
}  # fmt: skip


@dataclass
class Stopwatch:
    """CPU seconds by step."""

    seconds: dict = field(default_factory=dict)

    def timed(self, step):
        """Return the step as it is, but that its CPU time is added up."""

        def run(*arguments, **options):
            begin = time.process_time()
            result = step(*arguments, **options)
            name = step.__name__
            self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - begin
            return result

        return run


@contextmanager
def watching() -> Iterator[Stopwatch]:
    """Take the time of the production's steps, which are called by their names in its modules."""
    watch, kept = Stopwatch(), []
    for module, names in STEPS.items():
        for name in names:
            kept.append((module, name, getattr(module, name)))
            setattr(module, name, watch.timed(getattr(module, name)))
    try:
        yield watch
    finally:
        for module, name, step in kept:
            setattr(module, name, step)


def prepare(folder: Path, name: str, seed: int, transients: int) -> None:
    """Simulate a scene; in a process of its own, for its memory is not the pipeline's."""
    given = standard.simulate(folder, instrument(name), seed, completeness=True, transients=transients)
    standard.save(given, folder / "given")


@dataclass(frozen=True)
class Scored:
    """One detector's figures; those of DiaSources before and after reliability."""

    judged: tuple
    kept: tuple
    false: dict
    false_kept: dict
    pulls: np.ndarray
    quality: dict


def score(given: standard.Given, made: standard.Made, name: str) -> Scored:
    """Return every figure of `scores` for one processed detector."""
    scene, visit, camera = given.scene, given.visit, instrument(name)
    night = Standard(scene, visit, given.reference, *exposures.calibrated(scene, visit),
                     *exposures.template(scene, given.reference))  # fmt: skip
    unusable, rows = made.result.pixels.unusable, made.dia_sources
    reliable = rows[rows["reliability"] >= THRESHOLD]
    judged, kept = (scores.judged(night, unusable, r["x"], r["y"], np.sign(r["raw_flux"]) * r["snr"])
                    for r in (rows, reliable))  # fmt: skip
    false, false_kept = (scores.false_detections(night, unusable, r["x"], r["y"]) for r in (rows, reliable))
    snaps = detector.flag_cosmic_rays(
        [signature.remove_signature(raw, camera, 0, given.masters) for raw in given.raws]
    )
    noise = np.sqrt(np.maximum(sum(s.pixels.variance for s in snaps), 1))
    rays = [
        scores.cosmic_rays(s.pixels.flagged("CR"), frames.expose(scene, visit, camera, k).truth[0].rays, noise)
        for k, s in enumerate(snaps)
    ]
    faint = night.truth.variance < 1.02 * np.median(night.truth.variance)
    quality = {
        "psf": scores.psf_residuals(made.exposure, night.truth),
        "repeatability": scores.repeatability(made.exposure, night.truth, scene), "cosmic rays": rays,
        "signature": scores.signature(detector.combine_snaps(snaps), np.where(faint, night.truth.expected, np.inf)),
    }  # fmt: skip
    return Scored(judged, kept, false, false_kept, scores.pulls(night, judged[0], judged[2], rows), quality)


def run(size: tuple[str, int, int]) -> Measured:
    """Measure detectors of fresh, printed seeds."""
    name, count, transients = size
    drawn = [s for s in (secrets.randbelow(10**6) for _ in range(4 * count)) if s not in SEEDS][:count]
    scored, costs = [], []
    with TemporaryDirectory(prefix="hven-detector-") as made:
        for number, (camera, seed) in enumerate([("simcam_1k", 1), *((name, seed) for seed in drawn)]):
            folder = Path(made, str(number))  # the first only compiles
            folder.mkdir()
            child = multiprocessing.get_context("spawn").Process(
                target=prepare, args=(folder, camera, seed, transients)
            )
            child.start()
            child.join()
            given = standard.load(folder / "given")
            with watching() as watch:
                begin = time.process_time()
                products = standard.process(given, instrument(camera))
                watch.seconds["in all"] = time.process_time() - begin
            if number:
                costs.append(watch.seconds)
            if number == 1:
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            if number:
                scored.append(score(given, products, camera))
    known = {f"seed {number}": seed for number, seed in enumerate(drawn, 1)}
    results = [*_costs(costs, memory, name == SIZES["standard"][0]), *_found(scored), *_quality(scored)]
    results = [replace(r, value=float(r.value), goal=None if r.goal is None else float(r.goal)) for r in results]
    return Measured(known, [r for r in results if np.isfinite(r.value)])


def _costs(costs: list[dict], memory: float, standard_size: bool) -> list[Result]:
    below = {"higher_is_better": False}
    steps = {step: np.mean([cost.get(step, 0) for cost in costs]) for step in costs[0]}
    return [
        *(Result(f"CPU of {step}", seconds, "s") for step, seconds in steps.items() if step != "in all"),
        Result("CPU in all", steps["in all"], "s", goal=CPU_SECONDS if standard_size else None, **below),
        Result("memory", memory, "GB", goal=GIGABYTES if standard_size else None, **below),
    ]


def _found(scored: list[Scored]) -> list[Result]:
    below, goals, results = {"higher_is_better": False}, (None, 0.98, 0.995, 0.995), []
    before = scores.completeness([s.judged for s in scored])
    after = scores.completeness([s.kept for s in scored])
    for bin_, goal in zip(before, goals, strict=True):
        (low, high), sure = bin_["bin"], f"{bin_['low']:.3f} … {bin_['high']:.3f}"
        what = f"found at SNR {low:g} to {high:g} of {bin_['transients']} (95 %: {sure})"
        results.append(Result(what, bin_["ratio"], "of the expected", goal=goal))
    lost = 1 - sum(b["found"] for b in after) / max(sum(b["found"] for b in before), 1)
    gaussian = np.mean([s.false["gaussian"] for s in scored])
    results += [
        Result("false detections a detector", np.mean([s.false["false"] for s in scored]), "",
               goal=np.mean([s.false["allowed"] for s in scored]), **below),
        Result("Gaussian expectation of them", gaussian, ""),
        Result("false ones that reliability leaves", np.mean([s.false_kept["false"] for s in scored]), "",
               goal=1.2 * gaussian, **below),
        Result("transients that reliability loses", 100 * lost, "%", goal=1.0, **below),
        Result("masked area", 100 * np.mean([s.false["masked"] for s in scored]), "%", goal=2.0, **below),
    ]  # fmt: skip
    pooled = scores.photometry(np.concatenate([s.pulls for s in scored]))
    for where in ("all", "hosted"):
        results += [
            Result(f"flux pull, {where}", pooled[where]["flux_pull"], "sigma", goal=1.1, **below),
            Result(f"position error, {where}", pooled[where]["position"], "of the bound", goal=1.1, **below),
        ]
    return results


def _quality(scored: list[Scored]) -> list[Result]:
    below = {"higher_is_better": False}

    def mean(*keys):
        values = [s.quality for s in scored]
        for key in keys:
            values = [value[key] for value in values]
        return np.mean(values)

    rays = [each for s in scored for each in s.quality["cosmic rays"]]
    return [
        Result("PSF size residual", mean("psf", "size"), "rms", goal=0.0035, **below),
        Result("PSF ellipticity residual", mean("psf", "ellipticity"), "rms", goal=0.003, **below),
        Result("astrometric repeatability", mean("repeatability", "astrometry"), "mas", goal=5.0, **below),
        Result("astrometric repeatability", mean("repeatability", "astrometry_ratio"), "of the bound",
               goal=1.2, **below),
        Result("photometric repeatability", mean("repeatability", "photometry"), "mmag", goal=3.0, **below),
        Result("photometric repeatability", mean("repeatability", "photometry_ratio"), "of the bound",
               goal=1.2, **below),
        Result("cosmic ray pixels found", sum(r["found"] for r in rays) / sum(r["pixels"] for r in rays), "part",
               goal=0.999),
        Result("cosmic ray pixels false", np.mean([r["false"] for r in rays]), "part", goal=5e-6, **below),
        Result("ISR over the photon floor", mean("signature", "blocks"), "", goal=1.3, **below),
        Result("variance of pulls", mean("signature", "variance"), ""),
    ]  # fmt: skip
