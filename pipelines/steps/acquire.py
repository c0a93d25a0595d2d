"""Read a camera's raw file as the segments of a detector, with its header translated."""

import hashlib
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.time import Time

from pipelines.image import Exposure, MaskedImage, Observation
from pipelines.image.files import DamagedFile
from pipelines.steps.conditions import BadInput


class WrongHeader(BadInput):
    """A raw file whose header does not say what the instrument's description expects."""

    condition = "wrong_header"


def sha256(path):
    """Return the sha256 of a file as 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_raw(path, instrument, detector=0):
    """Read one detector of a raw file.

    Parameters
    ----------
    path : path-like
    instrument : Instrument
    detector : int

    Returns
    -------
    list of Exposure
        One for each amplifier, overscan included, in raw counts, placed on the detector by `pixels.x0, y0`.

    Raises
    ------
    DamagedFile, WrongHeader
    """
    name = Path(path).name
    try:
        with fits.open(path, memmap=False) as hdus:
            observation = observe(hdus[0].header, instrument, detector, name)
            return [
                Exposure(
                    _segment(hdus[a.hdu or 0].data, a, name),
                    observation,
                    provenance=(f"acquire: {name} amplifier {a.name}",),
                )
                for a in instrument.detector(detector).amplifiers
            ]
    except (OSError, IndexError, TypeError) as error:
        raise DamagedFile(
            f"read_raw got {name}, which is no readable raw file of {instrument.name} ({error})",
            "fetch the file again and compare its sha256 with the archive's",
        ) from error


def _segment(raw, amplifier, name):
    x_lo, x_hi, y_lo, y_hi = amplifier.box
    expected = (y_hi - y_lo, x_hi - x_lo)
    if raw.ndim != 2 or raw.shape[0] < expected[0] or raw.shape[1] < expected[1]:
        raise WrongHeader(
            f"read_raw got {name} with {raw.shape} pixels for amplifier {amplifier.name}, "
            f"which needs at least {expected}",
            "check that the file belongs to this instrument",
        )
    image = np.ascontiguousarray(raw, raw.dtype.newbyteorder("="))
    empty = np.broadcast_to(np.float32(0), image.shape)
    return MaskedImage(image, np.zeros(image.shape, np.int32), empty, x_lo, y_lo)


def observe(header, instrument, detector=0, name="header"):
    """Translate a raw header into an Observation by the instrument's `header` table."""
    keys = instrument.header
    try:
        start = Time(_date(header, keys["start_utc"]), scale="utc")
        seconds = float(header[keys["exposure_seconds"]])
        band = str(header[keys["band"]]).strip()
    except (KeyError, ValueError, TypeError) as error:
        raise WrongHeader(
            f"read_raw got {name}, whose header lacks or garbles {error}; {instrument.name} needs "
            + ", ".join(str(v) for v in keys.values()),
            "check the instrument's description, or repair the header",
        ) from error
    boresight = None
    if keys.get("ra") in header and keys.get("dec") in header:
        boresight = (float(header[keys["ra"]]), float(header[keys["dec"]]))
    return Observation(
        instrument=instrument.name,
        detector=detector,
        snap=int(header.get(keys.get("snap", "SNAP"), 1)),
        kind="raw",
        band=instrument.bands.get(band, band),
        midpoint_tai=start.tai.mjd + seconds / 2 / 86400,
        exposure_seconds=seconds,
        sequence=header.get(keys.get("sequence", "SEQNUM")),
        boresight=boresight,
    )


def _date(header, keyword):
    """Return an ISO date; some cameras write an offset of zero behind it, or date and time apart."""
    keywords = [keyword] if isinstance(keyword, str) else keyword
    return "T".join(header[k].strip() for k in keywords).removesuffix("-0000").removesuffix("+0000").rstrip("Z")
