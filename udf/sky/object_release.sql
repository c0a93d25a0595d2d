-- sky_cone on a release's Objects: what the general form gives, by statements that are planned once a session.
-- minimum revision: science_0001
-- databases: release
-- requires: sky/cone sky/cover
-- execute: public

CREATE OR REPLACE FUNCTION hven.sky_cone(table_row :catalogue.object, ra_deg float8, dec_deg float8, radius_arcsec float8)
RETURNS SETOF :catalogue.object
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000 ROWS 100
AS $$
DECLARE
    haversine constant float8 := sin(radians(radius_arcsec / 7200)) ^ 2;
BEGIN
    IF hven.sky_is_position(ra_deg, dec_deg) IS NULL OR hven.sky_is_radius(radius_arcsec) IS NULL THEN
        RETURN;
    END IF;
    -- Up to half a degree cones cost least through the GiST index, larger ones by ranges. pgSphere moves positions and
    -- accepts by up to 1e-9 rad each: only what is as near as that to the rim needs the exact test.
    IF radius_arcsec <= 1800 THEN
        RETURN QUERY SELECT o.* FROM :catalogue.object o
        WHERE public.spoint_dwithin(public.spoint_deg(o.ra, o.dec), public.spoint_deg(ra_deg, dec_deg),
                                    radians(radius_arcsec / 3600) + 4e-9)
          AND (radius_arcsec > 1
               AND public.spoint_dwithin(public.spoint_deg(o.ra, o.dec), public.spoint_deg(ra_deg, dec_deg),
                                         greatest(radians(radius_arcsec / 3600) - 4e-9, 0))
               OR hven.sky_haversine(o.ra, o.dec, ra_deg, dec_deg) <= haversine);
    ELSE
        RETURN QUERY SELECT o.*
        FROM hven.cover_cone(ra_deg, dec_deg, radius_arcsec, hven.cover_depth(radius_arcsec)) r
        CROSS JOIN LATERAL (
            SELECT * FROM :catalogue.object o WHERE o.healpix29 BETWEEN r.lowest AND r.highest OFFSET 0
        ) o
        WHERE r.inside OR hven.sky_haversine(o.ra, o.dec, ra_deg, dec_deg) <= haversine;
    END IF;
END
$$;

COMMENT ON FUNCTION hven.sky_cone(:catalogue.object, float8, float8, float8) IS
'The Objects within a radius [arcsec] of a position [deg]; the general sky_cone, made for this table.';
