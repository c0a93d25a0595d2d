"""Measurements: Source, DiaSource, ForcedSource and ForcedDiaSource (LDM-151 Tables 3, 4 and 5).

One model serves two partition plans (`db.partitions`): by time in the live database, by tile in a release.
Hence no primary key here: the plan adds it. Links to Objects, MovingObjects and Exposures are checked once a
set (by association and by the nightly check), not once a row: a row-wise foreign key costs three times the row.
"""

from sqlalchemy import REAL, Double, SmallInteger, Table, Text

from db.columns import (
    check,
    column,
    ellipse,
    filter_id,
    flag,
    flux,
    healpix29,
    history,
    key,
    link,
    mjd,
    on_sky,
    one_parent,
    pixel_flags,
    pixel_position,
    position,
    table,
)

LIGHT_CURVE = ("midpoint_tai", "filter_id", "psf_flux", "psf_flux_err", "time_withdrawn")


def identity(own: str, table_number: int, own_line: str, exposure_line: str = "Exposure ID") -> list:
    """Return the ids of a measurement: its own, what it is of, and where it was made."""
    t = f"T{table_number}:"
    return [
        key(own, ldm=t + own_line, doc="Release (6 bits), Visit (26), detector (8), snap (2), rank (17), attempt (4)"),
        link("object_id", doc="The Object measured", ldm=t + "Object ID"),
        link("moving_object_id", doc="The MovingObject measured; never set together with object_id", ldm=t + "MovingObject ID"),
        link("exposure_id", nullable=False, doc="The Exposure measured", ldm=t + exposure_line),
        link("visit_id", nullable=False, doc="The Visit of the Exposure"),
        column("detector_id", SmallInteger, unit="", ucd="meta.id;instr.det", nullable=False, doc="The detector of the Exposure"),
        filter_id(),
        mjd("midpoint_tai", "Midpoint of the Exposure", nullable=False),
    ]


def calibration(ldm: str) -> list:
    """Return the photometric calibration of one measurement."""
    return [
        column("photo_calib", REAL, unit="nJy/electron", ucd="phot.calib", ldm=f"{ldm}:Photometric calibration correction",
               doc="Factor from electrons to nJy at this place and for this spectrum, whatever the shape"),
        column("photo_calib_err", REAL, unit="nJy/electron", ucd="stat.error;phot.calib",
               ldm=f"{ldm}:Error in photometric calibration correction", doc="One-sigma error of photo_calib"),
    ]


def extraction_flags(ldm: str, *more: tuple[str, str]) -> list:
    """Return the flags that say what went wrong in a measurement."""
    common = [
        ("centroid_flag", "The centroid failed or lies outside the footprint"),
        ("psf_flux_flag", "PSF photometry failed or is incomplete"),
        ("ap_flux_flag", "Aperture photometry failed or is incomplete"),
        ("shape_flag", "The second moments failed"),
        *more,
    ]
    line = f"{ldm}:Extraction flags"
    return [flag(name, doc, line) for name, doc in common] + pixel_flags(line)


def model_ellipse(prefix: str, model: str, line: str) -> list:
    """Return position and moments, flux and sky of a model convolved with the Exposure's PSF (Table 3)."""
    return [
        column(f"{prefix}_ra", Double, unit="deg", ucd="pos.eq.ra;meta.modelled", doc=f"Right ascension (ICRS) of the {model}", ldm=f"T3:{line} ellipse"),
        column(f"{prefix}_dec", Double, unit="deg", ucd="pos.eq.dec;meta.modelled", doc=f"Declination (ICRS) of the {model}", ldm=f"T3:{line} ellipse"),
        *ellipse(f"{prefix}_", f"the {model}, convolved with the Exposure's PSF", f"T3:{line} ellipse"),
        *flux(f"{prefix}_flux", f"Flux of the {model}", f"T3:{line} flux"),
        column(f"{prefix}_sky", REAL, unit="nJy", ucd="instr.background", doc=f"Sky per pixel that was fitted with the {model}", ldm=f"T3:{line} sky"),
    ]


source = table(
    "source", "catalogue",
    *identity("source_id", 3, "Source ID"),
    *position("the centroid", "T3:Measured ellipse"),
    *pixel_position(),
    *ellipse("", "the Source as measured, whatever the models", "T3:Measured ellipse", errors=True),
    *flux("raw_flux", "Aperture flux before calibration", "T3:Raw measured flux", "T3:Error in raw measured flux", unit="electron", ucd="phot.count"),
    *flux("psf_flux", "PSF flux"),
    *flux("ap_flux", "Aperture flux"),
    column("ap_radius", REAL, unit="arcsec", ucd="phys.angSize;obs", doc="Radius of the aperture of ap_flux and raw_flux"),
    *calibration("T3"),
    column("sky", REAL, unit="nJy", ucd="instr.background", doc="Sky per pixel under the Source"),
    column("snr", REAL, unit="", ucd="stat.snr", doc="Signal-to-noise ratio of the detection"),
    column("extendedness", REAL, unit="", ucd="src.class.starGalaxy;stat.probability", doc="Probability that it is extended"),
    *model_ellipse("so", "small-object model", "SG model"),
    *model_ellipse("smps", "slowly moving point source model", "SMPS model"),
    column("residual_chi2", REAL, unit="", ucd="stat.fit.chi2", ldm="T3:Residual characterization",
           doc="Chi squared per degree of freedom of the residual image over the footprint"),
    column("residual_max_snr", REAL, unit="", ucd="stat.snr;stat.max", ldm="T3:Residual characterization",
           doc="Highest signal-to-noise ratio of the residual image"),
    column("residual_asymmetry", REAL, unit="", ucd="src.morph.param", ldm="T3:Residual characterization",
           doc="Asymmetry of the residual image under a half turn, 0 to 1"),
    *extraction_flags("T3", ("deblended", "The footprint was shared with other Sources"),
                      ("calibration_used", "The Source took part in fitting PSF, WCS or zeropoint")),
    *history(),
    one_parent(),
    on_sky(),
    doc="Sources: measurements on single calibrated Exposures",
    ldm="Table 3", id="source_id", light_curve=LIGHT_CURVE,
)

dia_source = table(
    "dia_source", "catalogue",
    *identity("dia_source_id", 4, "DiaSource ID", "Difference Exposure ID"),
    *position("the centroid", "T4:Measured ellipse"),
    *pixel_position(),
    *[
        column("ss_ra", Double, unit="deg", ucd="pos.eq.ra;meta.modelled", ldm="T4:SS model predicted ellipse",
               doc="Right ascension (ICRS) that the orbit predicts; set if and only if moving_object_id is"),
        column("ss_dec", Double, unit="deg", ucd="pos.eq.dec;meta.modelled", ldm="T4:SS model predicted ellipse",
               doc="Declination (ICRS) that the orbit predicts"),
        *ellipse("ss_", "the predicted image, trailed and convolved with the PSF", "T4:SS model predicted ellipse"),
    ],
    *ellipse("", "the DiaSource as measured", "T4:Measured ellipse", errors=True),
    *flux("raw_flux", "PSF flux before calibration, of either sign", "T4:Raw Measured flux", unit="electron", ucd="phot.count"),
    *flux("psf_flux", "PSF flux on the difference image"),
    *flux("ap_flux", "Aperture flux on the difference image"),
    *flux("science_flux", "PSF flux at the same place on the Visit's image"),
    *flux("template_flux", "PSF flux at the same place on the template"),
    *calibration("T4"),
    column("snr", REAL, unit="", ucd="stat.snr", doc="Signal-to-noise ratio of the detection, positive for either sign of flux"),
    column("psf_chi2", REAL, unit="", ucd="stat.fit.chi2", doc="Chi squared per degree of freedom of the PSF fit"),
    column("trail_length", REAL, unit="arcsec", ucd="phys.angSize", doc="Length of the best trail"),
    column("trail_angle", REAL, unit="deg", ucd="pos.posAng", doc="Position angle of the best trail, from north through east"),
    column("dipole_separation", REAL, unit="arcsec", ucd="pos.angDistance", doc="Distance of the lobes of the best dipole"),
    column("dipole_angle", REAL, unit="deg", ucd="pos.posAng", doc="Position angle from the negative to the positive lobe"),
    column("extendedness", REAL, unit="", ucd="src.class.starGalaxy;stat.probability", doc="Probability that it is extended"),
    column("reliability", REAL, unit="", ucd="stat.probability", doc="Probability that it is astrophysical"),
    column("reliability_version", SmallInteger, unit="", ucd="meta.version", doc="Version of the classifier of reliability"),
    *extraction_flags("T4", ("is_dipole", "A dipole fits better than a point source"),
                      ("is_trail", "A trail fits better than a point source")),
    flag("rejected", "Association left it without parent: too unreliable, a streak, or a cosmic ray", nullable=False, server_default="false"),
    *history(),
    one_parent(),
    check("predicted", "(moving_object_id IS NULL) = (ss_ra IS NULL) AND (ss_ra IS NULL) = (ss_dec IS NULL)"
          " AND num_nonnulls(ss_ixx, ss_iyy, ss_ixy) IN (0, 3) AND (ss_ixx IS NULL OR moving_object_id IS NOT NULL)",
          doc="A predicted position is set if and only if moving_object_id is; a predicted ellipse is whole, and needs it"),
    on_sky(),
    doc="DiaSources: detections of either polarity on the difference image of a Visit",
    ldm="Table 4", id="dia_source_id", light_curve=LIGHT_CURVE,
)

dia_source_snap = table(
    "dia_source_snap", "catalogue",
    key("dia_source_id", doc="The DiaSource that was measured again on this Snap's difference", ucd="meta.id.parent"),
    column("snap", SmallInteger, unit="", ucd="meta.number;obs.exposure", nullable=False, doc="Snap of the Visit, from 1"),
    link("exposure_id", nullable=False, doc="The Snap's Difference Exposure", ldm="T4:Difference Exposure ID"),
    mjd("midpoint_tai", "Midpoint of the Snap", nullable=False),
    *pixel_position(errors=False),
    *flux("psf_flux", "PSF flux on the Snap's difference image", "T4:Raw Measured flux"),
    column("snr", REAL, unit="", ucd="stat.snr", doc="psf_flux over its error"),
    flag("psf_flux_flag", "PSF photometry failed or is incomplete", "T4:Extraction flags"),
    flag("cosmic_ray_like", "Sharper than the PSF, as only a cosmic ray can be", "T4:Extraction flags"),
    *pixel_flags("T4:Extraction flags", ("bad", "saturated", "cosmic_ray", "edge")),
    doc="Each DiaSource measured on the difference image of each Snap",
    id="dia_source_id", also_key=("snap",),
)


def forced_columns(of: str) -> list:
    """Return the one column set that ForcedSource and ForcedDiaSource share (Table 5)."""
    line = "T5:Model predicted ellipse"
    return [
        *identity("forced_source_id" if of == "Exposure" else "forced_dia_source_id", 5, "ForcedSource ID"),
        column("ra", Double, unit="deg", ucd="pos.eq.ra;meta.modelled", nullable=False, doc="Right ascension (ICRS) where the flux was forced", ldm=line),
        column("dec", Double, unit="deg", ucd="pos.eq.dec;meta.modelled", nullable=False, doc="Declination (ICRS) where the flux was forced", ldm=line),
        healpix29(),
        *pixel_position(errors=False),
        *ellipse("", "the footprint where the flux was forced", line),
        column("model_type", Text, unit="", ucd="meta.code.class", doc="Model that predicts the ellipse; NULL = point source"),
        column("peak_offset", REAL, unit="arcsec", ucd="pos.angDistance", doc="How far the position peaked up from the prediction; 0 = fixed"),
        *flux("psf_flux", f"Flux forced on the {of}", "T5:Measured flux"),
        *flux("sky", "Sky per pixel", "T5:Measured sky background"),
        flag("psf_flux_flag", "Photometry failed or is incomplete", "T5:Extraction flags"),
        *pixel_flags("T5:Extraction flags", ("bad", "saturated", "cosmic_ray", "edge", "streak", "injected", "no_data")),
        *history(),
        one_parent(),
        on_sky(),
    ]


forced_source = table(
    "forced_source", "catalogue",
    *forced_columns("Exposure"),
    doc="ForcedSources: fluxes forced on calibrated Exposures at known places",
    ldm="Table 5", id="forced_source_id", light_curve=LIGHT_CURVE,
)

forced_dia_source = table(
    "forced_dia_source", "catalogue",
    *forced_columns("Difference Exposure"),
    doc="ForcedDiaSources: fluxes forced on Difference Exposures at known places",
    ldm="Table 5", id="forced_dia_source_id", light_curve=LIGHT_CURVE,
)

MEASUREMENTS: tuple[Table, ...] = (source, dia_source, dia_source_snap, forced_source, forced_dia_source)
