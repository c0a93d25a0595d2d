"""Truth of synthetic objects: exists in mini Data Releases alone."""

from sqlalchemy import REAL, Double, ForeignKey, Index, PrimaryKeyConstraint, Text
from sqlalchemy.dialects.postgresql import JSONB

from db.columns import column, healpix29, key, link, mjd, table

synthetic_object = table(
    "synthetic_object", "synthetic",
    key("synthetic_object_id", primary_key=True, doc="Number of the synthetic object"),
    column("object_class", Text, unit="", ucd="src.class", nullable=False, doc="Class that a science team supplied"),
    column("parameters", JSONB, unit="", ucd="stat.param", nullable=False, doc="Parameters of the class, drawn for this object"),
    column("ra", Double, unit="deg", ucd="pos.eq.ra;meta.main", nullable=False, doc="True right ascension (ICRS)"),
    column("dec", Double, unit="deg", ucd="pos.eq.dec;meta.main", nullable=False, doc="True declination (ICRS)"),
    healpix29(),
    link("host_object_id", doc="The host: an Object of the live database when it was drawn; NULL if it has none", ucd="meta.id.assoc"),
    Index("synthetic_object_healpix29_idx", "healpix29"),
    doc="Synthetic objects as they were drawn",
)

synthetic_source = table(
    "synthetic_source", "synthetic",
    key("synthetic_object_id", ForeignKey("synthetic.synthetic_object.synthetic_object_id", ondelete="CASCADE"), ucd="meta.id.parent",
        doc="The synthetic object"),
    key("exposure_id", ucd="meta.id.assoc", doc="The calibrated Exposure that it was added to"),
    mjd("midpoint_tai", "Midpoint of the Exposure", nullable=False),
    column("x", REAL, unit="pixel", ucd="pos.cartesian.x;instr.pixel", nullable=False, doc="True pixel x"),
    column("y", REAL, unit="pixel", ucd="pos.cartesian.y;instr.pixel", nullable=False, doc="True pixel y"),
    column("flux", REAL, unit="nJy", ucd="phot.flux.density;meta.modelled", nullable=False, doc="True flux"),
    column("sky_surface_brightness", REAL, unit="nJy/arcsec**2", ucd="phot.flux.sb", doc="Brightness under it, less the sky: its host's"),
    PrimaryKeyConstraint("synthetic_object_id", "exposure_id"),
    Index("synthetic_source_exposure_id_idx", "exposure_id"),
    doc="Synthetic objects as they were added to each Exposure",
)
