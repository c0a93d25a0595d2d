-- Regions as ranges of healpix29 that provably hold every position inside.
-- minimum revision: base
-- databases: hub level1 release
-- requires: fail sky/separation sky/shapes sky/healpix
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


CREATE OR REPLACE FUNCTION hven.cover_small_cone(
    ra_deg float8, dec_deg float8, radius_arcsec float8, OUT lowest bigint[], OUT span bigint)
LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE COST 60
-- Of pixels eight times as wide as the disc reaches, it touches its own and those beside it where x or y is that close
-- to a side. x and y are the even and odd bits of healpix29, so that no bits have to be unpacked, and no array goes to
-- Python and back, which would take longer than the search itself.
AS $$
DECLARE
    -- 1.4520 is cover.py's REACH, 1e-12 rad its GUARD.
    reach constant bigint := ceil((radians(radius_arcsec / 3600) + 1e-12) * 1.4520 * 2 ^ 29) + 1;
    shift constant integer := ceil(log(2, (8 * reach)::numeric));
    all_x constant bigint := 96076792050570581;  -- the 29 even bits
    own_x constant bigint := all_x & ((1::bigint << (2 * shift)) - 1);
    face_x constant bigint := all_x >> (2 * shift);
    face_y constant bigint := face_x << 1;
    low constant bigint := hven.healpix_spread(reach);
    high constant bigint := hven.healpix_spread((1::bigint << shift) - reach);
    last constant bigint := hven.healpix_spread((1::bigint << 29) - reach);
    h constant bigint := hven.healpix29(ra_deg, dec_deg);
    x constant bigint := h & all_x;
    y constant bigint := (h >> 1) & all_x;
    own constant bigint := h >> (2 * shift);
    beside_x bigint;
    beside_y bigint;
BEGIN
    IF x < low OR x >= last OR y < low OR y >= last THEN  -- it may reach another base pixel
        RETURN;
    END IF;
    IF (x & own_x) < low THEN
        beside_x := ((own & face_x) - 1) & face_x;
    ELSIF (x & own_x) >= high THEN  -- the other bits are set, to pass the carry on
        beside_x := ((own | ~face_x) + 1) & face_x;
    END IF;
    IF (y & own_x) < low THEN
        beside_y := ((own & face_y) - 1) & face_y;
    ELSIF (y & own_x) >= high THEN
        beside_y := ((own | ~face_y) + 1) & face_y;
    END IF;
    lowest := ARRAY[own];
    IF beside_x IS NOT NULL THEN
        lowest := lowest || (beside_x | (own & ~face_x));
    END IF;
    IF beside_y IS NOT NULL THEN
        lowest := lowest || (beside_y | (own & ~face_y));
    END IF;
    IF beside_x IS NOT NULL AND beside_y IS NOT NULL THEN
        lowest := lowest || (beside_x | beside_y | (own & ~(face_x | face_y)));
    END IF;
    lowest := ARRAY(SELECT pixel << (2 * shift) FROM unnest(lowest) AS pixel);
    span := (1::bigint << (2 * shift)) - 1;
END
$$;

COMMENT ON FUNCTION hven.cover_small_cone(float8, float8, float8) IS
'One to four ranges of healpix29, from each of lowest to lowest + span, that cover a cone [deg, arcsec up to 5]; NULL where it may reach another base pixel. Takes its arguments on trust.';


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
