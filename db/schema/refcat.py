"""Reference stars: what WCS and zeropoints are fitted to."""

from sqlalchemy import REAL, Double, Index, Text

from db.columns import column, healpix29, key, on_sky, table

refcat = table(
    "refcat", "catalogue",
    column("catalogue", Text, unit="", ucd="meta.id;meta.dataset", primary_key=True, doc="Name of the catalogue, such as tycho2"),
    key("refcat_id", primary_key=True, doc="Number of the star in its catalogue"),
    column("ra", Double, unit="deg", ucd="pos.eq.ra;meta.main", nullable=False, doc="Right ascension (ICRS) at the epoch"),
    column("dec", Double, unit="deg", ucd="pos.eq.dec;meta.main", nullable=False, doc="Declination (ICRS) at the epoch"),
    column("epoch", Double, unit="yr", ucd="time.epoch", nullable=False, doc="Julian epoch of the position"),
    column("pm_ra", REAL, unit="mas/yr", ucd="pos.pm;pos.eq.ra", doc="Proper motion in ra times cos(dec)"),
    column("pm_dec", REAL, unit="mas/yr", ucd="pos.pm;pos.eq.dec", doc="Proper motion in dec"),
    column("ra_err", REAL, unit="arcsec", ucd="stat.error;pos.eq.ra", doc="One-sigma error of ra times cos(dec) at the epoch"),
    column("dec_err", REAL, unit="arcsec", ucd="stat.error;pos.eq.dec", doc="One-sigma error of dec at the epoch"),
    column("magnitude", REAL, unit="mag", ucd="phot.mag", doc="Magnitude in the band"),
    column("magnitude_err", REAL, unit="mag", ucd="stat.error;phot.mag", doc="One-sigma error of magnitude"),
    column("band", Text, unit="", ucd="meta.id;instr.filter", doc="Band of the magnitude, such as MAG_VT"),
    healpix29(),
    on_sky(),
    Index("refcat_healpix29_idx", "healpix29"),
    doc="Reference stars of imported catalogues",
)
