"""The simulated camera: what it adds to light is what the steps take off again."""

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from pipelines.cli.simulate import simulate
from pipelines.instruments import instrument
from pipelines.productions.signature import make_masters, remove_signature
from pipelines.simulate import camera as cameras
from pipelines.simulate import exposures, frames
from pipelines.simulate.night import simulate_night
from pipelines.simulate.visits import brightness
from pipelines.steps.acquire import read_raw
from pipelines.steps.snaps import flag_cosmic_rays
from pipelines.steps.wcs import nominal_wcs
from tests.benchmarks import scores

CAMERA = instrument("simcam_1k")


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """Return scene, visit, the Snaps' truth and their files in both streams, and masters."""
    folder = tmp_path_factory.mktemp("night")
    scene, visit, _ = exposures.conditions(frames.scene_parameters(CAMERA, seed=3))
    shots = [frames.expose(scene, visit, CAMERA, snap) for snap in (0, 1)]
    paths = {
        stream: [frames.write_frame(shot, folder / f"{stream}{n}.fits", stream) for n, shot in enumerate(shots)]
        for stream in frames.STREAMS
    }
    return scene, visit, shots, paths, make_masters(frames.write_calibrations(folder, CAMERA), CAMERA, 0)


def snaps(taken, stream):
    *_, paths, masters = taken
    return [remove_signature(p, CAMERA, 0, masters, crosstalk=stream == "raw") for p in paths[stream]]


@pytest.mark.parametrize("stream", frames.STREAMS)
def test_the_signature_comes_off(taken, stream):
    scene, visit, *_ = taken
    expected, _ = exposures.light(scene, visit, snap=0)
    expected += visit.sky(0.2)
    faint = expected < 1.05 * np.median(expected)
    figures = scores.signature(snaps(taken, stream)[0], np.where(faint, expected, np.inf))
    assert figures["blocks"] < 1.4
    assert figures["variance"] == pytest.approx(1, abs=0.03)


def test_cosmic_rays_are_found(taken):
    found = flag_cosmic_rays(snaps(taken, "corrected"))
    noise = np.sqrt(sum(s.pixels.variance for s in found))
    for snap, shot in zip(found, taken[2], strict=True):
        rays = np.where(shot.truth[0].full, 0, shot.truth[0].rays)
        figures = scores.cosmic_rays(snap.pixels.flagged("CR"), rays, noise)
        assert figures["found"] == figures["pixels"]
        assert figures["false"] < 1e-5


def test_crosstalk_is_in_one_stream_only(taken):
    raw, corrected = (np.stack([s.pixels.image.astype(int) for s in read_raw(taken[3][k][0], CAMERA, 0)])
                      for k in frames.STREAMS)  # fmt: skip
    assert (raw - corrected).min() >= 0
    assert (raw - corrected).max() > 5


def test_headers_lead_to_the_true_place(taken):
    scene, visit, _, paths, _ = taken
    observation = read_raw(paths["raw"][1], CAMERA, 0)[0].observation
    ra, dec = exposures.true_wcs(scene.parameters, visit).sky(500, 500)
    x, y = nominal_wcs(observation, CAMERA).pixel(ra, dec)
    assert np.hypot(x - 500, y - 500) < 20
    assert (observation.snap, observation.sequence, observation.band) == (2, 0, "r")


def test_rays_come_at_their_rate():
    random = np.random.default_rng(1)
    counts = [cameras.cosmic_rays((1024, 1024), 600, random) for _ in range(4)]
    from scipy.ndimage import label

    found = np.mean([label(image > 0, np.ones((3, 3)))[1] for image in counts])
    assert found == pytest.approx(5 * 1.024**2 * 10, rel=0.3)  # tracks break up and overlap


def test_two_detectors_show_neighbouring_sky():
    camera = instrument("simcam")
    scene, plan = simulate_night(camera, visits=1, stars=0, galaxies=20, asteroids=0)
    one, two = (exposures.true_wcs(scene.parameters, plan[0], number) for number in (0, 1))
    x, y = two.pixel(*one.sky(2048 + scene.parameters.gap, 700))
    assert (float(x), float(y)) == pytest.approx((0, 700), abs=0.05)


def test_a_supernova_rises_and_fades():
    scene, plan = simulate_night(CAMERA, visits=12)
    light = np.array([brightness(scene.transients[:1], visit.midpoint_tai)[0] for visit in plan])
    assert np.argmax(light) in range(2, 6)
    assert light[0] < 0.1 and light[-1] < 0.7
    assert scene.transients["host"][0] >= 0


def test_the_verb_writes_a_night(tmp_path):
    done = CliRunner().invoke(simulate, [str(tmp_path), "--visits", "1"])
    assert done.exit_code == 0, done.output
    assert {p.name for p in tmp_path.iterdir()} >= {"raw", "corrected", "calibration", "truth.fits", "reference.fits"}
    assert fits.getheader(tmp_path / "corrected" / "visit0000_snap1.fits")["XTALKCOR"]


def test_the_verb_refuses_unknown_bands(tmp_path):
    done = CliRunner().invoke(simulate, [str(tmp_path), "--bands", "rq"])
    assert "got 'rq'; allowed are letters of ugrizy" in done.output
