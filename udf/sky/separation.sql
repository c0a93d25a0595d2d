-- Angles between positions.
-- minimum revision: base
-- databases: hub level1 release
-- requires: sky/shapes
-- execute: public

CREATE OR REPLACE FUNCTION hven.sky_haversine(ra1 float8, dec1 float8, ra2 float8, dec2 float8)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 20
RETURN sin(radians(dec2 - dec1) / 2) ^ 2::float8
     + cos(radians(dec1)) * cos(radians(dec2)) * sin(radians(ra2 - ra1) / 2) ^ 2::float8;

COMMENT ON FUNCTION hven.sky_haversine(float8, float8, float8, float8) IS
'Haversine of the angle between two positions [deg]: sin²(angle / 2), which orders distances and is exact for small ones.';


CREATE OR REPLACE FUNCTION hven.sky_separation_arcsec(ra1 float8, dec1 float8, ra2 float8, dec2 float8)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 25
RETURN CASE WHEN hven.sky_is_position(ra1, dec1) AND hven.sky_is_position(ra2, dec2)
            THEN degrees(2 * asin(least(sqrt(hven.sky_haversine(ra1, dec1, ra2, dec2)), 1))) * 3600 END;

COMMENT ON FUNCTION hven.sky_separation_arcsec(float8, float8, float8, float8) IS
'Angle between two positions [deg], in arcsec.';


CREATE OR REPLACE FUNCTION hven.sky_position_angle(ra1 float8, dec1 float8, ra2 float8, dec2 float8)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 30
RETURN CASE WHEN hven.sky_is_position(ra1, dec1) AND hven.sky_is_position(ra2, dec2) THEN degrees(atan2(
    sin(radians(ra2 - ra1)) * cos(radians(dec2)),
    sin(radians(dec2 - dec1)) + 2 * sin(radians(dec1)) * cos(radians(dec2)) * sin(radians(ra2 - ra1) / 2) ^ 2::float8
)) + CASE WHEN sin(radians(ra2 - ra1)) * cos(radians(dec2)) < 0 THEN 360 ELSE 0 END END;

COMMENT ON FUNCTION hven.sky_position_angle(float8, float8, float8, float8) IS
'Position angle of the second position as seen from the first [deg], from north through east, 0 to 360.';
