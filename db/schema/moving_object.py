"""MovingObject (LDM-151 Table 2): orbits, magnitudes, history and predictions."""

from sqlalchemy import (
    ARRAY,
    REAL,
    Double,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Text,
)

from db.columns import check, column, filter_id, history, key, link, mjd, position_error, table


def orbit():
    """Return an orbit: cometary elements (heliocentric, ecliptic of J2000), covariance and quality."""
    def element(name, type_, unit, ucd, doc):
        return column(name, type_, unit=unit, ucd=ucd, doc=doc, ldm="T2:Orbital elements")

    return [
        mjd("epoch_tai", "Epoch of the elements", "T2:Orbital elements"),
        element("perihelion_distance", Double, "AU", "phys.size;pos.heliocentric;src.orbital.periastron", "Perihelion distance"),
        element("eccentricity", Double, "", "src.orbital.eccentricity", "Eccentricity"),
        element("inclination", Double, "deg", "src.orbital.inclination", "Inclination to the ecliptic of J2000"),
        element("node", Double, "deg", "src.orbital.node", "Longitude of the ascending node"),
        element("perihelion_argument", Double, "deg", "src.orbital.periastron;pos.posAng", "Argument of perihelion"),
        element("perihelion_tai", Double, "d", "time.epoch;src.orbital.periastron", "Time of perihelion, TAI, as MJD"),
        element("orbit_covariance", ARRAY(Double, dimensions=2), "", "stat.covariance",
                "Covariance of the six elements in the order of the columns, in their units"),
        column("arc", REAL, unit="d", ucd="time.duration", doc="Time from the first to the last observation used"),
        column("observations", Integer, unit="", ucd="meta.number;obs", doc="Observations used"),
        column("residual", REAL, unit="arcsec", ucd="stat.fit.residual", doc="Root mean square residual of the fit"),
    ]


moving_object = table(
    "moving_object", "catalogue",
    key("moving_object_id", primary_key=True, ldm="T2:Unique ID for the object",
        doc="Release (6 bits) and hash of the designation (57); not kept across releases"),
    column("name", Text, unit="", ucd="meta.id;src", nullable=False, unique=True, ldm="T2:IAU/MPC compliant name for the object",
           doc="Designation in the form of the IAU and the Minor Planet Center, such as 2015 EG1"),
    *orbit(),
    column("earth_moid", REAL, unit="AU", ucd="pos.distance;src.orbital", doc="Smallest distance between the orbit and the Earth's"),
    column("jupiter_tisserand", REAL, unit="", ucd="src.orbital.TissJ", doc="Tisserand parameter with respect to Jupiter"),
    column("orbit_class", Text, unit="", ucd="src.class", doc="Class of orbit, as the Minor Planet Center names them"),
    *history(),
    check("orbit", "eccentricity >= 0 AND perihelion_distance > 0 AND inclination BETWEEN 0 AND 180",
          doc="The elements are those of an orbit: e not negative, q positive, i from 0 to 180 deg"),
    doc="Solar System objects with their best orbits",
    ldm="Table 2",
)

moving_object_orbit = table(
    "moving_object_orbit", "catalogue",
    key("moving_object_id", ForeignKey("catalogue.moving_object.moving_object_id", ondelete="CASCADE"), ucd="meta.id.parent",
        doc="The MovingObject"),
    mjd("fitted_tai", "When the orbit was fitted", ucd="time.processing", nullable=False),
    *orbit(),
    PrimaryKeyConstraint("moving_object_id", "fitted_tai"),
    doc="Every orbit that was ever held",
)

moving_object_magnitude = table(
    "moving_object_magnitude", "catalogue",
    key("moving_object_id", ForeignKey("catalogue.moving_object.moving_object_id", ondelete="CASCADE"), ucd="meta.id.parent",
        doc="The MovingObject"),
    filter_id(),
    column("h", REAL, unit="mag", ucd="phys.magAbs", ldm="T2:Average calibrated absolute magnitude in each band",
           doc="Absolute magnitude: at 1 au from Sun and observer, phase angle 0"),
    column("h_err", REAL, unit="mag", ucd="stat.error;phys.magAbs", doc="One-sigma error of h",
           ldm="T2:Average calibrated absolute magnitude in each band"),
    column("g", REAL, unit="", ucd="stat.fit.param", doc="Slope G12 of the phase curve (Penttila et al. 2016)"),
    column("g_err", REAL, unit="", ucd="stat.error;stat.fit.param", doc="One-sigma error of g"),
    column("h_g_cov", REAL, unit="mag", ucd="stat.covariance", doc="Covariance of h and g"),
    column("measurements", Integer, unit="", ucd="meta.number;obs", doc="Measurements used"),
    column("chi2", REAL, unit="", ucd="stat.fit.chi2;src.var", doc="Chi squared about the phase curve",
           ldm="T2:Summary statistics for light curve variability"),
    column("variance", REAL, unit="mag**2", ucd="stat.variance;src.var", doc="Variance about the phase curve",
           ldm="T2:Summary statistics for light curve variability"),
    column("amplitude", REAL, unit="mag", ucd="src.var.amplitude", doc="Half the range about the phase curve",
           ldm="T2:Summary statistics for light curve variability"),
    PrimaryKeyConstraint("moving_object_id", "filter_id"),
    doc="Absolute magnitude, phase slope and variability, one row a filter",
)

predicted_position = table(
    "predicted_position", "catalogue",
    key("visit_id", ForeignKey("catalogue.visit.visit_id"), ucd="meta.id", doc="The Visit predicted for"),
    key("moving_object_id", ForeignKey("catalogue.moving_object.moving_object_id", ondelete="CASCADE"), ucd="meta.id",
        doc="The MovingObject"),
    column("ra", Double, unit="deg", ucd="pos.eq.ra;meta.modelled", nullable=False, doc="Right ascension (ICRS) predicted at the Visit's midpoint"),
    column("dec", Double, unit="deg", ucd="pos.eq.dec;meta.modelled", nullable=False, doc="Declination (ICRS) predicted at the Visit's midpoint"),
    *position_error(),
    column("ra_rate", REAL, unit="deg/d", ucd="pos.pm;pos.eq.ra", doc="Rate of ra times cos(dec)"),
    column("dec_rate", REAL, unit="deg/d", ucd="pos.pm;pos.eq.dec", doc="Rate of dec"),
    column("magnitude", REAL, unit="mag", ucd="phot.mag;meta.modelled", doc="Apparent AB magnitude predicted in the Visit's filter"),
    link("dia_source_id", doc="The DiaSource that was matched to the prediction"),
    PrimaryKeyConstraint("visit_id", "moving_object_id"),
    Index("predicted_position_moving_object_id_idx", "moving_object_id"),
    doc="Where known MovingObjects should be in each Visit",
)
