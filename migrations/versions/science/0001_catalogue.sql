CREATE TABLE :catalogue.alert (
    dia_source_id BIGINT NOT NULL,
    version SMALLINT DEFAULT '1' NOT NULL,
    ivorn TEXT NOT NULL,
    cites TEXT,
    cites_as TEXT,
    object_id BIGINT,
    moving_object_id BIGINT,
    visit_id BIGINT NOT NULL,
    exposure_id BIGINT[] NOT NULL,
    rule TEXT NOT NULL,
    host_object_id BIGINT,
    is_moving BOOLEAN DEFAULT 'false' NOT NULL,
    selected_tai DOUBLE PRECISION NOT NULL,
    CONSTRAINT alert_pkey PRIMARY KEY (dia_source_id, version),
    CONSTRAINT alert_cites_as_check CHECK (cites_as IN ('supersedes', 'retraction')),
    CONSTRAINT alert_cites_check CHECK ((version = 1) = (cites IS NULL) AND (cites IS NULL) = (cites_as IS NULL)),
    CONSTRAINT alert_ivorn_key UNIQUE (ivorn),
    CONSTRAINT alert_one_parent_check CHECK (num_nonnulls(object_id, moving_object_id) <= 1),
    CONSTRAINT alert_rule_check CHECK (rule IN ('each_snap', 'visit_and_each_snap', 'visit'))
);

CREATE INDEX alert_object_id_idx ON :catalogue.alert (object_id);

CREATE INDEX alert_visit_id_idx ON :catalogue.alert (visit_id);

CREATE TABLE :catalogue.alert_consumer (
    name TEXT NOT NULL,
    stream TEXT NOT NULL,
    cursor BIGINT DEFAULT '0' NOT NULL,
    seen TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT alert_consumer_pkey PRIMARY KEY (name)
);

CREATE TABLE :catalogue.detector (
    detector_id SMALLINT NOT NULL,
    instrument TEXT NOT NULL,
    name TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    pixel_scale REAL NOT NULL,
    CONSTRAINT detector_pkey PRIMARY KEY (detector_id),
    CONSTRAINT detector_detector_id_check CHECK (detector_id BETWEEN 0 AND 255)
);

CREATE TABLE :catalogue.filter (
    filter_id SMALLINT NOT NULL,
    name TEXT NOT NULL,
    effective_wavelength REAL,
    bandwidth REAL,
    description TEXT,
    CONSTRAINT filter_pkey PRIMARY KEY (filter_id),
    CONSTRAINT filter_name_key UNIQUE (name)
);

CREATE TABLE :catalogue.force_list (
    object_id BIGINT NOT NULL,
    since_visit_id BIGINT NOT NULL,
    expires_tai DOUBLE PRECISION NOT NULL,
    priority REAL DEFAULT '0' NOT NULL,
    CONSTRAINT force_list_pkey PRIMARY KEY (object_id)
);

CREATE INDEX force_list_expires_tai_idx ON :catalogue.force_list (expires_tai);

CREATE TABLE :catalogue.model_type (
    model_type TEXT NOT NULL,
    version TEXT NOT NULL,
    parameter TEXT[] NOT NULL,
    parameter_unit TEXT[] NOT NULL,
    description TEXT NOT NULL,
    CONSTRAINT model_type_pkey PRIMARY KEY (model_type),
    CONSTRAINT model_type_parameter_check CHECK (cardinality(parameter) = cardinality(parameter_unit))
);

CREATE TABLE :catalogue.moving_object (
    moving_object_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    epoch_tai DOUBLE PRECISION,
    perihelion_distance DOUBLE PRECISION,
    eccentricity DOUBLE PRECISION,
    inclination DOUBLE PRECISION,
    node DOUBLE PRECISION,
    perihelion_argument DOUBLE PRECISION,
    perihelion_tai DOUBLE PRECISION,
    orbit_covariance DOUBLE PRECISION[][],
    arc REAL,
    observations INTEGER,
    residual REAL,
    earth_moid REAL,
    jupiter_tisserand REAL,
    orbit_class TEXT,
    time_processed DOUBLE PRECISION,
    time_withdrawn DOUBLE PRECISION,
    CONSTRAINT moving_object_pkey PRIMARY KEY (moving_object_id),
    CONSTRAINT moving_object_name_key UNIQUE (name),
    CONSTRAINT moving_object_orbit_check CHECK (eccentricity >= 0 AND perihelion_distance > 0 AND inclination BETWEEN 0 AND 180)
);

CREATE TABLE :catalogue.object_match (
    object_id BIGINT NOT NULL,
    other_release SMALLINT NOT NULL,
    other_object_id BIGINT NOT NULL,
    separation REAL,
    rank SMALLINT NOT NULL,
    CONSTRAINT object_match_pkey PRIMARY KEY (object_id, other_release, other_object_id)
);

CREATE INDEX object_match_other_object_id_idx ON :catalogue.object_match (other_object_id);

CREATE TABLE :catalogue.object_moved (
    object_id BIGINT NOT NULL,
    healpix29 BIGINT NOT NULL,
    CONSTRAINT object_moved_pkey PRIMARY KEY (object_id)
);

CREATE INDEX object_moved_healpix29_idx ON :catalogue.object_moved (healpix29);

CREATE TABLE :catalogue.object_retired (
    object_id BIGINT NOT NULL,
    moving_object_id BIGINT,
    dia_source_id BIGINT,
    retired_tai DOUBLE PRECISION,
    CONSTRAINT object_retired_pkey PRIMARY KEY (object_id)
);

CREATE TABLE :catalogue.object_variability (
    object_id BIGINT NOT NULL,
    welch_stetson_i REAL,
    pairs INTEGER,
    period DOUBLE PRECISION,
    false_alarm REAL,
    CONSTRAINT object_variability_pkey PRIMARY KEY (object_id)
);

CREATE TABLE :catalogue.ocs_feedback (
    feedback_id BIGINT GENERATED ALWAYS AS IDENTITY,
    visit_id BIGINT,
    topic TEXT NOT NULL,
    message JSONB NOT NULL,
    written TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    acknowledged TIMESTAMP WITH TIME ZONE,
    acknowledged_by TEXT,
    CONSTRAINT ocs_feedback_pkey PRIMARY KEY (feedback_id)
);

CREATE INDEX ocs_feedback_open_idx ON :catalogue.ocs_feedback (feedback_id) WHERE acknowledged IS NULL;

CREATE TABLE :catalogue.order_log (
    place BIGINT GENERATED ALWAYS AS IDENTITY,
    visit_id BIGINT NOT NULL,
    pass SMALLINT NOT NULL,
    dia_sources INTEGER NOT NULL,
    digest BIGINT NOT NULL,
    written TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT order_log_pkey PRIMARY KEY (place)
);

CREATE INDEX order_log_visit_id_idx ON :catalogue.order_log (visit_id);

CREATE TABLE :catalogue.patch (
    patch_id BIGINT NOT NULL,
    ra DOUBLE PRECISION NOT NULL,
    dec DOUBLE PRECISION NOT NULL,
    healpix29 BIGINT NOT NULL,
    inner_size REAL NOT NULL,
    overlap REAL NOT NULL,
    inner_region public.spoly NOT NULL,
    outer_region public.spoly NOT NULL,
    wcs TEXT NOT NULL,
    CONSTRAINT patch_pkey PRIMARY KEY (patch_id)
);

CREATE INDEX patch_outer_region_idx ON :catalogue.patch USING gist (outer_region);

CREATE TABLE :catalogue.sdqa_metric (
    metric TEXT NOT NULL,
    level TEXT NOT NULL,
    unit TEXT NOT NULL,
    description TEXT NOT NULL,
    reference TEXT,
    better TEXT NOT NULL,
    minimum DOUBLE PRECISION,
    design DOUBLE PRECISION,
    stretch DOUBLE PRECISION,
    CONSTRAINT sdqa_metric_pkey PRIMARY KEY (metric),
    CONSTRAINT sdqa_metric_better_check CHECK (better IN ('lower', 'higher', 'neither')),
    CONSTRAINT sdqa_metric_level_check CHECK (level IN ('detector', 'visit', 'night', 'patch', 'field', 'release'))
);

CREATE TABLE efd.topic (
    topic_id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    field TEXT[] NOT NULL,
    field_unit TEXT[] NOT NULL,
    description TEXT NOT NULL,
    CONSTRAINT topic_pkey PRIMARY KEY (topic_id),
    CONSTRAINT topic_name_key UNIQUE (name)
);

CREATE TABLE staging.dia_source (
    dia_source_id BIGINT NOT NULL,
    exposure_id BIGINT NOT NULL,
    visit_id BIGINT NOT NULL,
    detector_id SMALLINT NOT NULL,
    filter_id SMALLINT NOT NULL,
    midpoint_tai DOUBLE PRECISION NOT NULL,
    ra DOUBLE PRECISION NOT NULL,
    dec DOUBLE PRECISION NOT NULL,
    ra_err REAL,
    dec_err REAL,
    ra_dec_cov REAL,
    healpix29 BIGINT NOT NULL,
    x REAL,
    y REAL,
    x_err REAL,
    y_err REAL,
    ixx REAL,
    iyy REAL,
    ixy REAL,
    ixx_err REAL,
    iyy_err REAL,
    ixy_err REAL,
    raw_flux REAL,
    raw_flux_err REAL,
    psf_flux REAL,
    psf_flux_err REAL,
    ap_flux REAL,
    ap_flux_err REAL,
    science_flux REAL,
    science_flux_err REAL,
    template_flux REAL,
    template_flux_err REAL,
    photo_calib REAL,
    photo_calib_err REAL,
    snr REAL,
    psf_chi2 REAL,
    trail_length REAL,
    trail_angle REAL,
    dipole_separation REAL,
    dipole_angle REAL,
    extendedness REAL,
    reliability REAL,
    reliability_version SMALLINT,
    centroid_flag BOOLEAN,
    psf_flux_flag BOOLEAN,
    ap_flux_flag BOOLEAN,
    shape_flag BOOLEAN,
    is_dipole BOOLEAN,
    is_trail BOOLEAN,
    pixel_flag_bad BOOLEAN,
    pixel_flag_saturated BOOLEAN,
    pixel_flag_saturated_center BOOLEAN,
    pixel_flag_cosmic_ray BOOLEAN,
    pixel_flag_interpolated BOOLEAN,
    pixel_flag_edge BOOLEAN,
    pixel_flag_suspect BOOLEAN,
    pixel_flag_streak BOOLEAN,
    pixel_flag_injected BOOLEAN,
    pixel_flag_injected_template BOOLEAN,
    pixel_flag_no_data BOOLEAN,
    job_id BIGINT NOT NULL
);

CREATE INDEX dia_source_visit_id_idx ON staging.dia_source USING brin (visit_id) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE staging.dia_source_snap (
    dia_source_id BIGINT NOT NULL,
    visit_id BIGINT NOT NULL,
    snap SMALLINT NOT NULL,
    exposure_id BIGINT NOT NULL,
    midpoint_tai DOUBLE PRECISION NOT NULL,
    x REAL,
    y REAL,
    psf_flux REAL,
    psf_flux_err REAL,
    snr REAL,
    psf_flux_flag BOOLEAN,
    cosmic_ray_like BOOLEAN,
    pixel_flag_bad BOOLEAN,
    pixel_flag_saturated BOOLEAN,
    pixel_flag_cosmic_ray BOOLEAN,
    pixel_flag_edge BOOLEAN,
    job_id BIGINT NOT NULL
);

CREATE INDEX dia_source_snap_visit_id_idx ON staging.dia_source_snap USING brin (visit_id) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE staging.forced_dia_source (
    forced_dia_source_id BIGINT NOT NULL,
    object_id BIGINT,
    moving_object_id BIGINT,
    exposure_id BIGINT NOT NULL,
    visit_id BIGINT NOT NULL,
    detector_id SMALLINT NOT NULL,
    filter_id SMALLINT NOT NULL,
    midpoint_tai DOUBLE PRECISION NOT NULL,
    ra DOUBLE PRECISION NOT NULL,
    dec DOUBLE PRECISION NOT NULL,
    healpix29 BIGINT NOT NULL,
    x REAL,
    y REAL,
    ixx REAL,
    iyy REAL,
    ixy REAL,
    model_type TEXT,
    peak_offset REAL,
    psf_flux REAL,
    psf_flux_err REAL,
    sky REAL,
    sky_err REAL,
    psf_flux_flag BOOLEAN,
    pixel_flag_bad BOOLEAN,
    pixel_flag_saturated BOOLEAN,
    pixel_flag_cosmic_ray BOOLEAN,
    pixel_flag_edge BOOLEAN,
    pixel_flag_streak BOOLEAN,
    pixel_flag_injected BOOLEAN,
    pixel_flag_no_data BOOLEAN,
    job_id BIGINT NOT NULL
);

CREATE INDEX forced_dia_source_visit_id_idx ON staging.forced_dia_source USING brin (visit_id) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE staging.forced_source (
    forced_source_id BIGINT NOT NULL,
    object_id BIGINT,
    moving_object_id BIGINT,
    exposure_id BIGINT NOT NULL,
    visit_id BIGINT NOT NULL,
    detector_id SMALLINT NOT NULL,
    filter_id SMALLINT NOT NULL,
    midpoint_tai DOUBLE PRECISION NOT NULL,
    ra DOUBLE PRECISION NOT NULL,
    dec DOUBLE PRECISION NOT NULL,
    healpix29 BIGINT NOT NULL,
    x REAL,
    y REAL,
    ixx REAL,
    iyy REAL,
    ixy REAL,
    model_type TEXT,
    peak_offset REAL,
    psf_flux REAL,
    psf_flux_err REAL,
    sky REAL,
    sky_err REAL,
    psf_flux_flag BOOLEAN,
    pixel_flag_bad BOOLEAN,
    pixel_flag_saturated BOOLEAN,
    pixel_flag_cosmic_ray BOOLEAN,
    pixel_flag_edge BOOLEAN,
    pixel_flag_streak BOOLEAN,
    pixel_flag_injected BOOLEAN,
    pixel_flag_no_data BOOLEAN,
    job_id BIGINT NOT NULL
);

CREATE INDEX forced_source_visit_id_idx ON staging.forced_source USING brin (visit_id) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE staging.source (
    source_id BIGINT NOT NULL,
    exposure_id BIGINT NOT NULL,
    visit_id BIGINT NOT NULL,
    detector_id SMALLINT NOT NULL,
    filter_id SMALLINT NOT NULL,
    midpoint_tai DOUBLE PRECISION NOT NULL,
    ra DOUBLE PRECISION NOT NULL,
    dec DOUBLE PRECISION NOT NULL,
    ra_err REAL,
    dec_err REAL,
    ra_dec_cov REAL,
    healpix29 BIGINT NOT NULL,
    x REAL,
    y REAL,
    x_err REAL,
    y_err REAL,
    ixx REAL,
    iyy REAL,
    ixy REAL,
    ixx_err REAL,
    iyy_err REAL,
    ixy_err REAL,
    raw_flux REAL,
    raw_flux_err REAL,
    psf_flux REAL,
    psf_flux_err REAL,
    ap_flux REAL,
    ap_flux_err REAL,
    ap_radius REAL,
    photo_calib REAL,
    photo_calib_err REAL,
    sky REAL,
    snr REAL,
    extendedness REAL,
    so_ra DOUBLE PRECISION,
    so_dec DOUBLE PRECISION,
    so_ixx REAL,
    so_iyy REAL,
    so_ixy REAL,
    so_flux REAL,
    so_flux_err REAL,
    so_sky REAL,
    smps_ra DOUBLE PRECISION,
    smps_dec DOUBLE PRECISION,
    smps_ixx REAL,
    smps_iyy REAL,
    smps_ixy REAL,
    smps_flux REAL,
    smps_flux_err REAL,
    smps_sky REAL,
    residual_chi2 REAL,
    residual_max_snr REAL,
    residual_asymmetry REAL,
    centroid_flag BOOLEAN,
    psf_flux_flag BOOLEAN,
    ap_flux_flag BOOLEAN,
    shape_flag BOOLEAN,
    deblended BOOLEAN,
    calibration_used BOOLEAN,
    pixel_flag_bad BOOLEAN,
    pixel_flag_saturated BOOLEAN,
    pixel_flag_saturated_center BOOLEAN,
    pixel_flag_cosmic_ray BOOLEAN,
    pixel_flag_interpolated BOOLEAN,
    pixel_flag_edge BOOLEAN,
    pixel_flag_suspect BOOLEAN,
    pixel_flag_streak BOOLEAN,
    pixel_flag_injected BOOLEAN,
    pixel_flag_injected_template BOOLEAN,
    pixel_flag_no_data BOOLEAN,
    job_id BIGINT NOT NULL
);

CREATE INDEX source_visit_id_idx ON staging.source USING brin (visit_id) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE :catalogue.alert_packet (
    dia_source_id BIGINT NOT NULL,
    version SMALLINT NOT NULL,
    encoding TEXT NOT NULL,
    file_id BIGINT NOT NULL,
    byte_offset BIGINT NOT NULL,
    byte_length INTEGER NOT NULL,
    CONSTRAINT alert_packet_pkey PRIMARY KEY (dia_source_id, version, encoding),
    CONSTRAINT alert_packet_dia_source_id_version_fkey FOREIGN KEY(dia_source_id, version) REFERENCES :catalogue.alert (dia_source_id, version),
    CONSTRAINT alert_packet_encoding_check CHECK (encoding IN ('voevent', 'avro', 'stamps')),
    CONSTRAINT alert_packet_extent_check CHECK (byte_offset >= 0 AND byte_length > 0)
);

CREATE TABLE :catalogue.coadd (
    coadd_id BIGINT NOT NULL,
    patch_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    filter_id SMALLINT,
    inputs INTEGER NOT NULL,
    first_tai DOUBLE PRECISION,
    last_tai DOUBLE PRECISION,
    exposure_time REAL,
    photo_calib REAL,
    psf_model TEXT,
    psf_parameters REAL[],
    psf_fwhm REAL,
    depth REAL,
    file_id BIGINT,
    job_id BIGINT,
    is_current BOOLEAN DEFAULT 'true' NOT NULL,
    CONSTRAINT coadd_pkey PRIMARY KEY (coadd_id),
    CONSTRAINT coadd_kind_check CHECK (kind IN ('template', 'detection', 'deep', 'chi_squared', 'rgb')),
    CONSTRAINT coadd_patch_id_fkey FOREIGN KEY(patch_id) REFERENCES :catalogue.patch (patch_id)
);

CREATE UNIQUE INDEX coadd_current_idx ON :catalogue.coadd (patch_id, kind, filter_id) WHERE is_current;

CREATE TABLE :catalogue.moving_object_magnitude (
    moving_object_id BIGINT NOT NULL,
    filter_id SMALLINT NOT NULL,
    h REAL,
    h_err REAL,
    g REAL,
    g_err REAL,
    h_g_cov REAL,
    measurements INTEGER,
    chi2 REAL,
    variance REAL,
    amplitude REAL,
    CONSTRAINT moving_object_magnitude_pkey PRIMARY KEY (moving_object_id, filter_id),
    CONSTRAINT moving_object_magnitude_moving_object_id_fkey FOREIGN KEY(moving_object_id) REFERENCES :catalogue.moving_object (moving_object_id) ON DELETE CASCADE
);

CREATE TABLE :catalogue.moving_object_orbit (
    moving_object_id BIGINT NOT NULL,
    fitted_tai DOUBLE PRECISION NOT NULL,
    epoch_tai DOUBLE PRECISION,
    perihelion_distance DOUBLE PRECISION,
    eccentricity DOUBLE PRECISION,
    inclination DOUBLE PRECISION,
    node DOUBLE PRECISION,
    perihelion_argument DOUBLE PRECISION,
    perihelion_tai DOUBLE PRECISION,
    orbit_covariance DOUBLE PRECISION[][],
    arc REAL,
    observations INTEGER,
    residual REAL,
    CONSTRAINT moving_object_orbit_pkey PRIMARY KEY (moving_object_id, fitted_tai),
    CONSTRAINT moving_object_orbit_moving_object_id_fkey FOREIGN KEY(moving_object_id) REFERENCES :catalogue.moving_object (moving_object_id) ON DELETE CASCADE
);

CREATE TABLE :catalogue.object_footprint (
    object_id BIGINT NOT NULL,
    centre_ra DOUBLE PRECISION NOT NULL,
    centre_dec DOUBLE PRECISION NOT NULL,
    ixx REAL,
    iyy REAL,
    ixy REAL,
    box_ra DOUBLE PRECISION NOT NULL,
    box_dec DOUBLE PRECISION NOT NULL,
    box_width REAL NOT NULL,
    box_height REAL NOT NULL,
    flux REAL,
    flux_err REAL,
    pixels INTEGER,
    CONSTRAINT object_footprint_pkey PRIMARY KEY (object_id),
    CONSTRAINT object_footprint_box_check CHECK (box_width > 0 AND box_height > 0 AND box_dec BETWEEN -90 AND 90),
    CONSTRAINT object_footprint_object_id_fkey FOREIGN KEY(object_id) REFERENCES :catalogue.object (object_id) ON DELETE CASCADE
);

CREATE TABLE :catalogue.object_model (
    object_id BIGINT NOT NULL,
    model_type TEXT NOT NULL,
    filter_id SMALLINT NOT NULL,
    is_best BOOLEAN DEFAULT 'false' NOT NULL,
    method TEXT NOT NULL,
    value DOUBLE PRECISION[] NOT NULL,
    covariance DOUBLE PRECISION[][] NOT NULL,
    chi2 REAL,
    degrees_of_freedom INTEGER,
    CONSTRAINT object_model_pkey PRIMARY KEY (object_id, model_type, filter_id),
    CONSTRAINT object_model_covariance_check CHECK (array_length(covariance, 1) = cardinality(value) AND array_length(covariance, 2) = cardinality(value)),
    CONSTRAINT object_model_method_check CHECK (method IN ('stackfit', 'multifit')),
    CONSTRAINT object_model_model_type_fkey FOREIGN KEY(model_type) REFERENCES :catalogue.model_type (model_type),
    CONSTRAINT object_model_object_id_fkey FOREIGN KEY(object_id) REFERENCES :catalogue.object (object_id) ON DELETE CASCADE
);

CREATE TABLE :catalogue.object_photoz (
    object_id BIGINT NOT NULL,
    z_peak REAL NOT NULL,
    pdf_z_first REAL NOT NULL,
    pdf_z_step REAL NOT NULL,
    pdf REAL[] NOT NULL,
    method TEXT NOT NULL,
    CONSTRAINT object_photoz_pkey PRIMARY KEY (object_id),
    CONSTRAINT object_photoz_object_id_fkey FOREIGN KEY(object_id) REFERENCES :catalogue.object (object_id) ON DELETE CASCADE,
    CONSTRAINT object_photoz_pdf_check CHECK (pdf_z_step > 0 AND cardinality(pdf) > 1)
);

CREATE TABLE :catalogue.object_residual (
    object_id BIGINT NOT NULL,
    filter_id SMALLINT NOT NULL,
    model_type TEXT NOT NULL,
    reduced_chi2 REAL,
    max_snr REAL,
    positive_fraction REAL,
    negative_fraction REAL,
    asymmetry REAL,
    tangential REAL,
    CONSTRAINT object_residual_pkey PRIMARY KEY (object_id, filter_id, model_type),
    CONSTRAINT object_residual_model_type_fkey FOREIGN KEY(model_type) REFERENCES :catalogue.model_type (model_type),
    CONSTRAINT object_residual_object_id_fkey FOREIGN KEY(object_id) REFERENCES :catalogue.object (object_id) ON DELETE CASCADE
);

CREATE TABLE :catalogue.object_segment (
    object_id BIGINT NOT NULL,
    parent_object_id BIGINT,
    root_object_id BIGINT NOT NULL,
    depth SMALLINT NOT NULL,
    children SMALLINT NOT NULL,
    CONSTRAINT object_segment_pkey PRIMARY KEY (object_id),
    CONSTRAINT object_segment_object_id_fkey FOREIGN KEY(object_id) REFERENCES :catalogue.object (object_id) ON DELETE CASCADE,
    CONSTRAINT object_segment_parent_object_id_fkey FOREIGN KEY(parent_object_id) REFERENCES :catalogue.object (object_id),
    CONSTRAINT object_segment_root_check CHECK ((parent_object_id IS NULL) = (depth = 0)),
    CONSTRAINT object_segment_root_object_id_fkey FOREIGN KEY(root_object_id) REFERENCES :catalogue.object (object_id)
);

CREATE INDEX object_segment_root_object_id_idx ON :catalogue.object_segment (root_object_id);

CREATE TABLE :catalogue.outbox (
    outbox_id BIGINT GENERATED ALWAYS AS IDENTITY,
    dia_source_id BIGINT NOT NULL,
    version SMALLINT NOT NULL,
    stream TEXT NOT NULL,
    state TEXT DEFAULT 'waiting' NOT NULL,
    attempts SMALLINT DEFAULT '0' NOT NULL,
    next_attempt TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    sent TIMESTAMP WITH TIME ZONE,
    last_error TEXT,
    CONSTRAINT outbox_pkey PRIMARY KEY (outbox_id),
    CONSTRAINT outbox_dia_source_id_version_fkey FOREIGN KEY(dia_source_id, version) REFERENCES :catalogue.alert (dia_source_id, version),
    CONSTRAINT outbox_state_check CHECK (state IN ('waiting', 'sent', 'dead'))
);

CREATE UNIQUE INDEX outbox_once_idx ON :catalogue.outbox (dia_source_id, version, stream);

CREATE INDEX outbox_waiting_idx ON :catalogue.outbox (next_attempt) WHERE state = 'waiting';

CREATE TABLE :catalogue.sdqa_measurement (
    metric TEXT NOT NULL,
    subject_id BIGINT NOT NULL,
    value DOUBLE PRECISION,
    verdict TEXT NOT NULL,
    job_id BIGINT,
    measured TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT sdqa_measurement_pkey PRIMARY KEY (metric, subject_id),
    CONSTRAINT sdqa_measurement_metric_fkey FOREIGN KEY(metric) REFERENCES :catalogue.sdqa_metric (metric),
    CONSTRAINT sdqa_measurement_verdict_check CHECK (verdict IN ('stretch', 'design', 'minimum', 'fail', 'unspecified'))
);

CREATE INDEX sdqa_measurement_fail_idx ON :catalogue.sdqa_measurement (metric) WHERE verdict = 'fail';

CREATE INDEX sdqa_measurement_subject_id_idx ON :catalogue.sdqa_measurement (subject_id);

CREATE TABLE :catalogue.visit (
    visit_id BIGINT NOT NULL,
    night SMALLINT NOT NULL,
    sequence SMALLINT NOT NULL,
    filter_id SMALLINT NOT NULL,
    field TEXT,
    snaps SMALLINT NOT NULL,
    detectors SMALLINT NOT NULL,
    raw_arrived INTEGER DEFAULT '0' NOT NULL,
    ra DOUBLE PRECISION,
    dec DOUBLE PRECISION,
    midpoint_tai DOUBLE PRECISION,
    shutter_close_tai DOUBLE PRECISION,
    exposure_time REAL,
    state TEXT DEFAULT 'arriving' NOT NULL,
    condition TEXT,
    CONSTRAINT visit_pkey PRIMARY KEY (visit_id),
    CONSTRAINT visit_filter_id_fkey FOREIGN KEY(filter_id) REFERENCES :catalogue.filter (filter_id),
    CONSTRAINT visit_id_check CHECK (visit_id = (night::bigint << 12) | sequence),
    CONSTRAINT visit_position_check CHECK (ra >= 0 AND ra < 360 AND dec BETWEEN -90 AND 90),
    CONSTRAINT visit_range_check CHECK (night BETWEEN 0 AND 16383 AND sequence BETWEEN 0 AND 4095),
    CONSTRAINT visit_state_check CHECK (state IN ('arriving', 'ready', 'associated', 'closed', 'failed'))
);

CREATE TABLE efd.sample (
    topic_id BIGINT NOT NULL,
    time_tai DOUBLE PRECISION NOT NULL,
    value DOUBLE PRECISION[] NOT NULL,
    CONSTRAINT sample_pkey PRIMARY KEY (topic_id, time_tai),
    CONSTRAINT sample_topic_id_fkey FOREIGN KEY(topic_id) REFERENCES efd.topic (topic_id)
);

CREATE TABLE efd.sync (
    sync_id BIGINT GENERATED ALWAYS AS IDENTITY,
    topic_id BIGINT NOT NULL,
    from_tai DOUBLE PRECISION,
    to_tai DOUBLE PRECISION,
    samples BIGINT NOT NULL,
    digest TEXT NOT NULL,
    finished TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT sync_pkey PRIMARY KEY (sync_id),
    CONSTRAINT sync_topic_id_fkey FOREIGN KEY(topic_id) REFERENCES efd.topic (topic_id),
    CONSTRAINT sync_topic_id_to_tai_key UNIQUE (topic_id, to_tai)
);

CREATE TABLE :catalogue.exposure (
    exposure_id BIGINT NOT NULL,
    visit_id BIGINT NOT NULL,
    detector_id SMALLINT NOT NULL,
    snap SMALLINT NOT NULL,
    kind TEXT NOT NULL,
    filter_id SMALLINT NOT NULL,
    midpoint_tai DOUBLE PRECISION NOT NULL,
    exposure_time REAL NOT NULL,
    ra DOUBLE PRECISION,
    dec DOUBLE PRECISION,
    healpix29 BIGINT,
    rotation REAL,
    wcs TEXT,
    wcs_residual REAL,
    footprint public.spoly,
    psf_model TEXT,
    psf_parameters REAL[],
    psf_fwhm REAL,
    psf_e1 REAL,
    psf_e2 REAL,
    photo_calib REAL,
    photo_calib_err REAL,
    zeropoint REAL,
    sky_background REAL,
    sky_noise REAL,
    depth REAL,
    azimuth REAL,
    altitude REAL,
    airmass REAL,
    hour_angle REAL,
    parallactic_angle REAL,
    rotator_angle REAL,
    focus_offset REAL,
    dome_azimuth REAL,
    detector_temperature REAL,
    gain REAL,
    read_noise REAL,
    readout_mode TEXT,
    crosstalk_corrected TEXT,
    air_temperature REAL,
    air_pressure REAL,
    humidity REAL,
    wind_speed REAL,
    wind_azimuth REAL,
    dimm_seeing REAL,
    cloud_extinction REAL,
    water_vapour REAL,
    shutter_open_tai DOUBLE PRECISION,
    shutter_close_tai DOUBLE PRECISION,
    shutter_time REAL[],
    shutter_position REAL[],
    transmission REAL[][],
    transmission_wavelength REAL,
    file_id BIGINT,
    job_id BIGINT,
    condition TEXT,
    CONSTRAINT exposure_pkey PRIMARY KEY (exposure_id),
    CONSTRAINT exposure_detector_id_fkey FOREIGN KEY(detector_id) REFERENCES :catalogue.detector (detector_id),
    CONSTRAINT exposure_filter_id_fkey FOREIGN KEY(filter_id) REFERENCES :catalogue.filter (filter_id),
    CONSTRAINT exposure_id_check CHECK (exposure_id = (visit_id << 12) | (detector_id::bigint << 4) | (snap << 2) | CASE kind WHEN 'raw' THEN 0 WHEN 'calibrated' THEN 1 ELSE 2 END),
    CONSTRAINT exposure_kind_check CHECK (kind IN ('raw', 'calibrated', 'difference')),
    CONSTRAINT exposure_position_check CHECK (ra >= 0 AND ra < 360 AND dec BETWEEN -90 AND 90),
    CONSTRAINT exposure_snap_check CHECK (snap BETWEEN 0 AND 3),
    CONSTRAINT exposure_visit_id_fkey FOREIGN KEY(visit_id) REFERENCES :catalogue.visit (visit_id)
);

CREATE INDEX exposure_footprint_idx ON :catalogue.exposure USING gist (footprint);

CREATE INDEX exposure_midpoint_tai_idx ON :catalogue.exposure (midpoint_tai);

CREATE INDEX exposure_visit_id_idx ON :catalogue.exposure (visit_id);

CREATE TABLE :catalogue.predicted_position (
    visit_id BIGINT NOT NULL,
    moving_object_id BIGINT NOT NULL,
    ra DOUBLE PRECISION NOT NULL,
    dec DOUBLE PRECISION NOT NULL,
    ra_err REAL,
    dec_err REAL,
    ra_dec_cov REAL,
    ra_rate REAL,
    dec_rate REAL,
    magnitude REAL,
    dia_source_id BIGINT,
    CONSTRAINT predicted_position_pkey PRIMARY KEY (visit_id, moving_object_id),
    CONSTRAINT predicted_position_moving_object_id_fkey FOREIGN KEY(moving_object_id) REFERENCES :catalogue.moving_object (moving_object_id) ON DELETE CASCADE,
    CONSTRAINT predicted_position_visit_id_fkey FOREIGN KEY(visit_id) REFERENCES :catalogue.visit (visit_id)
);

CREATE INDEX predicted_position_moving_object_id_idx ON :catalogue.predicted_position (moving_object_id);

CREATE TABLE :catalogue.coadd_input (
    coadd_id BIGINT NOT NULL,
    exposure_id BIGINT NOT NULL,
    weight REAL NOT NULL,
    area REAL,
    CONSTRAINT coadd_input_pkey PRIMARY KEY (coadd_id, exposure_id),
    CONSTRAINT coadd_input_coadd_id_fkey FOREIGN KEY(coadd_id) REFERENCES :catalogue.coadd (coadd_id) ON DELETE CASCADE,
    CONSTRAINT coadd_input_exposure_id_fkey FOREIGN KEY(exposure_id) REFERENCES :catalogue.exposure (exposure_id)
);

CREATE INDEX coadd_input_exposure_id_idx ON :catalogue.coadd_input (exposure_id);
