"""Master calibrations from a folder of calibration frames, certified in the hub for a range of time."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from astropy.io import fits

from db.connect import HUB, connect
from db.files import FileStore, register
from db.queries import queries
from pipelines.image.files import exposure_bytes
from pipelines.instruments import Instrument
from pipelines.productions.signature import make_masters
from pipelines.steps.acquire import WrongHeader

KINDS = ("bias", "dark", "flat")


def sorted_frames(paths: Sequence[Path], camera: Instrument) -> dict[str, dict[str, list[Path]]]:
    """Return calibration frames by kind, for each band that has flats.

    Raises
    ------
    WrongHeader
        A kind is missing; OBSTYPE tells the kind, the camera's own keyword the band.
    """
    known = defaultdict(list)
    for path in sorted(paths):
        header = fits.getheader(path)
        kind = str(header.get("OBSTYPE", "")).strip().lower()
        known[kind, str(header.get(camera.header["band"], "")).strip() if kind == "flat" else ""].append(path)
    bands = [band for kind, band in known if kind == "flat"]
    missing = [kind for kind in ("bias", "dark") if not known[kind, ""]] + ([] if bands else ["flat"])
    if missing:
        raise WrongHeader(
            f"masters: {len(paths)} frames, none of which has the OBSTYPE {' or '.join(missing)}",
            "name a folder with bias, dark and flat frames",
        )
    return {band: {"bias": known["bias", ""], "dark": known["dark", ""], "flat": known["flat", band]} for band in bands}


def certify(
    store: FileStore, paths: Sequence[Path], camera: Instrument, valid_from_tai: float, valid_to_tai: float
) -> list[str]:
    """Make masters of every detector and band, store them, and certify them in the hub; return what was made."""
    made = []
    for band, frames in sorted_frames(paths, camera).items():
        for detector in camera.detectors:
            masters = make_masters(frames, camera, detector.number)
            for kind in KINDS:
                stored = store.put(exposure_bytes(getattr(masters, kind), compress=False))
                row = {
                    "kind": kind, "instrument": camera.name, "detector_id": detector.number,
                    "filter": band if kind == "flat" else "", "valid_from_tai": valid_from_tai,
                    "valid_to_tai": valid_to_tai, "sha256": stored.sha256.hex(),
                }
                with closing(connect(HUB)) as session, session, session.cursor() as cursor:
                    register(cursor, stored, "image/fits", name=f"{kind}-{camera.name}-{detector.number}-{band}.fits")
                    cursor.execute(queries("build")["certify"], row)
                made.append(f"{kind} of detector {detector.number}" + (f" in {band}" if kind == "flat" else ""))
    return list(dict.fromkeys(made))
