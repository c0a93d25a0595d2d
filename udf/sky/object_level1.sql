-- sky_cone on the live Objects: what the general form gives, by a statement that is planned once a session.
-- minimum revision: science_0001
-- databases: level1
-- requires: sky/cone sky/cover
-- execute: public

CREATE OR REPLACE FUNCTION hven.sky_cone(table_row :catalogue.object, ra_deg float8, dec_deg float8, radius_arcsec float8)
RETURNS SETOF :catalogue.object
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000 ROWS 100
AS $$
DECLARE
    haversine constant float8 := sin(radians(radius_arcsec / 7200)) ^ 2;
    small record;
BEGIN
    IF hven.sky_is_position(ra_deg, dec_deg) IS NULL OR hven.sky_is_radius(radius_arcsec) IS NULL THEN
        RETURN;
    END IF;
    IF radius_arcsec <= 5 THEN
        small := hven.cover_small_cone(ra_deg, dec_deg, radius_arcsec);
        IF small.lowest IS NOT NULL THEN
            RETURN QUERY SELECT o.*
            FROM unnest(small.lowest) AS r (lowest)
            CROSS JOIN LATERAL (
                SELECT * FROM :catalogue.object o WHERE o.healpix29 BETWEEN r.lowest AND r.lowest + small.span OFFSET 0
            ) o
            WHERE hven.sky_haversine(o.ra, o.dec, ra_deg, dec_deg) <= haversine;
            RETURN;
        END IF;
    END IF;
    RETURN QUERY SELECT o.*
    FROM hven.cover_cone(ra_deg, dec_deg, radius_arcsec, hven.cover_depth(radius_arcsec)) r
    CROSS JOIN LATERAL (
        SELECT * FROM :catalogue.object o WHERE o.healpix29 BETWEEN r.lowest AND r.highest OFFSET 0
    ) o
    WHERE r.inside OR hven.sky_haversine(o.ra, o.dec, ra_deg, dec_deg) <= haversine;
END
$$;

COMMENT ON FUNCTION hven.sky_cone(:catalogue.object, float8, float8, float8) IS
'The live Objects within a radius [arcsec] of a position [deg]; the general sky_cone, made for this table.';
