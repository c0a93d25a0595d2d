"""Transients injected into a real night's frames: how many survive, and what a camera's reliability is learnt from.

`python -m pipelines.productions.injected CAMERA -d RELEASE` writes `pipelines/steps/reliability_CAMERA.yaml` from every
other frame of a night, and says what becomes of the transients and of all other detections of the frames between.
"""

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import yaml
from scipy.spatial import cKDTree

from db.connect import connect
from db.files import FileStore
from db.queries import queries
from db.settings import hven_home
from pipelines.image import Exposure, read_exposure
from pipelines.instruments import instrument
from pipelines.productions import detector as steps
from pipelines.productions.detector import DetectorParams
from pipelines.productions.reliability import FALSE, REAL, THRESHOLD, UNKNOWN, train
from pipelines.steps.detect import detect
from pipelines.steps.inject import inject
from pipelines.steps.pointsource import forced_flux, weights
from pipelines.steps.reliability import MODEL, features

NEAR = 1.5  # pixels within which a detection is an injected transient
SPACING = 20.0  # pixels between transients
SNR = (5.0, 60.0)  # of those that are learnt from
SHOWN = 8.0  # SNR of those that are counted
NUMBER = 60  # transients in a frame
LOSS = 0.003  # part of the real ones that may come below THRESHOLD
VERSION, SEED = 101, 20171220


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of one frame: features and labels of its detections, and which transients were detected.

    Parameters
    ----------
    values : ndarray, shape (n, n_features)
    label : ndarray of int, shape (n,)
        REAL: a transient, FALSE: all else, UNKNOWN: what is known to vary.
    reliability : ndarray, shape (n,)
    found : ndarray of int, shape (m,)
        For each transient its detection, -1 for none.
    flagged : float
        Part of the frame that is not searched.
    """

    values: np.ndarray
    label: np.ndarray
    reliability: np.ndarray
    found: np.ndarray
    flagged: float

    def kept(self) -> tuple[int, int, int]:
        """Return the transients, those that survive detection and reliability, and the false detections that do."""
        good = self.reliability >= THRESHOLD
        survive = good[self.found[self.found >= 0]]
        return len(self.found), int(survive.sum()), int(np.sum(good & (self.label == FALSE)))


def trial(
    exposure: Exposure, template: Exposure, params: DetectorParams, snr: np.ndarray, variables: np.ndarray,
    random: np.random.Generator,
) -> Trial:
    """Inject transients of some SNR of the difference into an exposure, anywhere but on flagged pixels, and search it.

    Parameters
    ----------
    exposure : Exposure
        Calibrated.
    template : Exposure
    params : DetectorParams
    snr : ndarray, shape (m,)
    variables : ndarray, shape (k, 2)
        Places [deg] of what is known to vary.
    random : Generator
    """
    blank, *_ = steps.difference(exposure, detect(exposure, fwhm=params.fwhm), template, params)
    x, y = places(blank, len(snr), random)
    _, error = forced_flux(blank.pixels.image, weights(blank.pixels), blank.psf, x, y)
    ok = np.isfinite(error)
    x, y, flux = x[ok], y[ok], (snr[: len(x)] * error)[ok] * blank.photo_calib.nanojansky_per_count
    more = inject(exposure, x, y, flux, [None] * len(x), random)
    result, rows, registered = steps.difference(more, detect(more, fwhm=params.fwhm), template, params)
    distance, nearest = cKDTree(np.stack([x, y], axis=1)).query(np.stack([rows["x"], rows["y"]], axis=1))
    label = np.where(distance < NEAR, REAL, FALSE)
    varies = np.zeros(len(rows), bool)
    for ra, dec in variables:
        varies |= np.hypot((rows["ra"] - ra) * np.cos(np.radians(dec)), rows["dec"] - dec) < 10 / 3600
    found = np.full(len(x), -1)
    order = np.argsort(-distance)
    found[nearest[order]] = np.where(distance[order] < NEAR, order, -1)
    return Trial(features(rows, result, more, registered), np.where(varies & (label == FALSE), UNKNOWN, label),
                 rows["reliability"], found, float(blank.pixels.unusable.mean()))  # fmt: skip


def places(exposure: Exposure, number: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return up to so many random places on usable pixels, `SPACING` apart."""
    rows, columns = exposure.shape
    x, y = random.uniform(8, columns - 9, 8 * number), random.uniform(8, rows - 9, 8 * number)
    usable = ~exposure.pixels.unusable[np.rint(y).astype(int), np.rint(x).astype(int)]
    chosen: list[int] = []
    for k in np.flatnonzero(usable):
        if not chosen or np.hypot(x[chosen] - x[k], y[chosen] - y[k]).min() > SPACING:
            chosen.append(k)
    return x[chosen[:number]], y[chosen[:number]]


def frames(release: str, store: FileStore) -> tuple[list[Path], Exposure]:
    """Return the files of the calibrated exposures of a release, in their order, and its template."""
    with closing(connect(release)) as connection, connection.cursor() as cursor:
        cursor.execute(queries("bootstrap")["template"])
        template = read_exposure(store.get(bytes(cursor.fetchone()[0])))
        cursor.execute(queries("bootstrap")["calibrated_files"])
        return [store.get(bytes(sha256)) for (sha256,) in cursor], template


def learn(trials: list[Trial]) -> dict:
    """Return the model that trials teach; of the transients it may lose `LOSS`."""
    values, label = (np.concatenate([getattr(each, name) for each in trials]) for name in ("values", "label"))
    known = label != UNKNOWN
    return train(values[known], label[known], known[known], LOSS, VERSION)


def told(trials: list[Trial]) -> str:
    """Say what trials have come to."""
    transients, kept, false = np.sum([each.kept() for each in trials], axis=0)
    flagged = max(each.flagged for each in trials)
    return (f"{len(trials)} frames: {kept} of {transients} transients kept ({100 * kept / transients:.1f} %), "
            f"{false / len(trials):.1f} others a frame, at most {100 * flagged:.1f} % of a frame flagged")  # fmt: skip


@click.command()
@click.argument("camera")
@click.option("-d", "--database", default="bootstrap_demo", help="The release that has the night's frames.")
@click.option("--variable", "variables", nargs=2, type=float, multiple=True, help="Place [deg] of what varies.")
@click.option("--every", default=2, help="Take every so-manieth frame.")
@click.option("--store", type=click.Path(path_type=Path), default=hven_home() / "files")
def main(camera: str, database: str, variables, every: int, store: Path) -> None:
    """Learn from a camera's frames what its real transients look like, write the model, and try it on other frames."""
    params, random = steps.parameters(instrument(camera)), np.random.default_rng(SEED)
    files, template = frames(database, FileStore(store))
    files = files[::every]

    def tried(file: Path, snr: np.ndarray, params: DetectorParams) -> Trial:
        return trial(read_exposure(file), template, params, snr, np.array(variables), random)

    spread = np.exp(random.uniform(*np.log(SNR), NUMBER))
    trained = learn([tried(file, spread, params) for file in files[::2]])
    path = MODEL.with_stem(f"{MODEL.stem}_{camera}")
    path.write_text(yaml.safe_dump(trained, default_flow_style=None, sort_keys=False, width=120))
    params = replace(params, reliability=path.stem)
    click.echo(told([tried(file, np.full(NUMBER, SHOWN), params) for file in files[1::2]]))


if __name__ == "__main__":
    main()
