-- Fluxes and AB magnitudes (Oke & Gunn 1983): m = 31.4 - 2.5 log10(flux / nJy).
-- minimum revision: base
-- databases: hub level1 release
-- execute: public

CREATE OR REPLACE FUNCTION hven.ab_magnitude(flux_njy float8)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN CASE WHEN flux_njy > 0 AND flux_njy < 'Infinity'::float8 THEN 31.4::float8 - 2.5::float8 * log(flux_njy) END;

COMMENT ON FUNCTION hven.ab_magnitude(float8) IS
'AB magnitude of a flux [nJy]; NULL where the flux is not positive.';


CREATE OR REPLACE FUNCTION hven.ab_magnitude_err(flux_njy float8, flux_err_njy float8)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN CASE WHEN flux_njy > 0 AND flux_njy < 'Infinity'::float8 AND flux_err_njy >= 0
            THEN 1.0857362047581296::float8 * flux_err_njy / flux_njy END;  -- 2.5 / ln 10

COMMENT ON FUNCTION hven.ab_magnitude_err(float8, float8) IS
'One-sigma error [mag] of ab_magnitude, to first order, of a flux and its error [nJy]; NULL where the flux is not positive.';


CREATE OR REPLACE FUNCTION hven.ab_flux(magnitude float8)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN CASE WHEN abs(magnitude) < 500 THEN 10::float8 ^ (0.4::float8 * (31.4::float8 - magnitude)) END;

COMMENT ON FUNCTION hven.ab_flux(float8) IS 'Flux [nJy] of an AB magnitude; NULL beyond ±500.';


CREATE OR REPLACE FUNCTION hven.ab_flux_err(magnitude float8, magnitude_err float8)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN CASE WHEN magnitude_err >= 0 AND abs(magnitude) < 500
            THEN 0.9210340371976184::float8 * magnitude_err * 10::float8 ^ (0.4::float8 * (31.4::float8 - magnitude))
       END;  -- 0.4 ln 10

COMMENT ON FUNCTION hven.ab_flux_err(float8, float8) IS
'One-sigma error [nJy] of ab_flux, to first order, of an AB magnitude and its error.';
