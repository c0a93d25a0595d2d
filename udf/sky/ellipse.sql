-- Ellipses on the sphere: their gnomonic projection about the centre is an ellipse of the plane.
-- minimum revision: base
-- databases: hub level1 release
-- requires: sky/shapes sky/separation sky/cover sky/select
-- execute: public

CREATE OR REPLACE FUNCTION hven.sky_ellipse_value(
    ra_deg float8, dec_deg float8, ra_centre float8, dec_centre float8,
    semi_major_arcsec float8, semi_minor_arcsec float8, position_angle_deg float8)
RETURNS float8
LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE COST 20
AS $$
DECLARE
    half constant float8 := sin(radians(ra_deg - ra_centre) / 2) ^ 2;
    east constant float8 := cos(radians(dec_deg)) * sin(radians(ra_deg - ra_centre));
    north constant float8 := sin(radians(dec_deg - dec_centre))
        + 2 * cos(radians(dec_deg)) * sin(radians(dec_centre)) * half;
    depth constant float8 := cos(radians(dec_deg - dec_centre))
        - 2 * cos(radians(dec_deg)) * cos(radians(dec_centre)) * half;
    sine constant float8 := sin(radians(position_angle_deg));
    cosine constant float8 := cos(radians(position_angle_deg));
BEGIN
    IF depth <= 0 THEN
        RETURN 'Infinity';
    END IF;
    RETURN ((east * sine + north * cosine) / depth / tan(radians(semi_major_arcsec / 3600))) ^ 2
         + ((east * cosine - north * sine) / depth / tan(radians(semi_minor_arcsec / 3600))) ^ 2;
END
$$;

COMMENT ON FUNCTION hven.sky_ellipse_value(float8, float8, float8, float8, float8, float8, float8) IS
'Squared distance of a position [deg] from the centre of an ellipse in units of its radius in that direction: 1 on the rim.';


CREATE OR REPLACE FUNCTION hven.sky_in_ellipse(
    ra_deg float8, dec_deg float8, ra_centre float8, dec_centre float8,
    semi_major_arcsec float8, semi_minor_arcsec float8, position_angle_deg float8)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 50
RETURN public.spoint_dwithin(
        public.spoint_deg(ra_deg, dec_deg), public.spoint_deg(ra_centre, dec_centre),
        least(hven.sky_radians(semi_major_arcsec, 324000) + 4e-9::float8, radians(90)))
   AND hven.sky_ellipse_value(
        ra_deg, dec_deg, ra_centre, dec_centre, semi_major_arcsec, semi_minor_arcsec, position_angle_deg) <= 1
   AND hven.sky_is_ellipse(semi_major_arcsec, semi_minor_arcsec, position_angle_deg)
   AND hven.sky_is_position(ra_deg, dec_deg) AND hven.sky_is_position(ra_centre, dec_centre);

COMMENT ON FUNCTION hven.sky_in_ellipse(float8, float8, float8, float8, float8, float8, float8) IS
'Whether a position [deg] lies within an ellipse: centre [deg], semi-axes [arcsec], position angle of the major axis from north through east [deg]. Uses a GiST index on (public.spoint_deg(ra, dec)) of either side.';


CREATE OR REPLACE FUNCTION hven.sky_ellipse(
    table_row anyelement, ra_deg float8, dec_deg float8,
    semi_major_arcsec float8, semi_minor_arcsec float8, position_angle_deg float8)
RETURNS SETOF anyelement
LANGUAGE plpgsql
STABLE PARALLEL SAFE COST 1000 ROWS 100
AS $$
BEGIN
    IF hven.sky_is_position(ra_deg, dec_deg) IS NULL
       OR hven.sky_is_ellipse(semi_major_arcsec, semi_minor_arcsec, position_angle_deg) IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE hven.sky_query('sky_ellipse', pg_typeof(table_row),
        'hven.healpix_ranges_ellipse($1, $2, $3, $4, $5)',
        'hven.sky_ellipse_value(t.ra, t.dec, $1, $2, $3, $4, $5) <= 1',
        'hven.sky_in_ellipse(t.ra, t.dec, $1, $2, $3, $4, $5)', semi_major_arcsec <= 60)
    USING ra_deg, dec_deg, semi_major_arcsec, semi_minor_arcsec, position_angle_deg;
END
$$;

COMMENT ON FUNCTION hven.sky_ellipse(anyelement, float8, float8, float8, float8, float8) IS
'The rows of a table (NULL::dr1.object) within an ellipse: centre [deg], semi-axes [arcsec], position angle of the major axis from north through east [deg].';
