"""Postage stamps: small FITS files with WCS, mask and variance, and the file that holds those of a detector.

A stamps file is an index in NumPy's `.npy` format followed by gzipped FITS files, so that a worker writes it
with one sync and a reader finds one stamp by one seek.
"""

import gzip
import io
from collections.abc import Iterator, Mapping
from itertools import accumulate

import numpy as np

from pipelines.image.exposure import Exposure
from pipelines.image.masked import MASK_PLANES, bits

SIDE = 31  # pixels of a stamp
HALF = SIDE // 2
MEDIA_TYPE = "application/x-hven-stamps"
INDEX = np.dtype([("dia_source_id", "i8"), ("kind", "S16"), ("offset", "i8"), ("length", "i4")])
"""What a stamps file holds: kind is science, difference, difference_1 … (of a Snap) or template."""

LEVEL = 6  # of gzip
BLOCK = 2880  # bytes of a FITS block
CARD = 80  # characters of a FITS card
EXTENSIONS = ("IMAGE", "MASK", "VARIANCE")
ARCSEC = 3600.0


def make_stamps(exposure: Exposure, ra: np.ndarray, dec: np.ndarray) -> list[bytes]:
    """Return one gzipped FITS file for each place: `SIDE` pixels square round the pixel that the place is in.

    Each holds the extensions IMAGE and VARIANCE (float32) and MASK (int32, planes named as MP_…), in the unit of the
    exposure, with a tangent-plane WCS that is the exposure's at the place. Pixels beyond the border, and those
    that are not finite, are 0 and NO_DATA.

    Parameters
    ----------
    exposure : Exposure
        With WCS.
    ra, dec : ndarray, shape (n,)
        Places [deg, ICRS].
    """
    if not len(ra):
        return []
    x, y = (np.rint(place).astype(int) for place in exposure.wcs.pixel(ra, dec))
    centre = np.stack(exposure.wcs.sky(x, y), axis=-1)
    scale = exposure.wcs.jacobian(x, y) / ARCSEC
    places = zip(x.tolist(), y.tolist(), centre.tolist(), scale.tolist(), strict=True)
    common = _observation_cards(exposure)
    return [gzip.compress(_fits(_cut(exposure, *at), wcs, common), LEVEL, mtime=0) for *at, wcs in _paired(places)]


def _paired(places) -> Iterator[tuple]:
    return ((x, y, (centre, scale)) for x, y, centre, scale in places)


def _cut(exposure: Exposure, x: int, y: int) -> dict[str, np.ndarray]:
    """Return the planes round a pixel, big-endian, padded beyond the border."""
    pixels, (rows, columns) = exposure.pixels, exposure.shape
    planes = {"IMAGE": np.zeros((SIDE, SIDE), ">f4"), "VARIANCE": np.zeros((SIDE, SIDE), ">f4"),
              "MASK": np.full((SIDE, SIDE), bits("NO_DATA"), ">i4")}
    y_lo, y_hi = (min(max(edge, 0), rows) for edge in (y - HALF, y + HALF + 1))
    x_lo, x_hi = (min(max(edge, 0), columns) for edge in (x - HALF, x + HALF + 1))
    here = np.s_[y_lo - y + HALF : y_hi - y + HALF, x_lo - x + HALF : x_hi - x + HALF]
    there = np.s_[y_lo:y_hi, x_lo:x_hi]
    for name, plane in (("IMAGE", pixels.image), ("MASK", pixels.mask), ("VARIANCE", pixels.variance)):
        planes[name][here] = plane[there]
    bad = ~(np.isfinite(planes["IMAGE"]) & np.isfinite(planes["VARIANCE"]))
    planes["IMAGE"][bad] = planes["VARIANCE"][bad] = 0
    planes["MASK"][bad] |= bits("NO_DATA")
    return planes


def _fits(planes: Mapping[str, np.ndarray], wcs: tuple, common: str) -> bytes:
    """Return a FITS file; written by hand, as astropy takes 10 ms for what takes 0.1 here."""
    primary = _card("SIMPLE", True) + _card("BITPIX", 8) + _card("NAXIS", 0) + _card("EXTEND", True) + common
    parts = [_padded(primary + "END".ljust(CARD), " ")]
    for name in EXTENSIONS:
        plane = planes[name]
        cards = [("XTENSION", "IMAGE"), ("BITPIX", -32 if plane.dtype.kind == "f" else 32), ("NAXIS", 2),
                 ("NAXIS1", plane.shape[1]), ("NAXIS2", plane.shape[0]), ("PCOUNT", 0), ("GCOUNT", 1),
                 ("EXTNAME", name)]
        header = "".join(_card(*card) for card in cards) + _wcs_cards(*wcs)
        header += MASK_CARDS if name == "MASK" else ""
        parts += [_padded(header + "END".ljust(CARD), " "), _padded(plane.tobytes(), b"\0")]
    return b"".join(parts)


def _wcs_cards(centre, scale) -> str:
    cards = [("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CUNIT1", "deg"), ("CUNIT2", "deg"), ("RADESYS", "ICRS"),
             ("CRVAL1", centre[0]), ("CRVAL2", centre[1]), ("CRPIX1", HALF + 1.0), ("CRPIX2", HALF + 1.0)]
    cards += [(f"CD{row + 1}_{column + 1}", scale[row][column]) for row in (0, 1) for column in (0, 1)]
    return "".join(_card(*card) for card in cards)


def _observation_cards(exposure: Exposure) -> str:
    """Return what the stamps of an exposure have in common, under the keywords that its own file has."""
    from pipelines.image.files import KEYWORDS

    cards = [("TIMESYS", "TAI")]
    cards += [(keyword, getattr(exposure.observation, name)) for name, (keyword, _) in KEYWORDS.items()]
    if exposure.photo_calib is not None:
        cards += [("NJYCOUNT", exposure.photo_calib.nanojansky_per_count), ("NJYERR", exposure.photo_calib.err)]
    return "".join(_card(keyword, value) for keyword, value in cards if value is not None)


def _card(keyword: str, value: object) -> str:
    if isinstance(value, bool):
        said = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        said = f"'{value.replace(chr(39), chr(39) * 2):<8}'"
    else:
        said = f"{str(value).upper():>20}"
    name = f"{keyword:<8}" if len(keyword) <= 8 else f"HIERARCH {keyword} "
    return f"{name}= {said}"[:CARD].ljust(CARD)


MASK_CARDS = "".join(_card(f"MP_{plane}", number) for number, plane in enumerate(MASK_PLANES))


def _padded(content, filler) -> bytes:
    missing = -len(content) % BLOCK
    whole = content + filler * missing
    return whole.encode("ascii") if isinstance(whole, str) else whole


def pack_stamps(dia_source_id: np.ndarray, stamps: Mapping[str, list[bytes]]) -> bytes:
    """Return a stamps file.

    Parameters
    ----------
    dia_source_id : ndarray of int64, shape (n,)
    stamps : mapping of str to list of bytes
        Kind → the stamps in the order of `dia_source_id`.
    """
    kinds = list(stamps)
    parts = [stamps[kind][row] for row in range(len(dia_source_id)) for kind in kinds]
    index = np.zeros(len(parts), INDEX)
    index["dia_source_id"] = np.repeat(dia_source_id, len(kinds))
    index["kind"] = np.tile(np.array(kinds, "S16"), len(dia_source_id))
    index["length"] = lengths = [len(part) for part in parts]
    index["offset"] = [0, *accumulate(lengths)][: len(parts)]
    head = io.BytesIO()
    np.save(head, index)
    return head.getvalue() + b"".join(parts)


def unpack_stamps(content: bytes, wanted: set[int] | None = None) -> dict[int, dict[str, bytes]]:
    """Return DiaSource → kind → gzipped FITS file, of the whole of a stamps file or of some DiaSources."""
    stream = io.BytesIO(content)
    index = np.load(stream)
    base = stream.tell()
    found: dict[int, dict[str, bytes]] = {}
    for dia_source_id, kind, offset, length in index.tolist():
        if wanted is None or dia_source_id in wanted:
            found.setdefault(dia_source_id, {})[kind.decode()] = content[base + offset : base + offset + length]
    return found
