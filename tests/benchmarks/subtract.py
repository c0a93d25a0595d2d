"""Our subtraction beside sfft's (Hu et al. 2022) on the same registered pairs: CPU, and false detections at equal hits.

hotpants 5.1.11 does not install here. On 4096² pixels its kernels of 21 and 45 pixels are told to take 13.4 and 55.2
CPU seconds and to give 69 and 29 false detections at 654 of 794 hits: the seconds stand below as limits.
"""

import secrets
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from astropy.io import fits

from pipelines.image.masked import grow
from pipelines.productions.detector import coadd_like
from pipelines.simulate.exposures import Standard, standard
from pipelines.steps.background import subtract_background
from pipelines.steps.decorrelate import decorrelate
from pipelines.steps.detect import detect, guess_fwhm
from pipelines.steps.interpolate import fill_saturated
from pipelines.steps.peaks import find_peaks, score_image
from pipelines.steps.psf import fit_psf
from pipelines.steps.registration import registration
from pipelines.steps.subtract import subtract
from pipelines.steps.variance import smooth_variance
from pipelines.steps.warp import warp, warp_psf
from tests.benchmarks import Measured, Result, scores
from tests.benchmarks.peer import peer_python

SIZES = {"standard": (2048, 3), "small": (1024, 3)}
"""Side in pixels, and how many pairs of fresh seeds; sfft needs 11 GB for 2048², and four times as much for 4096²."""
HOTPANTS_SECONDS = 13.4  # for 4096² pixels, its narrow kernel
HALF = 10  # of sfft's kernel: wider ones take many times as long
SHARE = 0.82  # of the transients that are to be hits, as in the comparison with hotpants
STAMP = 15.0  # pixels round a star that sfft is given to match on


def run(size: tuple[int, int]) -> Measured:
    """Subtract pairs of fresh, printed seeds; ratio of seeing 1.05 to 1.3, where both convolve the template."""
    side, count = size
    seeds = [secrets.randbelow(10**6) for _ in range(count)]
    seconds, false = {"ours": [], "sfft": []}, {"ours": [], "sfft": []}
    for seed in seeds:
        night = standard(seed, side, completeness=True, transients=800, ratio=1.05 + 0.25 * seed / 10**6)
        pair = prepared(night)
        (difference, taken), (other, theirs) = ours(*pair), sfft(*pair)
        unusable = difference.pixels.unusable
        marks = {"ours": score_image(difference), "sfft": score_image(difference.with_image(other))}
        for name, took in (("ours", taken), ("sfft", theirs)):
            seconds[name].append(took)
            false[name].append(false_at_equal_hits(night, marks[name], unusable))
    cost, wrong = ({n: float(np.mean(v)) for n, v in each.items()} for each in (seconds, false))
    below = {"higher_is_better": False}
    results = [
        Result("CPU of a subtraction, registered", cost["ours"], "s", "sfft", cost["sfft"], goal=0.25, **below),
        Result("false detections at equal hits", wrong["ours"], "", "sfft", wrong["sfft"], goal=0.5, **below),
        Result("CPU, for 4096² pixels", cost["ours"] * (4096 / side) ** 2, "s", "hotpants as told", HOTPANTS_SECONDS,
               goal=0.25, **below),
    ]  # fmt: skip
    return Measured({f"seed {n}": seed for n, seed in enumerate(seeds, 1)}, results)


def prepared(night: Standard):
    """Return exposure and registered template, cores filled, and the stars to match on."""
    science, _ = subtract_background(night.science)
    science = science.with_(pixels=science.pixels.with_(variance=smooth_variance(science.pixels.variance)))
    found = detect(science, guess_fwhm(science))
    science, template = fit_psf(science, found)[0], coadd_like(night.template)
    shift, _ = registration(science, template, found)
    registered = warp(template, science.wcs, science.shape, shift=shift)
    registered = registered.with_(psf=warp_psf(template, science.wcs, science.shape))
    return fill_saturated(science), fill_saturated(registered), found[found["clean"]]


def ours(science, template, stars):
    """Return the decorrelated difference, and the CPU seconds it took."""
    begin = time.process_time()
    difference, kernel, report = subtract(science, template, stars["x"], stars["y"], stars["flux"])
    pair = (science, template) if report["convolved"] == "template" else (template, science)
    difference = decorrelate(difference, kernel, *pair)
    return difference, time.process_time() - begin


def sfft(science, template, stars):
    """Return sfft's difference, and the CPU seconds it took; it matches on the pixels round the stars."""
    bad = science.pixels.unusable | template.pixels.unusable
    bright = stars[stars["snr"] > 20]
    seen = np.zeros(science.shape, bool)
    seen[tuple(np.rint([bright["y"], bright["x"]]).astype(int))] = True
    seen = grow(seen, STAMP) & ~grow(bad, STAMP)
    with TemporaryDirectory(prefix="hven-sfft-") as made:
        for name, exposure in (("science", science), ("template", template)):
            image = np.where(exposure.pixels.flagged("BAD", "CR", "NO_DATA"), 0, exposure.pixels.image)
            for prefix, kept in (("", image), ("masked_", np.where(seen, image, 0))):
                fits.writeto(Path(made, f"{prefix}{name}.fits"), kept.astype(np.float32))
        peer = Path(__file__).with_name("sfft_peer.py")
        done = subprocess.run(
            [peer_python(), "-P", peer, made, str(HALF)], capture_output=True, text=True, check=True
        )
        return fits.getdata(Path(made, "difference.fits")).astype(np.float32), float(done.stdout.split()[-1])


def false_at_equal_hits(night: Standard, score, unusable) -> int:
    """Return how many false detections there are above the threshold that finds SHARE of the transients.

    The score is scaled by what blank sky scatters.
    """
    peaks = find_peaks(score / np.float32(1.4826 * np.median(np.abs(score[score != 0]))), threshold=3.0)
    _, wanted, finder = scores.judged(night, unusable, peaks["x"], peaks["y"], peaks["snr"])
    heights = np.sort(np.where(finder >= 0, peaks["snr"][finder], 0)[wanted >= scores.THRESHOLD])[::-1]
    threshold = heights[int(SHARE * len(heights))]
    kept = peaks[np.abs(peaks["snr"]) >= threshold]
    return scores.false_detections(night, unusable, kept["x"], kept["y"])["false"]
