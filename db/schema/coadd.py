"""Coadded Exposures: patches of the sky, their coadds, and what went into each."""

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Double,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Text,
    text,
)

from db.columns import column, filter_id, flag, healpix29, key, link, mjd, one_of, table
from db.sphere import Spoly

KINDS = ("template", "detection", "deep", "chi_squared", "rgb")

patch = table(
    "patch", "catalogue",
    key("patch_id", primary_key=True, doc="Number of the patch in the tessellation"),
    column("ra", Double, unit="deg", ucd="pos.eq.ra;obs.field", nullable=False, doc="Right ascension (ICRS) of the tangent point"),
    column("dec", Double, unit="deg", ucd="pos.eq.dec;obs.field", nullable=False, doc="Declination (ICRS) of the tangent point"),
    healpix29(),
    column("inner_size", REAL, unit="arcmin", ucd="phys.angSize;obs.field", nullable=False, doc="Side of the inner region; inner regions tile the sky"),
    column("overlap", REAL, unit="arcmin", ucd="phys.angSize;obs.field", nullable=False, doc="Width of the overlap on each side"),
    column("inner_region", Spoly, unit="", ucd="pos.outline;obs.field", nullable=False, doc="Outline of the inner region"),
    column("outer_region", Spoly, unit="", ucd="pos.outline;obs.field", nullable=False, doc="Outline with the overlap"),
    column("wcs", Text, unit="", ucd="pos.wcs", nullable=False, doc="FITS header cards of the tangent projection"),
    Index("patch_outer_region_idx", "outer_region", postgresql_using="gist"),
    doc="Overlapping patches that tessellate the sky",
)

coadd = table(
    "coadd", "catalogue",
    key("coadd_id", primary_key=True, doc="Release (6 bits), patch (32), kind (4), filter (8), version (8)"),
    link("patch_id", ForeignKey("catalogue.patch.patch_id"), nullable=False, doc="The patch"),
    column("kind", Text, unit="", ucd="meta.code.class", nullable=False, doc="template, detection, deep, chi_squared or rgb"),
    filter_id(nullable=True),
    column("inputs", Integer, unit="", ucd="meta.number;obs", nullable=False, doc="Exposures that went in"),
    mjd("first_tai", "Earliest input", ucd="time.start"),
    mjd("last_tai", "Latest input", ucd="time.end"),
    column("exposure_time", REAL, unit="s", ucd="time.duration;obs.exposure", doc="Sum of the inputs' exposure times, where deepest"),
    column("photo_calib", REAL, unit="nJy/adu", ucd="phot.calib", doc="Factor from pixel units to nJy"),
    column("psf_model", Text, unit="", ucd="meta.code.class;instr.det.psf", doc="Kind of PSF model"),
    column("psf_parameters", ARRAY(REAL), unit="", ucd="stat.param;instr.det.psf", doc="Parameters of the PSF model"),
    column("psf_fwhm", REAL, unit="arcsec", ucd="instr.det.psf;phys.angSize", doc="Full width at half maximum of the PSF at the centre"),
    column("depth", REAL, unit="mag", ucd="phot.mag;stat.max", doc="AB magnitude of a point source at 5 sigma"),
    column("file_id", BigInteger, unit="", ucd="meta.id;meta.file", doc="The pixels, a row of file"),
    link("job_id", doc="The job that made it", ucd="meta.id"),
    flag("is_current", "The coadd in use of its patch, kind and filter", nullable=False, server_default="true"),
    one_of("kind", *KINDS),
    Index("coadd_current_idx", "patch_id", "kind", "filter_id", unique=True, postgresql_where=text("is_current")),
    doc="Coadded Exposures, one row a patch, kind and filter",
)

coadd_input = table(
    "coadd_input", "catalogue",
    key("coadd_id", ForeignKey("catalogue.coadd.coadd_id", ondelete="CASCADE"), ucd="meta.id.parent", doc="The coadd"),
    key("exposure_id", ForeignKey("catalogue.exposure.exposure_id"), ucd="meta.id.assoc", doc="A calibrated Exposure that went in"),
    column("weight", REAL, unit="", ucd="stat.weight", nullable=False, doc="Weight of the Exposure"),
    column("area", REAL, unit="arcmin**2", ucd="phys.angArea", doc="Area of the patch that the Exposure covers"),
    PrimaryKeyConstraint("coadd_id", "exposure_id"),
    Index("coadd_input_exposure_id_idx", "exposure_id"),
    doc="What went into each coadd",
)
