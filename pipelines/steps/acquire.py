"""Read a camera's raw file as the segments of a detector, with its header translated."""

import hashlib
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.time import Time

from pipelines.image import Exposure, MaskedImage, Observation, Wcs
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
    except (OSError, IndexError, TypeError, ValueError) as error:
        raise DamagedFile(
            f"read_raw got {name}, which is no readable raw file of {instrument.name} ({error})",
            "fetch the file again and compare its sha256 with the archive's",
        ) from error


def read_calibrated(path, instrument):
    """Read an image that somebody else has calibrated: the first two-dimensional array with its WCS.

    GAIN and SATURATE are taken from its header where they stand there. The variance is that of the blank sky,
    by the scatter of its pixels, plus the photons above it.

    Returns
    -------
    Exposure
        Of kind "calibrated".
    """
    name = Path(path).name
    try:
        with fits.open(path, memmap=False) as hdus:
            hdu = next(h for h in hdus if getattr(h, "data", None) is not None and h.data.ndim == 2)
            image, header = np.asarray(hdu.data, np.float32), hdus[0].header + hdu.header
    except (OSError, StopIteration, TypeError, ValueError) as error:
        raise DamagedFile(
            f"read_calibrated got {name}, which holds no readable image ({error})",
            "fetch the file again and compare its sha256 with the archive's",
        ) from error
    missing = ~np.isfinite(image)
    sky = np.median(image[~missing])
    variance = (1.4826 * np.median(np.abs(image[~missing] - sky))) ** 2
    image[missing] = sky
    gain = float(header.get("GAIN", 0)) or 1.0
    pixels = MaskedImage.from_image(image).with_(variance=variance + np.maximum(image - sky, 0) / np.float32(gain))
    pixels = pixels.with_flag(missing, "NO_DATA").with_flag(image >= header.get("SATURATE", np.inf), "SAT")
    return Exposure(
        pixels,
        observe(header, instrument, 0, name).with_(kind="calibrated"),
        wcs=Wcs.from_header(header) if "CTYPE1" in header else None,
        provenance=(f"acquire: {name}, calibrated elsewhere",),
    )


def _segment(raw, amplifier, name):
    if raw is None:
        raise WrongHeader(
            f"read_raw got {name} without pixels for amplifier {amplifier.name}",
            "check that the file belongs to this instrument",
        )
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
        boresight = (_angle(header[keys["ra"]], 15), _angle(header[keys["dec"]], 1))
    return Observation(
        instrument=instrument.name,
        detector=detector,
        snap=int(header.get(keys.get("snap", "SNAP"), 1)),
        kind="raw",
        band=instrument.bands.get(band, band),
        midpoint_tai=float(start.tai.mjd) + seconds / 2 / 86400,
        exposure_seconds=seconds,
        sequence=header.get(keys.get("sequence", "SEQNUM")),
        boresight=boresight,
    )


def _angle(value, degrees_a_unit):
    """Return degrees of a number in degrees, or of sexagesimal text in hours (15 degrees) or degrees."""
    if isinstance(value, str) and ":" in value:
        parts = [float(part) for part in value.strip().lstrip("+-").split(":")]
        size = sum(part / 60**k for k, part in enumerate(parts)) * degrees_a_unit
        return -size if value.strip().startswith("-") else size
    return float(value)


def _date(header, keyword):
    """Return an ISO date; some cameras write an offset of zero behind it, or date and time apart."""
    keywords = [keyword] if isinstance(keyword, str) else keyword
    return "T".join(header[k].strip() for k in keywords).removesuffix("-0000").removesuffix("+0000").rstrip("Z")
