-- Cones: all positions within a radius of a centre.
-- minimum revision: base
-- databases: hub level1 release
-- requires: sky/shapes sky/separation sky/cover sky/select
-- execute: public

CREATE OR REPLACE FUNCTION hven.sky_within(
    ra1 float8, dec1 float8, ra2 float8, dec2 float8, radius_arcsec float8)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- pgSphere finds candidates by a GiST index on spoint_deg(ra, dec) of either position; since it moves positions
-- by up to 1e-9 rad at RA 0 and the equator and accepts 1e-9 rad more, its radius is 4e-9 rad wider and the
-- haversine decides. Its circles end at 90 deg.
RETURN public.spoint_dwithin(
        public.spoint_deg(ra1, dec1), public.spoint_deg(ra2, dec2),
        least(hven.sky_radians(radius_arcsec, 324000) + 4e-9::float8, radians(90)))
   AND hven.sky_haversine(ra1, dec1, ra2, dec2) <= sin(radians(radius_arcsec / 7200)) ^ 2::float8
   AND hven.sky_is_position(ra1, dec1) AND hven.sky_is_position(ra2, dec2);

COMMENT ON FUNCTION hven.sky_within(float8, float8, float8, float8, float8) IS
'Whether two positions [deg] lie within a radius [arcsec, up to 90 deg] of each other. Uses a GiST index on (public.spoint_deg(ra, dec)) of either side''s table; for tables without one, such as the live Object, use sky_cone or sky_crossmatch.';


CREATE OR REPLACE FUNCTION hven.sky_cone(table_row anyelement, ra_deg float8, dec_deg float8, radius_arcsec float8)
RETURNS SETOF anyelement
LANGUAGE plpgsql
STABLE PARALLEL SAFE COST 1000 ROWS 100
AS $$
DECLARE
    -- Larger cones are worth finer covers: more ranges, each an index scan, for fewer rows to look at in vain.
    finer constant integer := CASE WHEN radius_arcsec <= 10 THEN 0 WHEN radius_arcsec <= 120 THEN 1
                                   WHEN radius_arcsec <= 1200 THEN 2 ELSE 3 END;
BEGIN
    IF hven.sky_is_position(ra_deg, dec_deg) IS NULL OR hven.sky_is_radius(radius_arcsec) IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE hven.sky_query('sky_cone', pg_typeof(table_row),
        'hven.healpix_ranges_cone($1, $2, $3, $4)',
        'hven.sky_haversine(t.ra, t.dec, $1, $2) <= sin(radians($3 / 7200)) ^ 2',
        CASE WHEN radius_arcsec <= 324000 THEN 'hven.sky_within(t.ra, t.dec, $1, $2, $3)'
             ELSE 'hven.sky_haversine(t.ra, t.dec, $1, $2) <= sin(radians($3 / 7200)) ^ 2' END, radius_arcsec <= 60)
    USING ra_deg, dec_deg, radius_arcsec, finer;
END
$$;

COMMENT ON FUNCTION hven.sky_cone(anyelement, float8, float8, float8) IS
'The rows of a table, named by a NULL of its row type (NULL::dr1.object), within a radius [arcsec] of a position [deg].';


CREATE OR REPLACE FUNCTION hven.sky_nearest(
    table_row anyelement, ra_deg float8, dec_deg float8, radius_arcsec float8, neighbours integer DEFAULT 1)
RETURNS SETOF anyelement
LANGUAGE plpgsql
STABLE PARALLEL SAFE COST 1000 ROWS 1
AS $$
BEGIN
    RETURN QUERY SELECT t.* FROM hven.sky_cone(table_row, ra_deg, dec_deg, radius_arcsec) t
        ORDER BY hven.sky_haversine(t.ra, t.dec, ra_deg, dec_deg) LIMIT neighbours;
END
$$;

COMMENT ON FUNCTION hven.sky_nearest(anyelement, float8, float8, float8, integer) IS
'The rows of a table (NULL::dr1.object) nearest to a position [deg], nearest first: at most so many, and none beyond a radius [arcsec].';
