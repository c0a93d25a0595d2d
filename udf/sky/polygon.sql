-- Polygons: within the great circles that join vertices.
-- minimum revision: base
-- databases: hub level1 release
-- requires: sky/shapes sky/separation sky/cover sky/select
-- execute: public

CREATE OR REPLACE FUNCTION hven.sky_spoly(ra_deg float8[], dec_deg float8[])
RETURNS public.spoly
LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE COST 1000
-- Without an EXCEPTION clause, which no parallel query allows.
AS $$
BEGIN
    PERFORM hven.sky_is_polygon('sky_spoly', ra_deg, dec_deg);
    RETURN public.spoly_deg(ARRAY(
        SELECT coordinate FROM unnest(ra_deg, dec_deg) WITH ORDINALITY p (ra, d, n),
            LATERAL (VALUES (1, ra), (2, d)) c (axis, coordinate) ORDER BY n, axis));
END
$$;

COMMENT ON FUNCTION hven.sky_spoly(float8[], float8[]) IS
'pgSphere''s polygon of vertices [deg]; VN012 if it is empty, crosses itself or is nearly a hemisphere.';


CREATE OR REPLACE FUNCTION hven.sky_in_polygon(ra_deg float8, dec_deg float8, polygon public.spoly)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 20
RETURN public.spoint_deg(ra_deg, dec_deg) OPERATOR(public.<@) polygon AND hven.sky_is_position(ra_deg, dec_deg);

COMMENT ON FUNCTION hven.sky_in_polygon(float8, float8, public.spoly) IS
'Whether a position [deg] lies within a polygon, such as exposure.footprint or sky_spoly(…), to 0.2 mas. Uses a GiST index on (public.spoint_deg(ra, dec)), or on the polygons.';


CREATE OR REPLACE FUNCTION hven.sky_polygon(table_row anyelement, ra_deg float8[], dec_deg float8[])
RETURNS SETOF anyelement
LANGUAGE plpgsql
STABLE PARALLEL SAFE COST 1000 ROWS 1000
AS $$
BEGIN
    RETURN QUERY EXECUTE hven.sky_query('sky_polygon', pg_typeof(table_row),
        'hven.healpix_ranges_polygon($1, $2)',
        'public.spoint_deg(t.ra, t.dec) OPERATOR(public.<@) $3',
        'public.spoint_deg(t.ra, t.dec) OPERATOR(public.<@) $3', false)
    USING ra_deg, dec_deg, hven.sky_spoly(ra_deg, dec_deg);
END
$$;

COMMENT ON FUNCTION hven.sky_polygon(anyelement, float8[], float8[]) IS
'The rows of a table (NULL::dr1.object) within a polygon of great circles with these vertices [deg].';
