-- Cones: all positions within a radius of a centre.
-- minimum revision: base
-- databases: hub level1 release
-- requires: sky/shapes sky/separation sky/cover sky/select
-- execute: public

CREATE OR REPLACE FUNCTION hven.sky_within(
    ra1 float8, dec1 float8, ra2 float8, dec2 float8, radius_arcsec float8)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 50
-- pgSphere finds candidates by a GiST index on spoint_deg(ra, dec) of either position. It moves positions by up to
-- 1e-9 rad at RA 0 and the equator and accepts 1e-9 rad more. Below 5 arcmin its radius is therefore wider and
-- the haversine decides; above, where that would double the cost of the many rows, its answer stands.
-- Its circles end at 90 deg.
RETURN public.spoint_dwithin(
        public.spoint_deg(ra1, dec1), public.spoint_deg(ra2, dec2),
        least(hven.sky_radians(radius_arcsec, 324000) + 4e-9::float8, radians(90)))
   AND (radius_arcsec >= 300
        OR hven.sky_haversine(ra1, dec1, ra2, dec2) <= sin(radians(radius_arcsec / 7200)) ^ 2::float8)
   AND hven.sky_is_declination(ra1, dec1) AND hven.sky_is_declination(ra2, dec2);

COMMENT ON FUNCTION hven.sky_within(float8, float8, float8, float8, float8) IS
'Whether two positions [deg] lie within a radius [arcsec, up to 90 deg] of each other; exact below 300 arcsec, to 1 mas above. Uses a GiST index on (public.spoint_deg(ra, dec)) of either side''s table; for tables without one, such as the live Object, use sky_cone or sky_crossmatch.';


CREATE OR REPLACE FUNCTION hven.cover_depth(radius_arcsec float8)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
-- Larger cones are worth finer covers: more ranges, each an index scan, for fewer rows to look at in vain.
RETURN CASE WHEN radius_arcsec <= 10 THEN 0 WHEN radius_arcsec <= 60 THEN 1 WHEN radius_arcsec <= 200 THEN 2
            WHEN radius_arcsec <= 600 THEN 3 WHEN radius_arcsec <= 2000 THEN 4 ELSE 5 END;

COMMENT ON FUNCTION hven.cover_depth(float8) IS
'How much finer than coarsest a cone of a radius [arcsec] is covered: healpix_ranges_cone''s last argument.';


CREATE OR REPLACE FUNCTION hven.sky_cone(table_row anyelement, ra_deg float8, dec_deg float8, radius_arcsec float8)
RETURNS SETOF anyelement
LANGUAGE plpgsql
STABLE PARALLEL SAFE COST 1000 ROWS 100
AS $$
DECLARE
    exact constant text := 'hven.sky_haversine(t.ra, t.dec, $1, $2) <= sin(radians($3 / 7200)) ^ 2';
BEGIN
    IF hven.sky_is_position(ra_deg, dec_deg) IS NULL OR hven.sky_is_radius(radius_arcsec) IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE hven.sky_query('sky_cone', pg_typeof(table_row),
        'hven.healpix_ranges_cone($1, $2, $3, hven.cover_depth($3))', exact,
        CASE WHEN radius_arcsec <= 1800 THEN 'hven.sky_within(t.ra, t.dec, $1, $2, $3)' ELSE exact END,
        radius_arcsec <= 1800)
    USING ra_deg, dec_deg, radius_arcsec;
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
    IF neighbours < 0 THEN
        PERFORM hven.fail(false, 'VN011', 'sky_nearest: neighbours is ' || neighbours || ', allowed is 0 or more',
            'ask for 1 or more');
    END IF;
    RETURN QUERY SELECT t.* FROM hven.sky_cone(table_row, ra_deg, dec_deg, radius_arcsec) t
        ORDER BY hven.sky_haversine(t.ra, t.dec, ra_deg, dec_deg) LIMIT neighbours;
END
$$;

COMMENT ON FUNCTION hven.sky_nearest(anyelement, float8, float8, float8, integer) IS
'The rows of a table (NULL::dr1.object) nearest to a position [deg], nearest first: at most so many, and none beyond a radius [arcsec].';
