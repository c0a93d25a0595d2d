"""A field made ready for the night: masters, templates, reference stars, Objects and orbits, from a folder's files.

The folder is laid out as `hven simulate` writes it: calibration/bias_0.fits, dark_0.fits, flat_r_0.fits …;
template_r_0.fits, one for each band and detector; reference.fits; and, where orbits are known, orbits.fits.
"""

from pathlib import Path

import numpy as np
from astropy.table import Table
from psycopg2.extensions import connection as Connection

from db import queue
from db.errors import HvenError
from db.files import FileStore, register
from db.load import load
from db.queries import queries
from db.queue import Production
from db.software import software
from pipelines.image import read_exposure
from pipelines.image.files import exposure_bytes
from pipelines.instruments import Instrument
from pipelines.mops.kepler import ELEMENTS
from pipelines.productions import detector as steps
from pipelines.productions.bootstrap import RELEASE
from pipelines.productions.refcat import import_catalogue
from pipelines.productions.rows import object_rows
from pipelines.productions.signature import make_masters
from pipelines.steps.detect import detect
from pipelines.steps.psf import fit_psf

REFERENCE = "field"
"""Name of the folder's stars in `refcat`."""
EPOCH = 2027.0  # Julian year of a reference catalogue that tells none
KINDS = ("bias", "dark", "flat")


class IncompleteField(HvenError):
    """A folder that lacks what a night needs."""

    exit_status = 66


def prepare(connection: Connection, store: FileStore, folder: Path, camera: Instrument, name: str = "night") -> int:
    """Make an empty live database ready for a field's night; return the production_id.

    Raises
    ------
    IncompleteField
        The folder has no reference stars, or no template, or no calibration frames.
    """
    files = {
        f"{band} {detector.number}": _files(store, folder, camera, detector.number, band)
        for band in _bands(folder) for detector in camera.detectors
    }
    parameters = {"instrument": camera.name, "reference": REFERENCE, "files": {
        place: {role: stored.sha256.hex() for role, stored in own.items()} for place, own in files.items()
    }}
    with connection, connection.cursor() as cursor:
        for place, own in files.items():
            for role, stored in own.items():
                register(cursor, stored, "image/fits", name=f"{role} {place}")
        stars = Table.read(_existing(folder / "reference.fits"))
        columns = {name: name for name in ("ra", "dec", "magnitude")}
        import_catalogue(connection, REFERENCE, stars, columns, EPOCH, "r")
        load(connection, "object", object_rows(_sources(folder, camera), RELEASE))
        if (folder / "orbits.fits").exists():
            cursor.execute(queries("live")["save_orbits"], orbit_rows(Table.read(folder / "orbits.fits")))
        return queue.start_production(cursor, Production("alert", name, **vars(software()), parameters=parameters))


def orbit_rows(orbits: Table) -> dict:
    """Return the columns of `moving_object` for a table with name, epoch_tai and the elements."""
    return {
        "ids": list(range(1, len(orbits) + 1)), "names": [str(name) for name in orbits["name"]],
        **{name: np.asarray(orbits[name], float).tolist() for name in ("epoch_tai", *ELEMENTS.names)},
    }


def _bands(folder: Path) -> list[str]:
    found = sorted({path.stem.split("_")[1] for path in folder.glob("template_*_*.fits")})
    if not found:
        raise IncompleteField(
            f"prepare: {folder} has no template_BAND_DETECTOR.fits", "name a folder that `hven simulate` wrote"
        )
    return found


def _files(store: FileStore, folder: Path, camera: Instrument, number: int, band: str) -> dict:
    """Store the template and the masters of one detector and band; return them by role."""
    patterns = {"bias": "bias_*.fits", "dark": "dark_*.fits", "flat": f"flat_{band}_*.fits"}
    frames = {kind: sorted((folder / "calibration").glob(pattern)) for kind, pattern in patterns.items()}
    for kind, found in frames.items():
        if not found:
            raise IncompleteField(f"prepare: {folder}/calibration has no {patterns[kind]}", f"add {kind} frames")
    masters = make_masters(frames, camera, number)
    stored = {kind: store.put(exposure_bytes(getattr(masters, kind), compress=False)) for kind in KINDS}
    template = steps.coadd_like(read_exposure(_existing(folder / f"template_{band}_{number}.fits")))
    return stored | {"template": store.put(exposure_bytes(template, compress=False))}


def _existing(path: Path) -> Path:
    if not path.exists():
        raise IncompleteField(f"prepare: there is no {path}", "name a folder that `hven simulate` wrote")
    return path


def _sources(folder: Path, camera: Instrument) -> np.ndarray:
    """Return what stands on the templates of the first band: the night's first Objects."""
    band, params = _bands(folder)[0], steps.parameters(camera)
    found = []
    for detector in camera.detectors:
        template = read_exposure(folder / f"template_{band}_{detector.number}.fits")
        peaks = detect(template, fwhm=params.fwhm)
        sources = steps.sources(fit_psf(template, peaks)[0], peaks, params)
        found.append(sources[~sources["centroid_flag"] & np.isfinite(sources["ra"])])
    return np.concatenate(found)
