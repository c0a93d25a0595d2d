"""Make the model of DiaSources' reliability from simulated scenes: `python -m pipelines.productions.reliability`.

It writes `pipelines/steps/reliability.yaml`; raise VERSION with every change of features, steps or scenes. It takes
about ten minutes of CPU.
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from pipelines.instruments import instrument
from pipelines.productions import standard
from pipelines.productions.detector import difference_registered, parameters
from pipelines.productions.standard import Given, Made
from pipelines.simulate.visits import STAR_KIND, TRANSIENT_KIND, bodies, mean_seeing
from pipelines.steps.kernel import KernelParams
from pipelines.steps.reliability import FEATURES, MODEL, features, quadratic
from pipelines.steps.warp import warp, warp_psf

VERSION = 2
CAMERA = "simcam_1k"
SEEDS = range(9100, 9140)  # benchmarks and tests use others
LOSS = 0.001  # part of the training's real ones that come below THRESHOLD; of others it is six times as many
THRESHOLD = 0.1  # below which association rejects
RIDGE = 3.0
REAL, FALSE, UNKNOWN = 1, 0, -1


def labels(given: Given, rows: np.ndarray) -> np.ndarray:
    """Return REAL or FALSE for each DiaSource, UNKNOWN at a variable star: who can tell by how much it varied?"""
    truth, stars = bodies(given.scene, given.visit), given.scene.stars
    varies = (truth["kind"] == STAR_KIND) & (stars["amplitude"][truth["index"] % len(stars)] > 0)
    reach = max(mean_seeing(given.visit, given.scene.parameters).fwhm, 3.0)
    places = np.stack([rows["x"], rows["y"]], axis=1)

    def near(which):
        return cKDTree(np.stack([truth["x"], truth["y"]], axis=1)[which]).query(places)[0] < reach

    real = near(truth["kind"] >= TRANSIENT_KIND)
    return np.where(real, REAL, np.where(near(varies), UNKNOWN, FALSE))


def examples(given: Given, made: Made) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of the DiaSources of one detector."""
    rows, label = made.dia_sources, labels(given, made.dia_sources)
    return features(rows, made.result, made.exposure, made.template, made.apart)[label >= 0], label[label >= 0]


def badly_subtracted(given: Given, made: Made) -> Made:
    """Return what comes of a template that is registered by its WCS only, with one kernel for the whole detector.

    There are too few artefacts in good differences to learn from.
    """
    params = parameters(instrument(CAMERA))
    params = replace(params, subtraction=replace(params.subtraction, kernel=KernelParams(degree=0), bright=np.inf))
    template = warp(given.template, made.exposure.wcs, made.exposure.shape)
    template = template.with_(psf=warp_psf(given.template, made.exposure.wcs, made.exposure.shape))
    return Made(made.exposure, made.found, made.apart,
                *difference_registered(made.exposure, made.found, template, params, made.apart))  # fmt: skip


def train(values: np.ndarray, label: np.ndarray, good: np.ndarray, loss: float = LOSS, version: int = VERSION) -> dict:
    """Return the model; `good` are the examples of which the share `loss` of the real ones may come below THRESHOLD."""
    mean, scale, real = values.mean(axis=0), values.std(axis=0), label == REAL
    scale[scale < 1e-4] = 1  # of what a camera of one Snap does not have
    terms = quadratic((values - mean) / scale)
    weight = np.where(real, 0.5 / real.sum(), 0.5 / (~real).sum()) * len(real)
    sign = np.where(real, -1.0, 1.0)

    def cost(coefficients):
        margin = np.clip(sign * (terms @ coefficients), -30, 30)
        slope = weight * sign / (1 + np.exp(-margin))
        penalty = RIDGE * coefficients
        penalty[0] = 0
        return np.sum(weight * np.log1p(np.exp(margin))) + 0.5 * coefficients @ penalty, terms.T @ slope + penalty

    coefficients = minimize(cost, np.zeros(terms.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x
    edge = np.log(THRESHOLD / (1 - THRESHOLD))
    coefficients[0] += edge - np.quantile((terms @ coefficients)[real & good], loss)
    kept = terms @ coefficients >= edge
    for name, which in (("good", good), ("other", ~good)):
        if which.any():
            print(f"{name} examples: {np.sum(real & which)} real, {kept[real & which].mean():.4f} kept; "
                  f"{np.sum(~real & which)} false, {kept[~real & which].mean():.3f} kept")  # fmt: skip
    return {
        "version": version, "features": list(FEATURES),
        "mean": mean.round(5).tolist(), "scale": scale.round(5).tolist(),
        "coefficients": coefficients.round(5).tolist(),
    }  # fmt: skip


def main() -> None:
    """Simulate, train, write."""
    camera, masters, parts = instrument(CAMERA), None, []
    for seed in SEEDS:
        with TemporaryDirectory() as folder:
            given = standard.simulate(Path(folder), camera, seed, masters, completeness=True, transients=1600)
            masters = given.masters
            made = standard.process(given, camera)
        for is_good, each in ((True, made), (False, badly_subtracted(given, made))):
            values, label = examples(given, each)
            parts.append((values, label, np.full(len(label), is_good)))
        print(seed, len(label), file=sys.stderr, flush=True)
    trained = train(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    trained["seeds"] = [min(SEEDS), max(SEEDS)]
    MODEL.write_text(yaml.safe_dump(trained, default_flow_style=None, sort_keys=False, width=120))


if __name__ == "__main__":
    main()
