CREATE TABLE :catalogue.refcat (
    catalogue TEXT NOT NULL,
    refcat_id BIGINT NOT NULL,
    ra DOUBLE PRECISION NOT NULL,
    dec DOUBLE PRECISION NOT NULL,
    epoch DOUBLE PRECISION NOT NULL,
    pm_ra REAL,
    pm_dec REAL,
    ra_err REAL,
    dec_err REAL,
    magnitude REAL,
    magnitude_err REAL,
    band TEXT,
    healpix29 BIGINT NOT NULL,
    CONSTRAINT refcat_pkey PRIMARY KEY (catalogue, refcat_id),
    CONSTRAINT refcat_position_check CHECK (ra >= 0 AND ra < 360 AND dec BETWEEN -90 AND 90)
);

CREATE INDEX refcat_healpix29_idx ON :catalogue.refcat (healpix29);
