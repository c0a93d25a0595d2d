"""Column idioms: no column exists without its unit, its UCD and its description.

Units are VOUnit strings (IVOA *Units in the VO* 1.0) and ``""`` for a number without one; UCDs are words of
the UCD1+ vocabulary. `ldm` names the table and line of LDM-151 that a column answers, such as ``"T4:Measured
ellipse"``. The generated documentation, the COMMENTs and TAP_SCHEMA all come from here.
"""

from sqlalchemy import (
    REAL,
    TIMESTAMP,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Identity,
    MetaData,
    SmallInteger,
    Table,
    text,
)
from sqlalchemy.types import TypeEngine, UserDefinedType, to_instance

NAMING = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}

NOW = text("now()")
"""Default of a time of operation."""

metadata = MetaData(naming_convention=NAMING)
"""Every table, under the logical schema names `catalogue`, `staging`, `queue`, `efd`, `synthetic`, `hub`, …"""


def column(
    name: str,
    type_: TypeEngine | type[TypeEngine],
    *constraints,
    unit: str,
    ucd: str,
    doc: str,
    ldm: str | None = None,
    science: bool | str | None = None,
    **options,
) -> Column:
    """Return a column that says what it holds.

    Parameters
    ----------
    name : str
        lower_snake_case, legal in SQL without quotes.
    unit : str
        VOUnit string; ``""`` where the value has none.
    ucd : str
        UCD1+ words joined by semicolons.
    doc : str
        One sentence or two; becomes the COMMENT, followed by the unit in brackets.
    ldm : str, optional
        ``"T<n>:<line>"`` of the LDM-151 table that the column answers.
    science : bool or "presence", optional
        Whether two sites, or a rebuild, must agree on the value (or on its being there): digests cover it.
        Default: all but clocks, counters, references to counters, and outlines (see `_is_science`).
    """
    comment = f"{doc} [{unit}]" if unit else doc
    if science is None:
        science = _is_science(name, to_instance(type_), constraints, ucd)
    info = {"unit": unit, "ucd": ucd, "doc": doc, "ldm": ldm, "science": science}
    return Column(name, type_, *constraints, comment=comment, info=info, **options)


def _is_science(name: str, type_: TypeEngine, constraints, ucd: str) -> bool:
    """Tell a result from what a rerun writes otherwise: when it ran, in which order, to which file.

    Outlines follow from the WCS, and pgSphere prints only 15 of their digits.
    """
    is_clock = isinstance(type_, TIMESTAMP) or ucd == "time.processing"
    is_counted = name in ("job_id", "file_id") or any(isinstance(part, Identity) for part in constraints)
    return not (is_clock or is_counted or isinstance(type_, UserDefinedType))


def table(name: str, schema: str, *parts, doc: str, ldm: str | None = None, **info) -> Table:
    """Return a table of a logical schema; its doc becomes the COMMENT. `science=False`: no digest covers it."""
    return Table(name, metadata, *parts, schema=schema, comment=doc, info={"ldm": ldm, **info})


def key(name: str, *constraints, doc: str, ucd: str = "meta.id;meta.main", ldm: str | None = None, **options):
    """Return a 63-bit integer identifier that is never NULL."""
    options.setdefault("nullable", False)
    options.setdefault("autoincrement", False)  # ids are functions of content, never of a counter
    return column(name, BigInteger, *constraints, unit="", ucd=ucd, doc=doc, ldm=ldm, **options)


def link(name: str, *constraints, doc: str, ucd: str = "meta.id.assoc", ldm: str | None = None, **options):
    """Return a 63-bit integer that names a row of another table."""
    return column(name, BigInteger, *constraints, unit="", ucd=ucd, doc=doc, ldm=ldm, **options)


def check(name: str, rule: str, *, doc: str) -> CheckConstraint:
    """Return a constraint that says in words what it demands; the words become its COMMENT."""
    return CheckConstraint(rule, name=name, comment=doc)


def one_of(name: str, *values: str) -> CheckConstraint:
    """Return the constraint that a column holds one of some words."""
    return check(name, f"{name} IN {values}", doc=f"{name} is {', '.join(values[:-1])} or {values[-1]}")


def on_sky() -> CheckConstraint:
    """Return the constraint that (ra, dec) is a position."""
    rule = "ra >= 0 AND ra < 360 AND dec BETWEEN -90 AND 90"
    return check("position", rule, doc="ra is from 0 to below 360 deg, dec from -90 to 90 deg; neither is NaN")


def one_parent() -> CheckConstraint:
    """Return the constraint that a measurement belongs to one thing at most."""
    rule = "num_nonnulls(object_id, moving_object_id) <= 1"
    return check("one_parent", rule, doc="At most one of object_id and moving_object_id is set")


def flux(
    name: str,
    doc: str,
    ldm: str | None = None,
    ldm_of_error: str | None = None,
    *,
    unit: str = "nJy",
    ucd: str = "phot.flux.density",
) -> list[Column]:
    """Return a flux and its one-sigma error."""
    return [
        column(name, REAL, unit=unit, ucd=ucd, doc=doc, ldm=ldm),
        column(f"{name}_err", REAL, unit=unit, ucd=f"stat.error;{ucd}", doc=f"One-sigma error of {name}",
               ldm=ldm_of_error or ldm),
    ]


def position(of: str, ldm: str | None = None, nullable: bool = False) -> list[Column]:
    """Return an ICRS position, its errors in true angle with their covariance, and its HEALPix index."""
    return [
        column("ra", Double, unit="deg", ucd="pos.eq.ra;meta.main", nullable=nullable, ldm=ldm,
               doc=f"Right ascension (ICRS) of {of}"),
        column("dec", Double, unit="deg", ucd="pos.eq.dec;meta.main", nullable=nullable, ldm=ldm,
               doc=f"Declination (ICRS) of {of}"),
        *position_error(ldm),
        healpix29(nullable=nullable),
    ]


def position_error(ldm: str | None = None) -> list[Column]:
    """Return the errors of a position in true angle (cos δ included) and their covariance."""
    return [
        column("ra_err", REAL, unit="arcsec", ucd="stat.error;pos.eq.ra", ldm=ldm,
               doc="One-sigma error of ra times cos(dec)"),
        column("dec_err", REAL, unit="arcsec", ucd="stat.error;pos.eq.dec", ldm=ldm, doc="One-sigma error of dec"),
        column("ra_dec_cov", REAL, unit="arcsec**2", ucd="stat.covariance;pos.eq.ra;pos.eq.dec", ldm=ldm,
               doc="Covariance of ra times cos(dec) with dec"),
    ]


def healpix29(nullable: bool = False) -> Column:
    """Return the HEALPix index of order 29, NESTED, of (ra, dec)."""
    return column("healpix29", BigInteger, unit="", ucd="pos.healpix", nullable=nullable,
                  doc="HEALPix pixel of (ra, dec), NESTED, order 29; computed by healpy")


def ellipse(prefix: str, of: str, ldm: str | None = None, errors: bool = False) -> list[Column]:
    """Return the second moments of an ellipse, along east (x) and north (y)."""
    axes = {"ixx": "east-east", "iyy": "north-north", "ixy": "east-north"}
    moments = [
        column(f"{prefix}{name}", REAL, unit="arcsec**2", ucd="phys.angSize", ldm=ldm,
               doc=f"Second moment, {axis}, of {of}")
        for name, axis in axes.items()
    ]
    if errors:
        moments += [
            column(f"{prefix}{name}_err", REAL, unit="arcsec**2", ucd="stat.error;phys.angSize", ldm=ldm,
                   doc=f"One-sigma error of {prefix}{name}")
            for name in axes
        ]
    return moments


def pixel_position(errors: bool = True) -> list[Column]:
    """Return pixel coordinates; the centre of the first pixel is (0, 0)."""
    columns = []
    for axis in "xy":
        columns.append(column(axis, REAL, unit="pixel", ucd=f"pos.cartesian.{axis};instr.pixel",
                              doc=f"Pixel {axis} of the centroid; the centre of the first pixel is 0"))
    if errors:
        for axis in "xy":
            columns.append(column(f"{axis}_err", REAL, unit="pixel", ucd=f"stat.error;pos.cartesian.{axis}",
                                  doc=f"One-sigma error of {axis}"))
    return columns


def flag(name: str, doc: str, ldm: str | None = None, **options) -> Column:
    """Return a named boolean; NULL where the question was not asked."""
    return column(name, Boolean, unit="", ucd="meta.code.qual", doc=doc, ldm=ldm, **options)


PIXEL_FLAGS = {
    "bad": "A pixel of the footprint is a defect of the detector",
    "saturated": "A pixel of the footprint is saturated",
    "saturated_center": "One of the central 3 x 3 pixels is saturated",
    "cosmic_ray": "A pixel of the footprint was hit by a cosmic ray",
    "interpolated": "A pixel of the footprint was interpolated",
    "edge": "The footprint touches the edge of usable pixels",
    "suspect": "A pixel of the footprint is near saturation or otherwise doubtful",
    "streak": "The footprint overlaps the trail of a satellite or aircraft",
    "injected": "The footprint overlaps an injected synthetic object",
    "injected_template": "The footprint overlaps a synthetic object that was injected into the template",
    "no_data": "A pixel of the footprint holds no data",
}


def pixel_flags(ldm: str | None = None, names: tuple[str, ...] = tuple(PIXEL_FLAGS)) -> list[Column]:
    """Return one named boolean per mask plane that matters to a measurement."""
    return [flag(f"pixel_flag_{name}", PIXEL_FLAGS[name], ldm) for name in names]


def history() -> list[Column]:
    """Return when a row was written and, where it no longer holds, when it was withdrawn."""
    return [
        column("time_processed", Double, unit="d", ucd="time.processing",
               doc="When the row was written, TAI, as MJD"),
        column("time_withdrawn", Double, unit="d", ucd="time.end", science="presence",
               doc="When the row was withdrawn, TAI, as MJD; NULL while it holds"),
    ]


def mjd(name: str, doc: str, ldm: str | None = None, ucd: str = "time.epoch", **options) -> Column:
    """Return a time, TAI, as Modified Julian Date."""
    return column(name, Double, unit="d", ucd=ucd, doc=f"{doc}, TAI, as MJD", ldm=ldm, **options)


def filter_id(*constraints, ldm: str | None = None, nullable: bool = False, **options) -> Column:
    """Return the number of a filter."""
    return column("filter_id", SmallInteger, *constraints, unit="", ucd="meta.id;instr.filter", nullable=nullable,
                  doc="Filter, a row of filter", ldm=ldm, **options)
