-- What positions, radii, ellipses, boxes and polygons may be. Each check is true, NULL for NULL, or an error.
-- minimum revision: base
-- databases: hub level1 release
-- requires: fail
-- execute: public
--
-- Scalar checks are inlined. They are written as OR, since the planner then knows that nearly all rows pass; and
-- what follows OR depends on the arguments, so that it is never evaluated before its time. It is PL/pgSQL so that
-- it is not inlined too: that would make each plan of a small query dearer than its run.

CREATE OR REPLACE FUNCTION hven.sky_refuse_radius(radius_arcsec float8, highest_arcsec float8)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1
AS $$
BEGIN
    RETURN hven.fail(
        false, 'VN011', 'radius is ' || radius_arcsec::text || ', allowed is 0 to ' || highest_arcsec::text || ' arcsec',
        'give the radius in arcsec');
END
$$;

COMMENT ON FUNCTION hven.sky_refuse_radius(float8, float8) IS
'Raises VN011 for a radius that is not within 0 and a highest one; NULL for NULL.';


CREATE OR REPLACE FUNCTION hven.sky_is_radius(radius_arcsec float8, highest_arcsec float8 DEFAULT 648000)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN radius_arcsec BETWEEN 0 AND highest_arcsec OR hven.sky_refuse_radius(radius_arcsec, highest_arcsec);

COMMENT ON FUNCTION hven.sky_is_radius(float8, float8) IS
'true for a radius from 0 to a highest one [arcsec], NULL for NULL, else VN011.';


CREATE OR REPLACE FUNCTION hven.sky_radians(radius_arcsec float8, highest_arcsec float8 DEFAULT 648000)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN CASE WHEN hven.sky_is_radius(radius_arcsec, highest_arcsec) THEN radians(radius_arcsec / 3600) END;

COMMENT ON FUNCTION hven.sky_radians(float8, float8) IS
'A radius from 0 to a highest one [arcsec] in radians, NULL for NULL, else VN011.';


CREATE OR REPLACE FUNCTION hven.sky_refuse_position(ra_deg float8, dec_deg float8)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1
AS $$
BEGIN
    RETURN hven.fail(
        false, 'VN010', 'position is (' || ra_deg::text || ', ' || dec_deg::text
        || '), allowed are a finite right ascension and a declination from -90 to 90 deg',
        'check the order and the unit of the coordinates');
END
$$;

COMMENT ON FUNCTION hven.sky_refuse_position(float8, float8) IS
'Raises VN010 for a position that is not on the sky; NULL for NULL.';


CREATE OR REPLACE FUNCTION hven.sky_is_position(ra_deg float8, dec_deg float8)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN (dec_deg BETWEEN -90 AND 90 AND ra_deg BETWEEN -1e300::float8 AND 1e300::float8)
    OR hven.sky_refuse_position(ra_deg, dec_deg);

COMMENT ON FUNCTION hven.sky_is_position(float8, float8) IS
'true for a position on the sky [deg], NULL for NULL, else VN010.';


CREATE OR REPLACE FUNCTION hven.sky_is_declination(ra_deg float8, dec_deg float8)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN dec_deg BETWEEN -90 AND 90 OR hven.sky_refuse_position(ra_deg, dec_deg);

COMMENT ON FUNCTION hven.sky_is_declination(float8, float8) IS
'sky_is_position without a look at the right ascension, for each row of a table.';


CREATE OR REPLACE FUNCTION hven.sky_refuse_ellipse(
    semi_major_arcsec float8, semi_minor_arcsec float8, position_angle_deg float8)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1
AS $$
BEGIN
    RETURN hven.fail(
        false, 'VN011', 'axes are ' || semi_major_arcsec::text || ' and ' || semi_minor_arcsec::text || ' arcsec at '
        || position_angle_deg::text || ' deg, allowed is 0 < semi_minor <= semi_major < 324000',
        'give the major axis first');
END
$$;

COMMENT ON FUNCTION hven.sky_refuse_ellipse(float8, float8, float8) IS
'Raises VN011 for axes that are no ellipse''s; NULL for NULL.';


CREATE OR REPLACE FUNCTION hven.sky_is_ellipse(
    semi_major_arcsec float8, semi_minor_arcsec float8, position_angle_deg float8)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN (semi_minor_arcsec > 0 AND semi_minor_arcsec <= semi_major_arcsec AND semi_major_arcsec < 324000
        AND position_angle_deg BETWEEN -1e300::float8 AND 1e300::float8)
    OR hven.sky_refuse_ellipse(semi_major_arcsec, semi_minor_arcsec, position_angle_deg);

COMMENT ON FUNCTION hven.sky_is_ellipse(float8, float8, float8) IS
'true for possible axes [arcsec] and position angle [deg], NULL for NULL, else VN011.';


CREATE OR REPLACE FUNCTION hven.sky_is_box(ra_west float8, ra_east float8, dec_south float8, dec_north float8)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 10
RETURN hven.sky_is_position(ra_west, dec_south) AND hven.sky_is_position(ra_east, dec_north) AND CASE
    WHEN dec_south <= dec_north THEN true
    WHEN dec_south > dec_north THEN hven.fail(false, 'VN011',
        'declinations are ' || dec_south::text || ' and ' || dec_north::text || ', allowed is dec_south <= dec_north',
        'give ra_west, ra_east, dec_south, dec_north')
END;

COMMENT ON FUNCTION hven.sky_is_box(float8, float8, float8, float8) IS
'true for possible limits [deg], NULL for NULL, else VN010 or VN011.';


CREATE OR REPLACE FUNCTION hven.sky_are_positions(who text, ra_deg float8[], dec_deg float8[])
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE COST 100
AS $$
BEGIN
    IF cardinality(ra_deg) <> cardinality(dec_deg) THEN
        RETURN hven.fail(false, 'VN014',
            who || ': got ' || cardinality(ra_deg) || ' right ascensions and ' || cardinality(dec_deg)
            || ' declinations, allowed are equal numbers', 'aggregate both in one query');
    END IF;
    IF array_position(ra_deg, NULL) IS NOT NULL OR array_position(dec_deg, NULL) IS NOT NULL THEN
        RETURN hven.fail(false, 'VN014', who || ': got NULL in an array, allowed are numbers', 'leave NULLs out');
    END IF;
    PERFORM hven.sky_refuse_position(ra, d) FROM unnest(ra_deg, dec_deg) p (ra, d)
    WHERE NOT (d BETWEEN -90 AND 90 AND ra BETWEEN -1e300::float8 AND 1e300::float8);
    RETURN true;
END
$$;

COMMENT ON FUNCTION hven.sky_are_positions(text, float8[], float8[]) IS
'true for arrays of positions on the sky [deg], NULL for NULL, else VN014 or VN010; the first argument names the caller.';


CREATE OR REPLACE FUNCTION hven.sky_are_radii(who text, radius_arcsec float8[], positions integer)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE COST 100
AS $$
BEGIN
    IF cardinality(radius_arcsec) <> positions OR array_position(radius_arcsec, NULL) IS NOT NULL THEN
        RETURN hven.fail(false, 'VN014',
            who || ': got ' || cardinality(array_remove(radius_arcsec, NULL)) || ' radii and ' || positions
            || ' positions, allowed are equal numbers', 'aggregate all in one query');
    END IF;
    PERFORM hven.sky_refuse_radius(radius, 648000) FROM unnest(radius_arcsec) radius
    WHERE NOT radius BETWEEN 0 AND 648000;
    RETURN true;
END
$$;

COMMENT ON FUNCTION hven.sky_are_radii(text, float8[], integer) IS
'true for as many radii [arcsec] as positions, NULL for NULL, else VN014 or VN011; the first argument names the caller.';


CREATE OR REPLACE FUNCTION hven.sky_polygon_fault(ra_deg float8[], dec_deg float8[])
RETURNS text
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $python$
-- include: cover.py
return polygon_fault(np.array(ra_deg, float), np.array(dec_deg, float))
$python$;

COMMENT ON FUNCTION hven.sky_polygon_fault(float8[], float8[]) IS
'What is wrong with a polygon of vertices [deg], as a phrase; NULL if nothing is.';


CREATE OR REPLACE FUNCTION hven.sky_is_polygon(who text, ra_deg float8[], dec_deg float8[])
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$
BEGIN
    RETURN hven.sky_are_positions(who, ra_deg, dec_deg) AND coalesce(
        hven.fail(false, 'VN012', who || ': the polygon ' || hven.sky_polygon_fault(ra_deg, dec_deg),
            'give three or more vertices [deg] in order round an area smaller than a hemisphere'), true);
END
$$;

COMMENT ON FUNCTION hven.sky_is_polygon(text, float8[], float8[]) IS
'true for a polygon of vertices [deg] that has an area less than a hemisphere and does not cross itself, NULL for NULL, else VN010, VN012 or VN014; the first argument names the caller.';
