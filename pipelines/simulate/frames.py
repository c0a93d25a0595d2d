"""Simulated nights as files: raw frames of every amplifier, calibration frames, templates, references, truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from pipelines.image import write_exposure
from pipelines.instruments import Instrument
from pipelines.mops.kepler import elements_of
from pipelines.simulate import camera as cameras
from pipelines.simulate import exposures, visits
from pipelines.simulate.scene import Scene, SceneParameters, magnitude
from pipelines.simulate.visits import READOUT, SNAP_SECONDS, Visit

FLAT_ELECTRONS = 40_000.0
DARK_SECONDS = 300.0
POINTING_ARCSEC = 1.0  # error of the boresight in headers, per axis
REFERENCE = np.dtype([("ra", "f8"), ("dec", "f8"), ("magnitude", "f8")])
STREAMS = ("raw", "corrected")
"""Both ways of R91: as read, and without crosstalk."""


@dataclass(frozen=True, eq=False)
class SnapTruth:
    """What one detector collected in one Snap: cosmic rays' electrons, pixels at full well, a satellite's trail."""

    rays: np.ndarray
    full: np.ndarray
    trail: tuple | None


@dataclass(frozen=True, eq=False)
class Frame:
    """One Snap of all detectors in memory: counts of every amplifier, by stream, and the truth by detector."""

    header: fits.Header
    raw: list
    corrected: list
    truth: list


def scene_parameters(camera: Instrument, **parameters) -> SceneParameters:
    """Return the parameters of a scene that fits a simulated camera."""
    number, shape = len(camera.detectors), camera.detectors[0].shape
    gap = 60
    if number > 1:
        gap = round(camera.detectors[0].boresight[0] - camera.detectors[1].boresight[0]) - shape[1]
    return SceneParameters(size=shape[0], detectors=number, gap=gap, scale=camera.pixel_scale, **parameters)


def expose(scene: Scene, visit: Visit, camera: Instrument, snap: int) -> Frame:
    """Return one Snap (from 0) as a camera reads it."""
    frame = Frame(_header(scene, visit, camera, snap), [], [], [])
    for detector in camera.detectors:
        random = visit.random(4, detector.number, snap)
        image, _ = exposures.light(scene, visit, detector.number, snap=snap)
        trail = None
        if visit.trail and snap == 0:
            trail = cameras.satellite_trail(image, visit.snaps[snap].fwhm, random)
        image += np.float32(visit.sky(scene.parameters.scale))
        rays = cameras.cosmic_rays(image.shape, SNAP_SECONDS, random)
        parts = cameras.hardware(camera, detector.number)
        raw, corrected, full = cameras.read_out(image, detector, parts, SNAP_SECONDS, random, rays)
        frame.raw.extend(raw)
        frame.corrected.extend(corrected)
        frame.truth.append(SnapTruth(rays, full, trail))
    return frame


def calibration_frame(camera: Instrument, kind: str, number: int, *, band="r", seed=1) -> Frame:
    """Return one frame of kind bias, dark (300 s) or flat (40,000 electrons a pixel)."""
    seconds = {"bias": 0.0, "dark": DARK_SECONDS, "flat": SNAP_SECONDS}[kind]
    header = _cards(camera, band, 60999.9 + number / 1440, seconds, number, 1)
    header["OBSTYPE"] = kind
    frame = Frame(header, [], [], [])
    for detector in camera.detectors:
        random = np.random.default_rng([seed, 300, ("bias", "dark", "flat").index(kind), number, detector.number])
        light = np.full(detector.shape, FLAT_ELECTRONS if kind == "flat" else 0, np.float32)
        rays = cameras.cosmic_rays(detector.shape, seconds, random)
        parts = cameras.hardware(camera, detector.number)
        raw, corrected, _ = cameras.read_out(light, detector, parts, seconds, random, rays)
        frame.raw.extend(raw)
        frame.corrected.extend(corrected)
    return frame


def write_frame(frame: Frame, path: Path, stream="raw") -> Path:
    """Write a frame's stream as multi-extension FITS, one extension an amplifier."""
    header = frame.header.copy()
    header["XTALKCOR"] = (stream == "corrected", "has the camera removed crosstalk?")
    path.parent.mkdir(parents=True, exist_ok=True)
    hdus = [fits.PrimaryHDU(header=header), *(fits.ImageHDU(counts) for counts in getattr(frame, stream))]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def _header(scene, visit, camera, snap):
    p = scene.parameters
    start = visit.midpoint_tai + (snap - 0.5) * (SNAP_SECONDS + READOUT) / 86400 - SNAP_SECONDS / 2 / 86400
    header = _cards(camera, visit.band, start, SNAP_SECONDS, visit.number, snap + 1)
    header["OBSTYPE"] = "science"
    first = camera.detectors[0]
    ra, dec = visits.true_wcs(p, visit, first.number).sky(*first.boresight)
    east, north = visit.random(5).normal(0, POINTING_ARCSEC / 3600, 2)
    header["RA"] = (float(ra + east / np.cos(np.radians(dec))), "[deg] boresight")
    header["DEC"] = (float(dec + north), "[deg] boresight")
    return header


def _cards(camera, band, start_tai, seconds, sequence, snap):
    header = fits.Header()
    header["INSTRUME"] = camera.name
    header["DATE-OBS"] = (Time(start_tai, format="mjd", scale="tai").utc.isot, "UTC, shutter opens")
    header["EXPTIME"] = (seconds, "[s]")
    header["FILTER"] = band
    header["SEQNUM"] = sequence
    header["SNAP"] = snap
    return header


def reference_stars(scene: Scene, *, faintest=22.0, error_mas=1.0) -> np.ndarray:
    """Return reference catalogue rows (ra, dec, magnitude in r), their positions good to `error_mas`."""
    random = np.random.default_rng([scene.parameters.seed, 400])
    stars = scene.stars[magnitude(scene.stars["flux"]) < faintest]
    rows = np.zeros(len(stars), REFERENCE)
    east, north = random.normal(0, error_mas / 3.6e6, (2, len(stars)))
    rows["ra"] = stars["ra"] + east / np.cos(np.radians(stars["dec"]))
    rows["dec"], rows["magnitude"] = stars["dec"] + north, magnitude(stars["flux"])
    return rows


def write_visit(folder: Path, scene: Scene, visit: Visit, camera: Instrument, streams=STREAMS) -> list[Path]:
    """Write a Visit's Snaps, raw/visit0000_snap1.fits …, and its truth; return the paths of the last stream."""
    paths = []
    for snap in range(len(visit.snaps)):
        frame = expose(scene, visit, camera, snap)
        name = f"visit{visit.number:04d}_snap{snap + 1}.fits"
        written = [write_frame(frame, Path(folder, stream, name), stream) for stream in streams]
        paths.append(written[-1])
        _write_truth(Path(folder, "truth", name), scene, visit, snap, frame)
    return paths


def _write_truth(path, scene, visit, snap, frame):
    """Write bodies and cosmic rays of each detector as FITS tables."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hdus = [fits.PrimaryHDU(header=frame.header)]
    for number, truth in enumerate(frame.truth):
        bodies = Table(visits.bodies(scene, visit, number, snap=snap))
        hdus.append(fits.BinTableHDU(bodies, name=f"BODIES{number}"))
        y, x = np.nonzero(truth.rays)
        rays = Table({"x": x.astype("i4"), "y": y.astype("i4"), "electrons": truth.rays[y, x]})
        hdus.append(fits.BinTableHDU(rays, name=f"RAYS{number}"))
    fits.HDUList(hdus).writeto(path, overwrite=True)


def write_calibrations(folder: Path, camera: Instrument, *, count=5, band="r", seed=1, stream="corrected"):
    """Write `count` bias, dark and flat frames each; return their paths by kind."""
    return {
        kind: [
            write_frame(
                calibration_frame(camera, kind, n, band=band, seed=seed),
                Path(folder, "calibration", f"{name}_{n}.fits"), stream,
            )
            for n in range(count)
        ]
        for kind, name in (("bias", "bias"), ("dark", "dark"), ("flat", f"flat_{band}"))
    }  # fmt: skip


def write_field(folder: Path, scene: Scene, visit: Visit, *, ratio=1.0) -> list[Path]:
    """Write a template for each detector, the reference catalogue and the scene's truth as FITS."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    reference = exposures.template_visit(visit, scene, ratio)
    paths = []
    for number in range(scene.parameters.detectors):
        template, _ = exposures.template(scene, reference, number)
        paths.append(folder / f"template_{visit.band}_{number}.fits")
        write_exposure(template, paths[-1], compress=False)
    Table(reference_stars(scene)).write(folder / "reference.fits", overwrite=True)
    tables = {name: Table(getattr(scene, name)) for name in ("stars", "galaxies", "transients", "asteroids")}
    tables["asteroids"]["flux"] = scene.asteroid_flux
    hdus = [fits.PrimaryHDU(), *(fits.BinTableHDU(table, name=name) for name, table in tables.items())]
    fits.HDUList(hdus).writeto(folder / "truth.fits", overwrite=True)
    orbit_table(scene).write(folder / "orbits.fits", overwrite=True)
    return paths


def orbit_table(scene: Scene) -> Table:
    """Return name, epoch and cometary elements of the scene's asteroids."""
    epoch, asteroids = scene.parameters.epoch, scene.asteroids
    table = Table(elements_of(asteroids["position"], asteroids["velocity"], epoch))
    table["name"] = [f"simulated {number}" for number in range(len(asteroids))]
    table["epoch_tai"] = np.full(len(asteroids), epoch)
    return table
