"""Ids as functions of content: pack and unpack them, for integers and numpy arrays alike.

Each id is one non-negative bigint whose parts lie side by side, the first part in the highest bits, so that
ids sort by their parts and a range of ids is a range of parts. The SQL twins stand in ``udf/ids.sql``.
"""

from enum import IntEnum
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from db.errors import HvenError

Integers = int | npt.NDArray[np.int64]

MJD_OF_NIGHT_0 = 50000  # 10 October 1995, so that 14 bits reach to August 2040
SLOTS_PER_DAY = 4096  # 21.1 s each: shorter than any Visit
BITS_BELOW_ORDER_25 = 8  # healpix29 >> 8 is the order-25 pixel (6 mas) of the same place


class IdError(HvenError):
    """A part does not fit into its bits, or an id is negative."""

    exit_status = 17


class Kind(IntEnum):
    """What an Exposure's pixels are."""

    RAW = 0
    CALIBRATED = 1
    DIFFERENCE = 2


class ObjectId(NamedTuple):
    """Release, order-25 NESTED pixel of the discovery position, and tie between Objects of one pixel."""

    release: Integers
    pixel: Integers
    tie: Integers


class VisitId(NamedTuple):
    """Night (see `night_of`) and sequence (the header's, else `slot_of_day`)."""

    night: Integers
    sequence: Integers


class ExposureId(NamedTuple):
    """Visit, detector, Snap (0 = the Visit's sum) and `Kind`."""

    visit_id: Integers
    detector: Integers
    snap: Integers
    kind: Integers


class MeasurementId(NamedTuple):
    """Release, Visit, detector, Snap, rank (by healpix29, then SNR) and attempt of the processing."""

    release: Integers
    visit_id: Integers
    detector: Integers
    snap: Integers
    rank: Integers
    attempt: Integers


Parts = TypeVar("Parts", ObjectId, VisitId, ExposureId, MeasurementId)

BITS: dict[type, tuple[int, ...]] = {
    ObjectId: (6, 54, 3),
    VisitId: (14, 12),
    ExposureId: (26, 8, 2, 2),
    MeasurementId: (6, 26, 8, 2, 17, 4),
}
"""Width of each part, in the order of the fields."""

HIGHEST = {(ObjectId, "pixel"): 12 * 4**25 - 1, (ExposureId, "kind"): max(Kind)}
"""Highest value of the parts that do not use all of their bits."""


def pack(parts: Parts) -> Integers:
    """Make ids of their parts.

    Parameters
    ----------
    parts : ObjectId, VisitId, ExposureId or MeasurementId
        Each part is an integer or an integer array; arrays are broadcast against each other.

    Returns
    -------
    int or ndarray of int64
        An int where all parts are integers.

    Raises
    ------
    IdError
        If a part does not fit into its bits, or is no integer.
    """
    packed: Integers = 0
    for name, bits, part in zip(parts._fields, BITS[type(parts)], parts, strict=True):
        packed = (packed << bits) | _checked(part, name, HIGHEST.get((type(parts), name), 2**bits - 1))
    return packed if np.ndim(packed) else int(packed)


def unpack(kind: type[Parts], ids: Integers) -> Parts:
    """Take ids apart; the inverse of `pack`.

    Parameters
    ----------
    kind : type
        ObjectId, VisitId, ExposureId or MeasurementId.
    ids : int or ndarray of int64

    Returns
    -------
    ObjectId, VisitId, ExposureId or MeasurementId
        With integers for an integer, with int64 arrays for an array.

    Raises
    ------
    IdError
        If an id is negative, has more bits than its kind, or holds a part that `pack` refuses.
    """
    rest = _checked(ids, kind.__name__, 2 ** sum(BITS[kind]) - 1)
    parts = []
    for name, bits in reversed(list(zip(kind._fields, BITS[kind], strict=True))):
        parts.append(_checked(rest & (2**bits - 1), name, HIGHEST.get((kind, name), 2**bits - 1)))
        rest = rest >> bits
    return kind(*(part if np.ndim(part) else int(part) for part in reversed(parts)))


def bounds(release: int, visit_id: int) -> tuple[int, int]:
    """Lowest and highest possible measurement id of a Visit, for range conditions that prune partitions."""
    lowest = pack(MeasurementId(release, visit_id, 0, 0, 0, 0))
    return int(lowest), int(pack(MeasurementId(release, visit_id, 255, 3, 2**17 - 1, 15)))


def object_pixel(healpix29: Integers) -> Integers:
    """Order-25 pixel, the middle part of an object_id, of an order-29 NESTED pixel."""
    return healpix29 >> BITS_BELOW_ORDER_25


def night_of(mjd: float | npt.NDArray[np.float64], longitude_deg: float) -> Integers:
    """Night that a moment belongs to: whole MJD of the local mean noon before it, minus 50000.

    Parameters
    ----------
    mjd : float or ndarray
        TAI or UTC [MJD, days]; they differ by less than a minute, which matters at noon only.
    longitude_deg : float
        Of the telescope, east positive [deg].
    """
    night = np.floor(_days_since_noon(mjd, longitude_deg)).astype(np.int64)
    return night if np.ndim(night) else int(night)


def slot_of_day(mjd: float | npt.NDArray[np.float64], longitude_deg: float) -> Integers:
    """Sequence within the night of a Visit whose header has none: its 21.1 s slot since local mean noon."""
    since_noon = _days_since_noon(mjd, longitude_deg)
    slot = np.floor((since_noon - np.floor(since_noon)) * SLOTS_PER_DAY).astype(np.int64)
    return slot if np.ndim(slot) else int(slot)


def _days_since_noon(mjd, longitude_deg):
    return np.asarray(mjd, dtype=float) + longitude_deg / 360 - 0.5 - MJD_OF_NIGHT_0


def _checked(part: Integers, name: str, highest: int) -> Integers:
    if type(part) is int and 0 <= part <= highest:
        return part  # one id alone: numpy would take twenty times as long
    values = np.asarray(part)
    if values.dtype.kind not in "iu" and values.size:
        raise IdError(f"ids: {name} is {values.dtype}, allowed are integers", "convert it before packing")
    wrong = (values < 0) | (values > highest)
    if wrong.any():
        got = int(values[wrong].flat[0])
        raise IdError(f"ids: {name} is {got}, allowed is 0 to {highest}", "check where the value comes from")
    return values.astype(np.int64)[()]
