"""pgSphere's types as values of Python, in degrees (ICRS); their column types are in `db.sphere`.

pgSphere has no binary form and prints 15 digits in radians; the values here are rounded to 10⁻¹² deg
(3.6 nano-arcsec), so that a value with at most 12 decimals comes back from the database as it went in. (But
pgSphere takes angles within 10⁻⁹ rad, 0.2 mas, of RA 0 or of the equator for 0, and the RA of a pole as 0.)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import degrees, isfinite
from typing import ClassVar, Self, get_args

import numpy as np

from db.errors import HvenError

DECIMALS = 12  # of a degree, the last that 15 digits of 2π radians still carry
MOC_ORDER = 29  # the finest HEALPix order, in which Moc counts its cells


class SphereError(HvenError, ValueError):
    """A place or region on the sky that can't exist, or text that is not one of pgSphere's."""

    exit_status = 15


@dataclass(frozen=True)
class Point:
    """A position (`spoint`).

    Parameters
    ----------
    ra, dec : float
        Right ascension 0 ≤ ra < 360 and declination −90 ≤ dec ≤ 90 [deg, ICRS].
    """

    ra: float
    dec: float
    sql: ClassVar[str] = "spoint"

    def __post_init__(self):
        if not (0 <= self.ra < 360 and -90 <= self.dec <= 90):
            raise SphereError(
                f"Point got ra={self.ra}, dec={self.dec}; allowed are 0 <= ra < 360 and -90 <= dec <= 90",
                "give degrees, and reduce right ascensions modulo 360",
            )

    def __str__(self):
        return f"({_deg(self.ra)},{_deg(self.dec)})"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The point that pgSphere printed (radians, or degrees marked `d`)."""
        return cls(*_position(_angles(text, 2)))


@dataclass(frozen=True)
class Circle:
    """A cone on the sky (`scircle`): its centre and radius [deg], at most 90."""

    center: Point
    radius: float
    sql: ClassVar[str] = "scircle"

    def __post_init__(self):
        _check("Circle", "radius", self.radius, 90)

    def __str__(self):
        return f"<{self.center},{_deg(self.radius)}>"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The circle that pgSphere printed."""
        *center, radius = _angles(text, 3)
        return cls(Point(*_position(center)), radius)


@dataclass(frozen=True)
class Ellipse:
    """An ellipse on the sky (`sellipse`).

    Parameters
    ----------
    center : Point
    major, minor : float
        Semi-axes [deg], at most 90.
    inclination : float
        Angle of the major axis from increasing ra towards north [deg], 0 ≤ inclination < 180.
    """

    center: Point
    major: float
    minor: float
    inclination: float
    sql: ClassVar[str] = "sellipse"

    def __post_init__(self):
        _check("Ellipse", "major", self.major, 90)
        _check("Ellipse", "minor", self.minor, self.major)

    def __str__(self):
        axes = f"{{{_deg(self.major)},{_deg(self.minor)}}}"
        return f"<{axes},{self.center},{_deg(self.inclination)}>"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The ellipse that pgSphere printed."""
        major, minor, ra, dec, inclination = _angles(text, 5)
        return cls(Point(*_position((ra, dec))), major, minor, inclination % 180)


@dataclass(frozen=True)
class Box:
    """A box between two parallels and two meridians (`sbox`), from south-west eastwards to north-east.

    It may cross RA 0: then `sw.ra > ne.ra`.
    """

    sw: Point
    ne: Point
    sql: ClassVar[str] = "sbox"

    def __post_init__(self):
        if self.sw.dec > self.ne.dec:
            raise SphereError(
                f"Box got its south edge {self.sw.dec} deg north of its north edge {self.ne.dec} deg",
                "exchange the declinations",
            )

    def __str__(self):
        return f"({self.sw},{self.ne})"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The box that pgSphere printed."""
        angles = _angles(text, 4)
        return cls(Point(*_position(angles[:2])), Point(*_position(angles[2:])))


@dataclass(frozen=True)
class _Chain:
    vertices: tuple[Point, ...]
    at_least: ClassVar[int]

    def __post_init__(self):
        if len(self.vertices) < self.at_least:
            got = f"{type(self).__name__} got {len(self.vertices)} vertices"
            raise SphereError(f"{got}; at least {self.at_least} are needed", "give all of them, in order")

    def __str__(self):
        return "{" + ",".join(map(str, self.vertices)) + "}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The chain of vertices that pgSphere printed."""
        pairs = iter(_angles(text))
        return cls(tuple(Point(*_position(pair)) for pair in zip(pairs, pairs, strict=True)))


@dataclass(frozen=True)
class Polygon(_Chain):
    """A polygon of great circles (`spoly`): its vertices in order, the last joined to the first."""

    sql: ClassVar[str] = "spoly"
    at_least: ClassVar[int] = 3


@dataclass(frozen=True)
class Path(_Chain):
    """An open path of great circles (`spath`)."""

    sql: ClassVar[str] = "spath"
    at_least: ClassVar[int] = 2


@dataclass(frozen=True)
class Moc:
    """A multi-order coverage map (`smoc`; IVOA MOC 2.0).

    Parameters
    ----------
    ranges : tuple of (int, int)
        Sorted, disjoint, half-open ranges of NESTED cells of order 29.
    """

    ranges: tuple[tuple[int, int], ...]
    sql: ClassVar[str] = "smoc"

    def __str__(self):
        if not self.ranges:
            return "0/"
        # pgSphere refuses the range 7-7
        cells = (f"{first}-{stop - 1}" if stop - first > 1 else f"{first}" for first, stop in self.ranges)
        return f"{MOC_ORDER}/{','.join(cells)}"

    @classmethod
    def from_cells(cls, order: int, cells: Iterable[int]) -> Self:
        """The coverage by NESTED `cells` of one HEALPix order."""
        first = np.unique(np.fromiter(cells, np.int64)) << 2 * (MOC_ORDER - order)
        return cls.from_ranges(first, first + (1 << 2 * (MOC_ORDER - order)))

    @classmethod
    def from_ranges(cls, first, stop) -> Self:
        """The union of half-open ranges of order-29 cells, given in any order, overlapping or touching."""
        order = np.argsort(first, kind="stable")
        first, stop = np.asarray(first)[order], np.maximum.accumulate(np.asarray(stop)[order])
        begins = np.ones(len(first), bool)
        begins[1:] = first[1:] > stop[:-1]
        ends = np.append(begins[1:], True)[: len(first)]
        return cls(tuple(zip(first[begins].tolist(), stop[ends].tolist(), strict=True)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The coverage that MOC's ASCII form names, such as `3/1-3 4/100`."""
        first, stop, shift = [], [], 0
        for begin, end, slash in re.findall(r"(\d+)(?:-(\d+))?(/?)", text):
            if slash:
                shift = 2 * (MOC_ORDER - int(begin))
            else:
                first.append(int(begin) << shift)
                stop.append(int(end or begin) + 1 << shift)
        return cls.from_ranges(np.array(first, np.int64), np.array(stop, np.int64))


Value = Point | Circle | Ellipse | Box | Polygon | Path | Moc
VALUES = get_args(Value)


def _deg(angle: float) -> str:
    return f"{float(angle)!r}d"


def _check(who: str, what: str, got: float, most: float):
    if not (isfinite(got) and 0 <= got <= most):
        raise SphereError(f"{who} got {what}={got}; allowed is 0 <= {what} <= {most} [deg]", "give a length in degrees")


def _angles(text: str, count: int | None = None) -> list[float]:
    found = re.findall(r"([-+]?\d[\d.]*(?:[eE][-+]?\d+)?)\s*(d?)", text)
    if not found or count not in (None, len(found)):
        raise SphereError(f"got {text!r}; allowed are pgSphere's radians or degrees", "call set_sphere_output('RAD')")
    return [round(float(x) if unit else degrees(float(x)), DECIMALS) for x, unit in found]


def _position(angles) -> tuple[float, float]:
    ra, dec = angles
    return ra % 360, dec


def quoted(value: Value) -> str:
    """The value as a literal of SQL, cast to its type, which stands in `public`."""
    return f"'{value}'::public.{value.sql}"
