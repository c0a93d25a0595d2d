-- Regions as ranges of healpix29 that provably hold every position inside.
-- minimum revision: base
-- databases: hub level1 release
-- requires: fail sky/separation sky/shapes
-- execute: public
--
-- The cover_… functions, PL/Python, take their arguments on trust; healpix_ranges_… check them first.

CREATE OR REPLACE FUNCTION hven.cover_cone(
    ra_deg float8, dec_deg float8, radius_arcsec float8, finer integer)
RETURNS TABLE (lowest bigint, highest bigint, inside boolean)
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 20
AS $python$
-- include: healpix.py
-- include: cover.py
return zip(*(column.tolist() for column in cover_cone(ra_deg, dec_deg, radius_arcsec * ARCSEC, finer)))
$python$;

COMMENT ON FUNCTION hven.cover_cone(float8, float8, float8, integer) IS 'healpix_ranges_cone without checks.';


CREATE OR REPLACE FUNCTION hven.healpix_ranges_cone(
    ra_deg float8, dec_deg float8, radius_arcsec float8, finer integer DEFAULT 3)
RETURNS TABLE (lowest bigint, highest bigint, inside boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000 ROWS 20
AS $$
    SELECT r.* FROM hven.cover_cone(ra_deg, dec_deg, radius_arcsec, finer) r
    WHERE hven.sky_is_position(ra_deg, dec_deg) AND hven.sky_is_radius(radius_arcsec)
$$;

COMMENT ON FUNCTION hven.healpix_ranges_cone(float8, float8, float8, integer) IS
'Ascending ranges of healpix29, both ends included, that cover a cone [deg, arcsec]; inside = no position of the range is outside. finer: halvings of the pixels; 0 gives at most 9 ranges.';


CREATE OR REPLACE FUNCTION hven.cover_cones(ra_deg float8[], dec_deg float8[], radius_arcsec float8[], coarser integer)
RETURNS TABLE (cone integer, lowest bigint, highest bigint)
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 10000 ROWS 10000
AS $python$
-- include: healpix.py
-- include: cover.py
ra, dec, radius = (np.array(part, float) for part in (ra_deg, dec_deg, radius_arcsec))
which, lowest, highest = cover_cones(ra, dec, radius * ARCSEC, coarser)
return zip((which + 1).tolist(), lowest.tolist(), highest.tolist())
$python$;

COMMENT ON FUNCTION hven.cover_cones(float8[], float8[], float8[], integer) IS 'healpix_ranges_cones without checks.';


CREATE OR REPLACE FUNCTION hven.healpix_ranges_cones(
    ra_deg float8[], dec_deg float8[], radius_arcsec float8[], coarser integer DEFAULT 2)
RETURNS TABLE (cone integer, lowest bigint, highest bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 10000 ROWS 10000
AS $$
    SELECT r.* FROM hven.cover_cones(ra_deg, dec_deg, radius_arcsec, coarser) r
    WHERE hven.sky_are_positions('healpix_ranges_cones', ra_deg, dec_deg)
      AND hven.sky_are_radii('healpix_ranges_cones', radius_arcsec, cardinality(ra_deg))
$$;

COMMENT ON FUNCTION hven.healpix_ranges_cones(float8[], float8[], float8[], integer) IS
'For many cones at once [deg, arcsec]: number of the cone from 1, and ranges of healpix29, both ends included, that cover it coarsely, for joins. coarser: doublings of the pixels; 2 gives under two ranges a cone, of 16 to 64 times its area.';


CREATE OR REPLACE FUNCTION hven.cover_ellipse(
    ra_deg float8, dec_deg float8, semi_major_arcsec float8, semi_minor_arcsec float8, position_angle_deg float8)
RETURNS TABLE (lowest bigint, highest bigint, inside boolean)
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 50
AS $python$
-- include: healpix.py
-- include: cover.py
semi_major, semi_minor = semi_major_arcsec * ARCSEC, semi_minor_arcsec * ARCSEC
region = ellipse(ra_deg, dec_deg, semi_major, semi_minor, position_angle_deg)
return zip(*(column.tolist() for column in cover_region(region, semi_major)))
$python$;

COMMENT ON FUNCTION hven.cover_ellipse(float8, float8, float8, float8, float8) IS
'healpix_ranges_ellipse without checks.';


CREATE OR REPLACE FUNCTION hven.healpix_ranges_ellipse(
    ra_deg float8, dec_deg float8, semi_major_arcsec float8, semi_minor_arcsec float8, position_angle_deg float8)
RETURNS TABLE (lowest bigint, highest bigint, inside boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000 ROWS 50
AS $$
    SELECT r.* FROM hven.cover_ellipse(
        ra_deg, dec_deg, semi_major_arcsec, semi_minor_arcsec, position_angle_deg) r
    WHERE hven.sky_is_position(ra_deg, dec_deg)
      AND hven.sky_is_ellipse(semi_major_arcsec, semi_minor_arcsec, position_angle_deg)
$$;

COMMENT ON FUNCTION hven.healpix_ranges_ellipse(float8, float8, float8, float8, float8) IS
'Ascending ranges of healpix29, both ends included, that cover an ellipse [deg, arcsec; position angle of the major axis from north through east, deg].';


CREATE OR REPLACE FUNCTION hven.cover_box(ra_west float8, ra_east float8, dec_south float8, dec_north float8)
RETURNS TABLE (lowest bigint, highest bigint, inside boolean)
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 50
AS $python$
-- include: healpix.py
-- include: cover.py
return zip(*(column.tolist() for column in cover_box(ra_west, ra_east, dec_south, dec_north)))
$python$;

COMMENT ON FUNCTION hven.cover_box(float8, float8, float8, float8) IS 'healpix_ranges_box without checks.';


CREATE OR REPLACE FUNCTION hven.healpix_ranges_box(
    ra_west float8, ra_east float8, dec_south float8, dec_north float8)
RETURNS TABLE (lowest bigint, highest bigint, inside boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000 ROWS 50
AS $$
    SELECT r.* FROM hven.cover_box(ra_west, ra_east, dec_south, dec_north) r
    WHERE hven.sky_is_box(ra_west, ra_east, dec_south, dec_north)
$$;

COMMENT ON FUNCTION hven.healpix_ranges_box(float8, float8, float8, float8) IS
'Ascending ranges of healpix29, both ends included, that cover a box from ra_west eastwards to ra_east (across RA 0 where ra_west > ra_east) and between two declinations [deg].';


CREATE OR REPLACE FUNCTION hven.cover_polygon(ra_deg float8[], dec_deg float8[])
RETURNS TABLE (lowest bigint, highest bigint, inside boolean)
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 50
AS $python$
-- include: healpix.py
-- include: cover.py
return zip(*(column.tolist() for column in cover_polygon(np.array(ra_deg, float), np.array(dec_deg, float))))
$python$;

COMMENT ON FUNCTION hven.cover_polygon(float8[], float8[]) IS 'healpix_ranges_polygon without checks.';


CREATE OR REPLACE FUNCTION hven.healpix_ranges_polygon(ra_deg float8[], dec_deg float8[])
RETURNS TABLE (lowest bigint, highest bigint, inside boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000 ROWS 50
AS $$
    SELECT r.* FROM hven.cover_polygon(ra_deg, dec_deg) r
    WHERE hven.sky_is_polygon('healpix_ranges_polygon', ra_deg, dec_deg)
$$;

COMMENT ON FUNCTION hven.healpix_ranges_polygon(float8[], float8[]) IS
'Ascending ranges of healpix29, both ends included, that cover a polygon of great circles with these vertices [deg].';
