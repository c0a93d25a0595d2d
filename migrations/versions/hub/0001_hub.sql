CREATE TABLE hub.calibration_product (
    calibration_id BIGINT GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    instrument TEXT NOT NULL,
    detector_id SMALLINT NOT NULL,
    filter TEXT DEFAULT '' NOT NULL,
    readout_mode TEXT DEFAULT '' NOT NULL,
    valid_from_tai DOUBLE PRECISION NOT NULL,
    valid_to_tai DOUBLE PRECISION NOT NULL,
    version SMALLINT DEFAULT '1' NOT NULL,
    state TEXT DEFAULT 'made' NOT NULL,
    sha256 TEXT NOT NULL,
    file_id BIGINT,
    job_id BIGINT,
    comparison JSONB,
    inputs TEXT[],
    written TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT calibration_product_pkey PRIMARY KEY (calibration_id),
    CONSTRAINT calibration_product_kind_check CHECK (kind IN ('bias', 'dark', 'flat', 'monochromatic_flat', 'pupil_ghost', 'crosstalk', 'illumination', 'fringe', 'linearity', 'defects', 'atmosphere')),
    CONSTRAINT calibration_product_state_check CHECK (state IN ('made', 'certified', 'rejected')),
    CONSTRAINT calibration_product_validity_check CHECK (valid_from_tai < valid_to_tai)
);

CREATE INDEX calibration_product_find_idx ON hub.calibration_product (instrument, detector_id, kind, filter, readout_mode, valid_from_tai) WHERE state = 'certified';

CREATE TABLE hub.data_release (
    release SMALLINT NOT NULL,
    name TEXT NOT NULL,
    first_tai DOUBLE PRECISION,
    cutoff_tai DOUBLE PRECISION,
    software_version TEXT,
    software_commit TEXT,
    parameters JSONB,
    schema_revision TEXT,
    doi TEXT,
    published TIMESTAMP WITH TIME ZONE,
    CONSTRAINT data_release_pkey PRIMARY KEY (release),
    CONSTRAINT data_release_name_key UNIQUE (name)
);

CREATE TABLE hub.life_cycle (
    event_id BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    actor TEXT DEFAULT session_user NOT NULL,
    reason TEXT,
    written TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT life_cycle_pkey PRIMARY KEY (event_id)
);

CREATE TABLE hub.science_database (
    name TEXT NOT NULL,
    database TEXT NOT NULL,
    kind TEXT NOT NULL,
    release SMALLINT NOT NULL,
    state TEXT DEFAULT 'creating' NOT NULL,
    is_current BOOLEAN DEFAULT 'false' NOT NULL,
    changed TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT science_database_pkey PRIMARY KEY (name),
    CONSTRAINT science_database_kind_check CHECK (kind IN ('level1', 'release', 'bootstrap', 'mini')),
    CONSTRAINT science_database_release_check CHECK (CASE kind WHEN 'bootstrap' THEN release = 0 WHEN 'release' THEN release BETWEEN 1 AND 47 WHEN 'mini' THEN release BETWEEN 48 AND 63 ELSE release BETWEEN 0 AND 47 END),
    CONSTRAINT science_database_state_check CHECK (state IN ('creating', 'building', 'validated', 'frozen', 'published', 'withdrawn', 'live'))
);

CREATE UNIQUE INDEX science_database_current_idx ON hub.science_database (is_current) WHERE is_current;

CREATE UNIQUE INDEX science_database_release_idx ON hub.science_database (release) WHERE kind <> 'level1';

CREATE TABLE hub.site (
    site TEXT NOT NULL,
    is_here BOOLEAN DEFAULT 'false' NOT NULL,
    connection TEXT,
    file_root TEXT,
    CONSTRAINT site_pkey PRIMARY KEY (site)
);

CREATE UNIQUE INDEX site_here_idx ON hub.site (is_here) WHERE is_here;

CREATE TABLE hub.worker_share (
    pool TEXT NOT NULL,
    name TEXT NOT NULL,
    weight BIGINT NOT NULL,
    CONSTRAINT worker_share_pkey PRIMARY KEY (pool, name),
    CONSTRAINT worker_share_name_fkey FOREIGN KEY(name) REFERENCES hub.science_database (name) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT worker_share_weight_check CHECK (weight > 0)
);
