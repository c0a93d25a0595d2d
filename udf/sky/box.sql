-- Boxes: between two meridians and two parallels.
-- minimum revision: base
-- databases: hub level1 release
-- requires: sky/shapes sky/separation sky/cover sky/select
-- execute: public

CREATE OR REPLACE FUNCTION hven.sky_eastward(ra_from float8, ra_to float8)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN (ra_to - ra_from) - 360 * floor((ra_to - ra_from) / 360);

COMMENT ON FUNCTION hven.sky_eastward(float8, float8) IS
'How far east the second right ascension is of the first [deg], 0 to 360.';


CREATE OR REPLACE FUNCTION hven.sky_in_box(
    ra_deg float8, dec_deg float8, ra_west float8, ra_east float8, dec_south float8, dec_north float8)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 20
RETURN dec_deg BETWEEN dec_south AND dec_north
   AND (ra_east - ra_west >= 360 OR hven.sky_eastward(ra_west, ra_deg) <= hven.sky_eastward(ra_west, ra_east))
   AND hven.sky_is_box(ra_west, ra_east, dec_south, dec_north);

COMMENT ON FUNCTION hven.sky_in_box(float8, float8, float8, float8, float8, float8) IS
'Whether a position [deg] lies between two declinations and from ra_west eastwards to ra_east: across RA 0 where ra_west > ra_east, all round for 0 and 360. No index serves it: use sky_box for a large table.';


CREATE OR REPLACE FUNCTION hven.sky_box(
    table_row anyelement, ra_west float8, ra_east float8, dec_south float8, dec_north float8)
RETURNS SETOF anyelement
LANGUAGE plpgsql
STABLE PARALLEL SAFE COST 1000 ROWS 1000
AS $$
BEGIN
    IF hven.sky_is_box(ra_west, ra_east, dec_south, dec_north) IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE hven.sky_query('sky_box', pg_typeof(table_row),
        'hven.healpix_ranges_box($1, $2, $3, $4)',
        'hven.sky_in_box(t.ra, t.dec, $1, $2, $3, $4)',
        'hven.sky_in_box(t.ra, t.dec, $1, $2, $3, $4)', false)
    USING ra_west, ra_east, dec_south, dec_north;
END
$$;

COMMENT ON FUNCTION hven.sky_box(anyelement, float8, float8, float8, float8) IS
'The rows of a table (NULL::dr1.object) between two declinations and from ra_west eastwards to ra_east [deg]: across RA 0 where ra_west > ra_east, all round for 0 and 360.';
