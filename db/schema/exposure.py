"""Where light was caught: filter, detector, Visit and Exposure (LDM-151 Table 6)."""

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Double,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Text,
    text,
)

from db.columns import check, column, filter_id, healpix29, key, link, mjd, on_sky, one_of, table
from db.sphere import Spoly

KINDS = ("raw", "calibrated", "difference")

filter_ = table(
    "filter", "catalogue",
    filter_id(primary_key=True, autoincrement=False, ldm="T6:Filter ID"),
    column("name", Text, unit="", ucd="meta.id;instr.filter", nullable=False, unique=True, doc="Name of the band"),
    column("effective_wavelength", REAL, unit="nm", ucd="em.wl.effective", doc="Effective wavelength of the band"),
    column("bandwidth", REAL, unit="nm", ucd="instr.bandwidth", doc="Full width of the band at half maximum"),
    column("description", Text, unit="", ucd="meta.note", doc="What the filter is"),
    doc="Filters, one row a band",
)

detector = table(
    "detector", "catalogue",
    column("detector_id", SmallInteger, unit="", ucd="meta.id;instr.det", primary_key=True, autoincrement=False,
           doc="Number of the detector in the focal plane, 0 to 255"),
    column("instrument", Text, unit="", ucd="meta.id;instr", nullable=False, doc="Name of the instrument"),
    column("name", Text, unit="", ucd="meta.id;instr.det", nullable=False, doc="Name of the detector"),
    column("width", Integer, unit="pixel", ucd="pos.cartesian.x;instr.det", nullable=False,
           doc="Pixels along x of the assembled image"),
    column("height", Integer, unit="pixel", ucd="pos.cartesian.y;instr.det", nullable=False,
           doc="Pixels along y of the assembled image"),
    column("pixel_scale", REAL, unit="arcsec/pixel", ucd="phys.angSize;instr.pixel", nullable=False,
           doc="Nominal scale at the centre"),
    check("detector_id", "detector_id BETWEEN 0 AND 255", doc="detector_id fits into 8 bits of an id"),
    doc="Detectors of the focal plane",
)

visit = table(
    "visit", "catalogue",
    key("visit_id", primary_key=True, doc="Night (14 bits) and sequence number in the night (12 bits)"),
    column("night", SmallInteger, unit="d", ucd="time.epoch", nullable=False,
           doc="MJD of the local noon before the night, minus 50000"),
    column("sequence", SmallInteger, unit="", ucd="meta.id", nullable=False, doc="Sequence number in the night"),
    filter_id(ForeignKey("catalogue.filter.filter_id")),
    column("field", Text, unit="", ucd="meta.id;obs.field", doc="Name of the field, as the header has it"),
    column("snaps", SmallInteger, unit="", ucd="meta.number", nullable=False, doc="Snaps that make up the Visit"),
    column("detectors", SmallInteger, unit="", ucd="meta.number;instr.det", nullable=False,
           doc="Detectors that are expected for each Snap"),
    column("raw_arrived", Integer, unit="", ucd="meta.number", science=False, nullable=False, server_default="0",
           doc="Raw Exposures that have arrived, over all Snaps and detectors"),
    column("ra", Double, unit="deg", ucd="pos.eq.ra;obs.field", doc="Right ascension (ICRS) of the boresight"),
    column("dec", Double, unit="deg", ucd="pos.eq.dec;obs.field", doc="Declination (ICRS) of the boresight"),
    mjd("midpoint_tai", "Midpoint of the Visit, weighted by exposure time"),
    mjd("shutter_close_tai", "When the shutter closed on the last Snap", ucd="time.end;obs.exposure"),
    column("exposure_time", REAL, unit="s", ucd="time.duration;obs.exposure", doc="Open-shutter time, sum over Snaps"),
    column("state", Text, unit="", ucd="meta.code.status", science=False, nullable=False, server_default="arriving",
           doc="arriving, ready, associated, closed or failed"),
    column("condition", Text, unit="", ucd="meta.note", science="presence", doc="Why the Visit failed or was cut short; NULL if nothing did"),
    check("id", "visit_id = (night::bigint << 12) | sequence", doc="visit_id is made of night and sequence"),
    check("range", "night BETWEEN 0 AND 16383 AND sequence BETWEEN 0 AND 4095", doc="night fits into 14 bits, sequence into 12"),
    one_of("state", "arriving", "ready", "associated", "closed", "failed"),
    on_sky(),
    Index("visit_night_idx", "night"),
    Index("visit_open_idx", "visit_id", postgresql_where=text("state IN ('arriving', 'ready')")),
    doc="Visits: one pointing, of one or more Snaps in immediate succession",
)

TELESCOPE = [
    column("azimuth", REAL, unit="deg", ucd="pos.az.azi", doc="Azimuth of the boresight at midpoint, from north through east",
           ldm="T6:Telescope state information"),
    column("altitude", REAL, unit="deg", ucd="pos.az.alt", doc="Altitude of the boresight at midpoint",
           ldm="T6:Telescope state information"),
    column("airmass", REAL, unit="", ucd="obs.airMass", doc="Airmass at midpoint", ldm="T6:Telescope state information"),
    column("hour_angle", REAL, unit="deg", ucd="pos.posAng", doc="Hour angle of the boresight at midpoint",
           ldm="T6:Telescope state information"),
    column("parallactic_angle", REAL, unit="deg", ucd="pos.posAng", doc="Parallactic angle at midpoint",
           ldm="T6:Telescope state information"),
    column("rotator_angle", REAL, unit="deg", ucd="pos.posAng;instr", doc="Mechanical angle of the camera rotator",
           ldm="T6:Telescope state information"),
    column("focus_offset", REAL, unit="um", ucd="instr.setup", doc="Offset of the camera along the optical axis",
           ldm="T6:Telescope state information"),
    column("dome_azimuth", REAL, unit="deg", ucd="pos.az.azi;instr.obsty", doc="Azimuth of the dome slit",
           ldm="T6:Telescope state information"),
]

CAMERA = [
    column("detector_temperature", REAL, unit="K", ucd="phys.temperature;instr.det", doc="Temperature of the detector",
           ldm="T6:Camera state information"),
    column("gain", REAL, unit="electron/adu", ucd="arith.factor;instr.det", doc="Mean gain over the amplifiers",
           ldm="T6:Camera state information"),
    column("read_noise", REAL, unit="electron", ucd="instr.det.noise", doc="Mean read noise over the amplifiers",
           ldm="T6:Camera state information"),
    column("readout_mode", Text, unit="", ucd="meta.code;instr.setup", doc="Read-out mode, as the header has it",
           ldm="T6:Camera state information"),
    column("crosstalk_corrected", Text, unit="", ucd="meta.code.status", doc="camera or pipeline: who corrected crosstalk; NULL if nobody did",
           ldm="T6:Camera state information"),
]

SITE = [
    column("air_temperature", REAL, unit="K", ucd="phys.temperature;obs.atmos", doc="Outside air temperature",
           ldm="T6:Site conditions information"),
    column("air_pressure", REAL, unit="hPa", ucd="phys.pressure;obs.atmos", doc="Barometric pressure",
           ldm="T6:Site conditions information"),
    column("humidity", REAL, unit="", ucd="phys.pressure;obs.atmos", doc="Relative humidity, 0 to 1",
           ldm="T6:Site conditions information"),
    column("wind_speed", REAL, unit="m/s", ucd="phys.veloc;obs.atmos", doc="Wind speed",
           ldm="T6:Site conditions information"),
    column("wind_azimuth", REAL, unit="deg", ucd="pos.az.azi;obs.atmos", doc="Azimuth that the wind blows from",
           ldm="T6:Site conditions information"),
    column("dimm_seeing", REAL, unit="arcsec", ucd="instr.obsty.seeing", doc="Seeing by the site's monitor, at zenith, 500 nm",
           ldm="T6:Site conditions information"),
    column("cloud_extinction", REAL, unit="mag", ucd="obs.atmos.extinction", doc="Extinction beyond the clear sky's",
           ldm="T6:Site conditions information"),
    column("water_vapour", REAL, unit="mm", ucd="phys.columnDensity;obs.atmos", doc="Precipitable water vapour at zenith",
           ldm="T6:Site conditions information"),
]

SHUTTER = [
    mjd("shutter_open_tai", "When the shutter began to open", "T6:Shutter trajectory information", ucd="time.start;obs.exposure"),
    mjd("shutter_close_tai", "When the shutter had closed", "T6:Shutter trajectory information", ucd="time.end;obs.exposure"),
    column("shutter_time", ARRAY(REAL), unit="s", ucd="time.duration", ldm="T6:Shutter trajectory information",
           doc="Times after shutter_open_tai at which shutter_position was sampled"),
    column("shutter_position", ARRAY(REAL), unit="mm", ucd="pos.cartesian.x;instr", ldm="T6:Shutter trajectory information",
           doc="Positions of the leading and then the trailing blade at shutter_time (two values a time)"),
]

ATMOSPHERE = [
    column("transmission", ARRAY(REAL, dimensions=2), unit="", ucd="phys.transmission;obs.atmos",
           ldm="T6:Atmospheric transmission map",
           doc="Transmission on a regular grid over the detector, first row at y = 0, corners included"),
    column("transmission_wavelength", REAL, unit="nm", ucd="em.wl", ldm="T6:Atmospheric transmission map",
           doc="Wavelength that transmission refers to"),
]

WCS_AND_PSF = [
    column("wcs", Text, unit="", ucd="pos.wcs", ldm="T6:WCS",
           doc="FITS header cards of the WCS with its distortion, pixel to sky and back; 80 characters each"),
    column("wcs_residual", REAL, unit="arcsec", ucd="stat.fit.residual;pos.eq", ldm="T6:WCS",
           doc="Median distance of the stars used from their reference positions"),
    column("footprint", Spoly, unit="", ucd="pos.outline;obs.field", ldm="T6:WCS", doc="Outline on the sky (ICRS)"),
    column("psf_model", Text, unit="", ucd="meta.code.class;instr.det.psf", ldm="T6:PSF", doc="Kind of PSF model"),
    column("psf_parameters", ARRAY(REAL), unit="", ucd="stat.param;instr.det.psf", ldm="T6:PSF",
           doc="Parameters of the PSF model, in its own order"),
    column("psf_fwhm", REAL, unit="arcsec", ucd="instr.det.psf;phys.angSize", ldm="T6:PSF",
           doc="Full width at half maximum of the PSF at the centre"),
    column("psf_e1", REAL, unit="", ucd="src.ellipticity;instr.det.psf", ldm="T6:PSF", doc="(ixx - iyy) / (ixx + iyy) of the PSF at the centre"),
    column("psf_e2", REAL, unit="", ucd="src.ellipticity;instr.det.psf", ldm="T6:PSF", doc="2 ixy / (ixx + iyy) of the PSF at the centre"),
]

PHOTOMETRY = [
    column("photo_calib", REAL, unit="nJy/electron", ucd="phot.calib", doc="Mean factor from electrons to nJy"),
    column("photo_calib_err", REAL, unit="nJy/electron", ucd="stat.error;phot.calib", doc="One-sigma error of photo_calib"),
    column("zeropoint", REAL, unit="mag", ucd="phot.mag;arith.zp", doc="AB magnitude of one electron in the whole exposure"),
    column("sky_background", REAL, unit="electron", ucd="instr.background", doc="Median sky, per pixel"),
    column("sky_noise", REAL, unit="electron", ucd="instr.skyTemp;stat.stdev", doc="Noise of the sky, per pixel"),
    column("depth", REAL, unit="mag", ucd="phot.mag;stat.max", doc="AB magnitude of a point source at 5 sigma"),
]

exposure = table(
    "exposure", "catalogue",
    key("exposure_id", primary_key=True, ldm="T6:Exposure ID",
        doc="Visit (26 bits), detector (8), snap (2) and kind (2)"),
    link("visit_id", ForeignKey("catalogue.visit.visit_id"), nullable=False, doc="The Visit that it belongs to"),
    column("detector_id", SmallInteger, ForeignKey("catalogue.detector.detector_id"), unit="", ucd="meta.id;instr.det",
           nullable=False, doc="The detector that was read"),
    column("snap", SmallInteger, unit="", ucd="meta.number;obs.exposure", nullable=False,
           doc="Snap of the Visit from 1; 0 = the sum of the Visit's Snaps"),
    column("kind", Text, unit="", ucd="meta.code.class;obs.exposure", nullable=False, doc="raw, calibrated or difference"),
    filter_id(ForeignKey("catalogue.filter.filter_id"), ldm="T6:Filter ID"),
    mjd("midpoint_tai", "Midpoint of the exposure", "T6:TAI time of exposure", nullable=False),
    column("exposure_time", REAL, unit="s", ucd="time.duration;obs.exposure", nullable=False, doc="Open-shutter time"),
    column("ra", Double, unit="deg", ucd="pos.eq.ra;obs.field", doc="Right ascension (ICRS) of the detector's centre"),
    column("dec", Double, unit="deg", ucd="pos.eq.dec;obs.field", doc="Declination (ICRS) of the detector's centre"),
    healpix29(nullable=True),
    column("rotation", REAL, unit="deg", ucd="pos.posAng;instr", doc="Position angle of the detector's +y, from north through east"),
    *WCS_AND_PSF, *PHOTOMETRY, *TELESCOPE, *CAMERA, *SITE, *SHUTTER, *ATMOSPHERE,
    column("file_id", BigInteger, unit="", ucd="meta.id;meta.file", doc="The pixels, a row of file; NULL if they can only be recreated"),
    column("stamps_file_id", BigInteger, unit="", ucd="meta.id;meta.file", science=False,
           doc="Postage stamps of the DiaSources on it, a row of file"),
    link("job_id", doc="The job that wrote the row", ucd="meta.id"),
    column("condition", Text, unit="", ucd="meta.note", science="presence", doc="Why processing stopped or was limited; NULL if nothing did"),
    one_of("kind", *KINDS),
    check("snap", "snap BETWEEN 0 AND 3", doc="snap fits into 2 bits of an id"),
    check("id", "exposure_id = (visit_id << 12) | (detector_id::bigint << 4) | (snap << 2)"
          " | CASE kind WHEN 'raw' THEN 0 WHEN 'calibrated' THEN 1 ELSE 2 END",
          doc="exposure_id is made of visit_id, detector_id, snap and kind"),
    on_sky(),
    Index("exposure_visit_id_idx", "visit_id"),
    Index("exposure_midpoint_tai_idx", "midpoint_tai"),
    Index("exposure_footprint_idx", "footprint", postgresql_using="gist"),
    doc="Exposures: one detector of one Snap, or of the Visit's sum, of one kind",
    ldm="Table 6",
)
