"""Which columns of a file are a position on the sky, and what they are in degrees."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from federation.columns import Field, clean
from federation.errors import Level3Error

NAMES = {
    "ra": ("ra", "raj2000", "raicrs", "radeg", "radegj2000", "ra2000", "alpha", "alphaj2000", "rightascension"),
    "dec": ("dec", "dej2000", "decj2000", "deicrs", "decicrs", "dedeg", "decdeg", "de2000", "dec2000", "delta",
            "deltaj2000", "declination", "de"),
}  # fmt: skip
UCDS = {"ra": ("pos.eq.ra", "pos_eq_ra"), "dec": ("pos.eq.dec", "pos_eq_dec")}
ANGLES = {
    "deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": 180 / np.pi, "radian": 180 / np.pi, "radians": 180 / np.pi,
    "hourangle": 15.0, "h": 15.0, "hr": 15.0, "hour": 15.0, "arcsec": 1 / 3600, "arcmin": 1 / 60,
    "mas": 1 / 3.6e6,
}  # fmt: skip
"""Unit → degrees."""
SEXAGESIMAL = {"sexagesimal", '"h:m:s"', '"d:m:s"', "h:m:s", "d:m:s", "hms", "dms"}
PARTS = (
    r"^\s*(?P<sign>[+-]?)\s*(?P<a>\d{1,3})\s*[:hd°\s]\s*"
    r"(?P<b>[0-5]?\d)\s*[:m'′\s]\s*(?P<c>[0-5]?\d(?:\.\d*)?)\s*[s\"″]?\s*$"
)
FRAMES = ("ICRS", "FK5", "")


@dataclass(frozen=True)
class Angle:
    """A column that is one coordinate: which, and degrees in its unit; None for sexagesimal text."""

    number: int
    scale: float | None


@dataclass(frozen=True)
class Position:
    """The columns of a file that are a position.

    Parameters
    ----------
    ra, dec : Angle
    as_is : bool
        Whether they are `ra` and `dec` in degrees already, so that only healpix29 is added.
    """

    ra: Angle
    dec: Angle
    as_is: bool


def recognise(
    fields: Sequence[Field], ra: str | None = None, dec: str | None = None, unit: str | None = None
) -> Position | None:
    """Return the position of each row, if the columns tell, or None.

    Parameters
    ----------
    fields : sequence of Field
    ra, dec : str, optional
        Columns that are known to be it.
    unit : str, optional
        Their unit: deg, rad, hour or sexagesimal; default what the file says, else degrees for numbers and
        sexagesimal for texts.
    """
    if bool(ra) != bool(dec):
        raise Level3Error("level3: got one of --ra and --dec; allowed are both or none", "name both columns")
    found = {}
    for which, told in (("ra", ra), ("dec", dec)):
        number = _named(fields, told) if told else _guess(fields, which)
        if number is None:
            return None
        found[which] = Angle(number, _scale(fields[number], which, unit, bool(told)))
    if any(angle.scale == 0 for angle in found.values()):
        return None
    as_is = all(
        fields[angle.number].original == which and angle.scale == 1 and fields[angle.number].type == pa.float64()
        for which, angle in found.items()
    )
    return Position(found["ra"], found["dec"], as_is)


def _named(fields: Sequence[Field], name: str) -> int:
    for number, field in enumerate(fields):
        if field.original == name:
            return number
    known = ", ".join(field.original for field in fields)
    raise Level3Error(f"level3: the file has no column {name!r}; it has {known}", "name one of these by --ra and --dec")


def _guess(fields: Sequence[Field], which: str) -> int | None:
    """The column whose UCD says so (the main one first), else whose name does."""
    ucds = [(field.ucd or "").lower() for field in fields]
    for main in ("main", ""):
        for number, ucd in enumerate(ucds):
            if ucd.startswith(UCDS[which]) and main in ucd:
                return number
    names = [clean(field.original).replace("_", "") for field in fields]
    return next((names.index(name) for name in NAMES[which] if name in names), None)


def _scale(field: Field, which: str, told: str | None, certain: bool) -> float | None:
    """Degrees in the column's unit, None for sexagesimal, 0 if it is no angle."""
    unit = (told or field.unit or "").strip()
    is_text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    if is_text and (not unit or unit.lower() in SEXAGESIMAL or unit in ANGLES):
        return None
    if not is_text and (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
        if not unit:
            return 1.0
        if unit.lower() in ANGLES:
            return ANGLES[unit.lower()]
    if certain:
        raise Level3Error(
            f"level3: {which} in {field.original!r} is {field.type} in {unit or 'no unit'};"
            " allowed are numbers in deg, rad or hour, and sexagesimal texts",
            "tell the unit by --unit",
        )
    return 0.0


def degrees(column: pa.Array, angle: Angle, which: str) -> pa.Array:
    """Return a coordinate in degrees; NULL where a text is none."""
    if angle.scale is None:
        return sexagesimal(column, 15.0 if which == "ra" else 1.0)
    values = pc.cast(column, pa.float64())
    return values if angle.scale == 1 else pc.multiply(values, angle.scale)


def sexagesimal(texts: pa.Array, factor: float) -> pa.Array:
    """Return texts such as 12:34:56.7 or -12d34m56s in degrees, times `factor`; those with a `d` are degrees."""
    parts = pc.extract_regex(texts, PARTS)
    a, b, c = (pc.cast(pc.struct_field(parts, name), pa.float64()) for name in "abc")
    size = pc.add(a, pc.divide(pc.add(b, pc.divide(c, 60.0)), 60.0))
    signed = pc.if_else(pc.equal(pc.struct_field(parts, "sign"), "-"), pc.negate(size), size)
    in_degrees = pc.match_substring_regex(texts, "[d°]")
    return pc.if_else(in_degrees, signed, pc.multiply(signed, factor))


def pixels(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return healpix29 of positions [deg]."""
    import healpy

    return healpy.ang2pix(1 << 29, ra, dec, nest=True, lonlat=True)
