"""Object (LDM-151 Table 1): a narrow row that the night updates, and side tables for all that is wider."""

from sqlalchemy import (
    ARRAY,
    REAL,
    Boolean,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
)

from db.columns import (
    check,
    column,
    ellipse,
    filter_id,
    flux,
    healpix29,
    history,
    key,
    link,
    mjd,
    on_sky,
    one_of,
    position_error,
    table,
)


def owner(*, hot: bool = False, **options):
    """Return the column of a side table that names its Object.

    A foreign key costs several times the row that it checks: tables that the night writes have none. There a
    trigger, once a statement, deletes the rows of deleted Objects (udf/references.sql).
    """
    constraint = [] if hot else [ForeignKey("catalogue.object.object_id", ondelete="CASCADE")]
    return key("object_id", *constraint, ucd="meta.id.parent", doc="The Object described", **options)


object_ = table(
    "object", "catalogue",
    key("object_id", primary_key=True, ldm="T1:Unique ID for the object",
        doc="Release (6 bits), order-25 pixel of the discovery position (54), tie (3); not kept across releases"),
    column("ra", Double, unit="deg", ucd="pos.eq.ra;meta.main", nullable=False,
           doc="Right ascension (ICRS) that is indexed: the release's, or the discovery's"),
    column("dec", Double, unit="deg", ucd="pos.eq.dec;meta.main", nullable=False,
           doc="Declination (ICRS) that is indexed: the release's, or the discovery's"),
    healpix29(),
    column("mean_ra", Double, unit="deg", ucd="pos.eq.ra;stat.mean", nullable=False,
           doc="Right ascension (ICRS), weighted mean of the measurements"),
    column("mean_dec", Double, unit="deg", ucd="pos.eq.dec;stat.mean", nullable=False,
           doc="Declination (ICRS), weighted mean of the measurements"),
    *position_error(),
    column("weight_xx", Double, unit="arcsec**-2", ucd="stat.weight", doc="Sum of inverse covariances, east-east; tangent plane at (ra, dec)"),
    column("weight_yy", Double, unit="arcsec**-2", ucd="stat.weight", doc="Sum of inverse covariances, north-north"),
    column("weight_xy", Double, unit="arcsec**-2", ucd="stat.weight", doc="Sum of inverse covariances, east-north"),
    column("prior_weight", REAL, unit="arcsec**-2", ucd="stat.weight",
           doc="Part of weight_xx and weight_yy that stands for (ra, dec), the release's position; 0 if found at night, NULL before the first DiaSource"),
    column("weighted_x", Double, unit="arcsec**-1", ucd="stat.weight", doc="Sum of weight times offset from (ra, dec), east component"),
    column("weighted_y", Double, unit="arcsec**-1", ucd="stat.weight", doc="Sum of weight times offset from (ra, dec), north component"),
    mjd("first_tai", "First DiaSource", ucd="time.start"),
    mjd("last_tai", "Last DiaSource", ucd="time.end"),
    *history(),
    column("pm_ra", REAL, unit="mas/yr", ucd="pos.pm;pos.eq.ra", doc="Proper motion in ra times cos(dec)"),
    column("pm_dec", REAL, unit="mas/yr", ucd="pos.pm;pos.eq.dec", doc="Proper motion in dec"),
    column("extendedness", REAL, unit="", ucd="src.class.starGalaxy;stat.probability", ldm="T1:Extendedness parameter",
           doc="Probability that the Object is extended (1) rather than a point source (0)"),
    *ellipse("", "the footprint, its size for association"),
    column("dia_sources", Integer, unit="", ucd="meta.number", nullable=False, server_default="0",
           doc="DiaSources that are linked and not withdrawn"),
    column("name_tie", SmallInteger, unit="", ucd="meta.id", nullable=False, server_default="0",
           doc="Place among Objects whose names would coincide, from 0"),
    on_sky(),
    check("extendedness", "extendedness BETWEEN 0 AND 1", doc="extendedness is a probability"),
    Index("object_healpix29_idx", "healpix29"),
    doc="Objects: everything found on the sky that is not of the Solar System",
    ldm="Table 1",
    fillfactor={"level1": 80},
    gist=True,
)

object_moved = table(
    "object_moved", "catalogue",
    owner(hot=True, primary_key=True),
    healpix29(),
    Index("object_moved_healpix29_idx", "healpix29"),
    doc="Objects whose mean position lies beyond the drift that the search allows for, indexed where they are now",
)

object_retired = table(
    "object_retired", "catalogue",
    key("object_id", primary_key=True, doc="Id of an Object that was deleted"),
    link("moving_object_id", doc="The MovingObject that its measurement belongs to"),
    link("dia_source_id", doc="The measurement that was linked anew"),
    mjd("retired_tai", "When it was deleted", ucd="time.end"),
    doc="Objects that turned out to be a single measurement of a MovingObject; Alerts keep their ids",
)

model_type = table(
    "model_type", "catalogue",
    column("model_type", Text, unit="", ucd="meta.code.class", primary_key=True,
           doc="Short name, such as slowly_moving_point_source or small_object"),
    column("version", Text, unit="", ucd="meta.version", nullable=False, doc="Version of the model's definition"),
    column("parameter", ARRAY(Text), unit="", ucd="meta.id;stat.param", nullable=False,
           doc="Names of the parameters in the order of object_model.value"),
    column("parameter_unit", ARRAY(Text), unit="", ucd="meta.unit", nullable=False, doc="Units of the parameters (VOUnit)"),
    column("description", Text, unit="", ucd="meta.note", nullable=False, doc="What the model is, with its source"),
    check("parameter", "cardinality(parameter) = cardinality(parameter_unit)", doc="Each parameter has a unit"),
    doc="Types of Object models; a release may bring new ones without a change of columns",
)

object_model = table(
    "object_model", "catalogue",
    owner(),
    column("model_type", Text, ForeignKey("catalogue.model_type.model_type"), unit="", ucd="meta.code.class", nullable=False,
           doc="Type of the model", ldm="T1:Best fitting model type for the object"),
    column("filter_id", SmallInteger, unit="", ucd="meta.id;instr.filter", nullable=False,
           doc="Filter that was fitted; 0 = all filters at once"),
    column("is_best", Boolean, unit="", ucd="meta.code.qual", nullable=False, server_default="false",
           doc="Whether this type fits the Object best", ldm="T1:Best fitting model type for the object"),
    column("method", Text, unit="", ucd="meta.code.class", nullable=False, doc="stackfit or multifit"),
    column("value", ARRAY(Double), unit="", ucd="stat.param;stat.fit.param", nullable=False,
           ldm="T1:Model parameters and covariance matrices for each fit model",
           doc="Best-fit parameters; names and units in model_type"),
    column("covariance", ARRAY(Double, dimensions=2), unit="", ucd="stat.covariance", nullable=False,
           ldm="T1:Model parameters and covariance matrices for each fit model",
           doc="Full covariance matrix of value"),
    column("chi2", REAL, unit="", ucd="stat.fit.chi2", doc="Chi squared of the fit"),
    column("degrees_of_freedom", Integer, unit="", ucd="stat.fit.dof", doc="Pixels less parameters"),
    PrimaryKeyConstraint("object_id", "model_type", "filter_id"),
    one_of("method", "stackfit", "multifit"),
    check("covariance", "array_length(covariance, 1) = cardinality(value) AND array_length(covariance, 2) = cardinality(value)",
          doc="covariance has a row and a column for each value"),
    doc="Every model that was fitted to an Object, with parameters and full covariance",
)

object_footprint = table(
    "object_footprint", "catalogue",
    owner(primary_key=True),
    column("centre_ra", Double, unit="deg", ucd="pos.eq.ra;pos.centroid", nullable=False, doc="Right ascension (ICRS) of the footprint's centroid",
           ldm="T1:Elliptical equivalent to object footprint"),
    column("centre_dec", Double, unit="deg", ucd="pos.eq.dec;pos.centroid", nullable=False, doc="Declination (ICRS) of the footprint's centroid",
           ldm="T1:Elliptical equivalent to object footprint"),
    *ellipse("", "the footprint, weighted by flux", "T1:Elliptical equivalent to object footprint"),
    column("box_ra", Double, unit="deg", ucd="pos.eq.ra;pos.centroid", nullable=False, doc="Right ascension (ICRS) of the bounding box's centre",
           ldm="T1:Bounding box for object"),
    column("box_dec", Double, unit="deg", ucd="pos.eq.dec;pos.centroid", nullable=False, doc="Declination (ICRS) of the bounding box's centre",
           ldm="T1:Bounding box for object"),
    column("box_width", REAL, unit="arcsec", ucd="phys.angSize", nullable=False, ldm="T1:Bounding box for object",
           doc="East-west side in the tangent plane at the box's centre: right across RA 0 and at the poles"),
    column("box_height", REAL, unit="arcsec", ucd="phys.angSize", nullable=False, ldm="T1:Bounding box for object",
           doc="North-south side in the tangent plane at the box's centre"),
    *flux("flux", "Flux within the footprint on the detection coadd"),
    column("pixels", Integer, unit="pixel", ucd="meta.number;phys.area", doc="Pixels of the footprint"),
    check("box", "box_width > 0 AND box_height > 0 AND box_dec BETWEEN -90 AND 90", doc="The box has an area, and its centre is on the sky"),
    doc="The footprint's equivalent ellipse and the smallest box on the sky that encloses it",
)

SUMS = "Sum over the light curve about dia_flux_origin, kept so that the night can add to it: "

object_flux = table(
    "object_flux", "catalogue",
    owner(hot=True),
    filter_id(),
    *flux("mean_flux", "Mean calibrated flux over single exposures", "T1:Average calibrated fluxes and errors in each filter"),
    column("measurements", Integer, unit="", ucd="meta.number;obs", nullable=False, server_default="0", doc="Measurements in mean_flux"),
    *flux("coadd_flux", "Calibrated flux on the filter's coadd", "T1:Average calibrated fluxes and errors in each filter"),
    *flux("mean_dia_flux", "Mean flux over difference images", "T1:Average calibrated fluxes and errors in each filter"),
    column("dia_sources", Integer, unit="", ucd="meta.number;obs", nullable=False, server_default="0", doc="DiaSources with a flux in this filter"),
    column("dia_flux_origin", REAL, unit="nJy", ucd="phot.flux.density", doc="Flux of the Object's first DiaSource in this filter"),
    column("sum_weight", Double, unit="nJy**-2", ucd="stat.weight", doc=SUMS + "1/err**2"),
    column("sum_weight_flux", Double, unit="nJy**-1", ucd="stat.weight", doc=SUMS + "flux/err**2"),
    column("sum_weight_flux2", Double, unit="", ucd="stat.weight", doc=SUMS + "flux**2/err**2"),
    column("sum_flux", Double, unit="nJy", ucd="stat.value", doc=SUMS + "flux"),
    column("sum_flux2", Double, unit="nJy**2", ucd="stat.value", doc=SUMS + "flux**2"),
    column("variance", REAL, unit="nJy**2", ucd="stat.variance;src.var", ldm="T1:Summary statistics for light curve variability",
           doc="Unweighted variance about the best constant"),
    column("chi2", REAL, unit="", ucd="stat.fit.chi2;src.var", ldm="T1:Summary statistics for light curve variability",
           doc="Chi squared about the best constant"),
    column("stetson_j", REAL, unit="", ucd="src.var.index", ldm="T1:Summary statistics for light curve variability",
           doc="Stetson's J (Stetson 1996)"),
    column("amplitude", REAL, unit="nJy", ucd="src.var.amplitude", ldm="T1:Summary statistics for light curve variability",
           doc="Half the range of the flux"),
    column("min_flux", REAL, unit="nJy", ucd="phot.flux.density;stat.min", doc="Smallest flux of a DiaSource"),
    column("max_flux", REAL, unit="nJy", ucd="phot.flux.density;stat.max", doc="Largest flux of a DiaSource"),
    mjd("first_tai", "First DiaSource in this filter", ucd="time.start"),
    mjd("last_tai", "Last DiaSource in this filter", ucd="time.end"),
    PrimaryKeyConstraint("object_id", "filter_id"),
    doc="Fluxes and variability of an Object, one row a filter",
    fillfactor={"level1": 80},
)

object_variability = table(
    "object_variability", "catalogue",
    owner(hot=True, primary_key=True),
    column("welch_stetson_i", REAL, unit="", ucd="src.var.index", ldm="T1:Summary statistics for light curve variability",
           doc="Welch and Stetson's I over pairs of filters (Welch & Stetson 1993)"),
    column("pairs", Integer, unit="", ucd="meta.number", doc="Pairs in welch_stetson_i"),
    column("period", Double, unit="d", ucd="time.period;src.var", ldm="T1:Summary statistics for light curve variability",
           doc="Period of the highest peak of the periodogram"),
    column("false_alarm", REAL, unit="", ucd="stat.probability", doc="False-alarm probability of period"),
    column("points", LargeBinary, unit="", ucd="meta.record;src.var", science=False,
           doc="What the night makes these statistics of, so that it does not read the history: of each DiaSource its time (float8), flux and error (float4 each), and filter_id (int2), big-endian; NULL where they are read when needed"),
    doc="Variability of an Object over all filters",
    fillfactor={"level1": 80},
)

object_residual = table(
    "object_residual", "catalogue",
    owner(),
    filter_id(),
    column("model_type", Text, ForeignKey("catalogue.model_type.model_type"), unit="", ucd="meta.code.class", nullable=False,
           doc="Model that was subtracted"),
    column("reduced_chi2", REAL, unit="", ucd="stat.fit.chi2", doc="Chi squared per degree of freedom of the residual image",
           ldm="T1:Summary statistics for image model residuals"),
    column("max_snr", REAL, unit="", ucd="stat.snr;stat.max", doc="Highest signal-to-noise ratio of the residual image, matched to the PSF",
           ldm="T1:Summary statistics for image model residuals"),
    column("positive_fraction", REAL, unit="", ucd="stat.value;arith.ratio", ldm="T1:Summary statistics for image model residuals",
           doc="Positive residual flux over the model's flux"),
    column("negative_fraction", REAL, unit="", ucd="stat.value;arith.ratio", ldm="T1:Summary statistics for image model residuals",
           doc="Negative residual flux over the model's flux"),
    column("asymmetry", REAL, unit="", ucd="src.morph.param", ldm="T1:Summary statistics for image model residuals",
           doc="Sum of |residual - residual turned by 180 degrees| over twice the sum of |residual|"),
    column("tangential", REAL, unit="", ucd="src.morph.param", ldm="T1:Summary statistics for image model residuals",
           doc="Share of residual flux in arcs: cos(2 angle) moment about the tangent, -1 to 1"),
    PrimaryKeyConstraint("object_id", "filter_id", "model_type"),
    doc="Statistics of the residual image, by which arcs and mergers can be selected",
)

object_photoz = table(
    "object_photoz", "catalogue",
    owner(primary_key=True),
    column("z_peak", REAL, unit="", ucd="src.redshift.phot", nullable=False, doc="Photometric redshift: the peak of the PDF",
           ldm="T1:Photometric redshift and associated PDF"),
    column("pdf_z_first", REAL, unit="", ucd="src.redshift.phot", nullable=False, doc="Redshift of the first value of pdf",
           ldm="T1:Photometric redshift and associated PDF"),
    column("pdf_z_step", REAL, unit="", ucd="src.redshift.phot", nullable=False, doc="Step in redshift from one value of pdf to the next",
           ldm="T1:Photometric redshift and associated PDF"),
    column("pdf", ARRAY(REAL), unit="", ucd="stat.probability;src.redshift.phot", nullable=False, doc="Probability density in redshift",
           ldm="T1:Photometric redshift and associated PDF"),
    column("method", Text, unit="", ucd="meta.note", nullable=False, doc="Estimator and its version"),
    check("pdf", "pdf_z_step > 0 AND cardinality(pdf) > 1", doc="The PDF has at least two values, at rising redshifts"),
    doc="Photometric redshift with its full probability density",
)

object_segment = table(
    "object_segment", "catalogue",
    owner(primary_key=True),
    link("parent_object_id", ForeignKey("catalogue.object.object_id"), doc="The next larger Object of the tree; NULL at the root",
         ldm="T1:Segmentation info", ucd="meta.id.parent"),
    link("root_object_id", ForeignKey("catalogue.object.object_id"), nullable=False, doc="The largest Object of the tree",
         ldm="T1:Segmentation info", ucd="meta.id.parent"),
    column("depth", SmallInteger, unit="", ucd="meta.number", nullable=False, doc="Steps from the root", ldm="T1:Segmentation info"),
    column("children", SmallInteger, unit="", ucd="meta.number", nullable=False, doc="Objects one step below; 0 at a leaf",
           ldm="T1:Segmentation info"),
    check("root", "(parent_object_id IS NULL) = (depth = 0)", doc="Only the root of a tree has no parent, and its depth is 0"),
    Index("object_segment_root_object_id_idx", "root_object_id"),
    doc="Trees of overlapping Objects: the root is the largest, the leaves are the smallest",
)

object_match = table(
    "object_match", "catalogue",
    key("object_id", doc="The Object in this database", ucd="meta.id"),
    column("other_release", SmallInteger, unit="", ucd="meta.version", nullable=False, doc="Number of the other release"),
    key("other_object_id", doc="The Object there", ucd="meta.id.cross"),
    column("separation", REAL, unit="arcsec", ucd="pos.angDistance", doc="Distance between the two"),
    column("rank", SmallInteger, unit="", ucd="meta.number", nullable=False, doc="1 = nearest"),
    PrimaryKeyConstraint("object_id", "other_release", "other_object_id"),
    Index("object_match_other_object_id_idx", "other_object_id"),
    doc="Objects of this database in other releases",
)

force_list = table(
    "force_list", "catalogue",
    owner(hot=True, primary_key=True),
    key("since_visit_id", doc="The Visit whose Alert put the Object here", ucd="meta.id.assoc"),
    mjd("expires_tai", "When the Object leaves the list", ucd="time.end", nullable=False),
    column("priority", REAL, unit="", ucd="meta.code", nullable=False, server_default="0", doc="Kept longest when the list is full: highest"),
    Index("force_list_expires_tai_idx", "expires_tai"),
    doc="Objects that are force-photometered on later Difference Exposures",
)
