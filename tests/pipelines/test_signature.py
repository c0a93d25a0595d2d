"""What the instrument's signature and cosmic rays leave, on a simulated detector with twenty times the usual rays."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.instruments import instrument
from pipelines.productions.signature import make_masters, remove_signature
from pipelines.simulate import camera as cameras
from pipelines.simulate import frames
from pipelines.simulate.exposures import calibrated
from pipelines.simulate.scene import make_scene
from pipelines.simulate.visits import make_visit
from pipelines.steps.snaps import combine_snaps, flag_cosmic_rays
from tests.benchmarks import scores

CAMERA = instrument("simcam_1k")


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rays")
    scene = make_scene(frames.scene_parameters(CAMERA, seed=2, transients=0, asteroids=0))
    visit = make_visit(scene, 0, fwhm=3.5)
    masters = make_masters(frames.write_calibrations(folder, CAMERA, count=10), CAMERA, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cameras, "RAY_RATE", 20 * cameras.RAY_RATE)
        raws = frames.write_visit(folder, scene, visit, CAMERA, streams=("corrected",))
        rays = [frames.expose(scene, visit, CAMERA, snap).truth[0].rays for snap in range(2)]
    snaps = flag_cosmic_rays([remove_signature(raw, CAMERA, 0, masters) for raw in raws])
    _, truth = calibrated(scene, visit)
    return SimpleNamespace(snaps=snaps, rays=rays, truth=truth)


def test_cosmic_rays_are_found_and_little_else(night):
    noise = np.sqrt(sum(snap.pixels.variance for snap in night.snaps))
    found = [
        scores.cosmic_rays(snap.pixels.flagged("CR"), rays, noise)
        for snap, rays in zip(night.snaps, night.rays, strict=True)
    ]
    assert sum(f["pixels"] for f in found) > 500
    assert sum(f["found"] for f in found) >= 0.999 * sum(f["pixels"] for f in found)
    assert np.mean([f["false"] for f in found]) <= 5e-6


def test_no_structure_of_the_instrument_is_left_and_the_variance_is_the_noise(night):
    truth = night.truth
    blank = truth.variance < 1.02 * np.median(truth.variance)
    for snap in night.snaps:
        left = scores.signature(snap, np.where(blank, truth.expected / 2, np.inf))
        assert left["blocks"] < 1.3
        assert left["variance"] == pytest.approx(1, abs=0.01)
    # Both Snaps share the masters' noise, which the variance of their sum counts as if they did not.
    left = scores.signature(combine_snaps(night.snaps), np.where(blank, truth.expected, np.inf))
    assert left["blocks"] < 1.3
    assert left["variance"] == pytest.approx(1, abs=0.02)
