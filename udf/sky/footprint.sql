-- Which Exposures cover a place.
-- minimum revision: science_0001
-- databases: level1 release
-- requires: sky/shapes
-- execute: public

CREATE OR REPLACE FUNCTION hven.exposures_covering(ra_deg float8, dec_deg float8)
RETURNS SETOF :catalogue.exposure
LANGUAGE sql STABLE PARALLEL SAFE COST 100 ROWS 100
AS $$
    SELECT e.* FROM :catalogue.exposure e
    WHERE e.footprint OPERATOR(public.@>) public.spoint_deg(ra_deg, dec_deg)
      AND hven.sky_is_position(ra_deg, dec_deg)
$$;

COMMENT ON FUNCTION hven.exposures_covering(float8, float8) IS
'The Exposures whose footprint covers a position [deg], by the index on exposure.footprint; for many positions, join it LATERAL.';
