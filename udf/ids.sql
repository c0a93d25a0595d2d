-- Ids as functions of content: the SQL twins of db/ids.py.
-- minimum revision: base
-- databases: hub level1 release
-- requires: fail
-- execute: public

CREATE OR REPLACE FUNCTION hven.id_part(part text, value bigint, highest bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN value < 0 OR value > highest THEN hven.fail(
        0::bigint, 'VN001',
        'ids: ' || part || ' is ' || value::text || ', allowed is 0 to ' || highest::text,
        'check where the value comes from')
    ELSE value
END;

COMMENT ON FUNCTION hven.id_part(text, bigint, bigint) IS
'The value itself if it is within 0 and highest, else VN001 with the name of the part.';


CREATE OR REPLACE FUNCTION hven.pack_object_id(release bigint, pixel bigint, tie bigint DEFAULT 0)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hven.id_part('release', release, 63) << 57)
     | (hven.id_part('pixel', pixel, 13510798882111487) << 3)
     | hven.id_part('tie', tie, 7);

COMMENT ON FUNCTION hven.pack_object_id(bigint, bigint, bigint) IS
'object_id of a release (0-63), the order-25 NESTED pixel of the discovery position (healpix29 >> 8) and a tie (0-7) between Objects of one pixel.';


CREATE OR REPLACE FUNCTION hven.unpack_object_id(object_id bigint)
RETURNS TABLE (release bigint, pixel bigint, tie bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
AS $$
    SELECT hven.id_part('ObjectId', $1, 9223372036854775807) >> 57,
           hven.id_part('pixel', $1 >> 3 & 18014398509481983, 13510798882111487),
           $1 & 7
$$;

COMMENT ON FUNCTION hven.unpack_object_id(bigint) IS
'Release, order-25 NESTED pixel of the discovery position and tie of an object_id.';


CREATE OR REPLACE FUNCTION hven.pack_visit_id(night bigint, sequence bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hven.id_part('night', night, 16383) << 12) | hven.id_part('sequence', sequence, 4095);

COMMENT ON FUNCTION hven.pack_visit_id(bigint, bigint) IS
'visit_id of a night (MJD of local noon - 50000) and a sequence (the header''s, else slot_of_day).';


CREATE OR REPLACE FUNCTION hven.unpack_visit_id(visit_id bigint)
RETURNS TABLE (night bigint, sequence bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
AS $$ SELECT hven.id_part('VisitId', $1, 67108863) >> 12, $1 & 4095 $$;

COMMENT ON FUNCTION hven.unpack_visit_id(bigint) IS 'Night (MJD of local noon - 50000) and sequence of a visit_id.';


CREATE OR REPLACE FUNCTION hven.pack_exposure_id(visit_id bigint, detector bigint, snap bigint, kind bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hven.id_part('visit_id', visit_id, 67108863) << 12)
     | (hven.id_part('detector', detector, 255) << 4)
     | (hven.id_part('snap', snap, 3) << 2)
     | hven.id_part('kind', kind, 2);

COMMENT ON FUNCTION hven.pack_exposure_id(bigint, bigint, bigint, bigint) IS
'exposure_id of a Visit, a detector, a Snap (0 = the Visit''s sum, 1-3) and a kind (0 raw, 1 calibrated, 2 difference).';


CREATE OR REPLACE FUNCTION hven.unpack_exposure_id(exposure_id bigint)
RETURNS TABLE (visit_id bigint, detector bigint, snap bigint, kind bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
AS $$
    SELECT hven.id_part('ExposureId', $1, 274877906943) >> 12, $1 >> 4 & 255, $1 >> 2 & 3,
           hven.id_part('kind', $1 & 3, 2)
$$;

COMMENT ON FUNCTION hven.unpack_exposure_id(bigint) IS 'Visit, detector, Snap and kind of an exposure_id.';


CREATE OR REPLACE FUNCTION hven.pack_measurement_id(
    release bigint, visit_id bigint, detector bigint, snap bigint, rank bigint, attempt bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hven.id_part('release', release, 63) << 57)
     | (hven.id_part('visit_id', visit_id, 67108863) << 31)
     | (hven.id_part('detector', detector, 255) << 23)
     | (hven.id_part('snap', snap, 3) << 21)
     | (hven.id_part('rank', rank, 131071) << 4)
     | hven.id_part('attempt', attempt, 15);

COMMENT ON FUNCTION hven.pack_measurement_id(bigint, bigint, bigint, bigint, bigint, bigint) IS
'Id of a Source, DiaSource or forced measurement: release, Visit, detector, Snap, rank (by healpix29, then SNR) and attempt of the processing.';


CREATE OR REPLACE FUNCTION hven.unpack_measurement_id(id bigint)
RETURNS TABLE (release bigint, visit_id bigint, detector bigint, snap bigint, rank bigint, attempt bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
AS $$
    SELECT hven.id_part('MeasurementId', $1, 9223372036854775807) >> 57, $1 >> 31 & 67108863,
           $1 >> 23 & 255, $1 >> 21 & 3, $1 >> 4 & 131071, $1 & 15
$$;

COMMENT ON FUNCTION hven.unpack_measurement_id(bigint) IS
'Release, Visit, detector, Snap, rank and attempt of the id of a measurement.';


CREATE OR REPLACE FUNCTION hven.first_measurement_id(release bigint, visit_id bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hven.id_part('release', release, 63) << 57) | (hven.id_part('visit_id', visit_id, 67108863) << 31);

COMMENT ON FUNCTION hven.first_measurement_id(bigint, bigint) IS
'Lowest possible measurement id of a Visit: id BETWEEN first_measurement_id(…) AND last_measurement_id(…) prunes partitions.';


CREATE OR REPLACE FUNCTION hven.last_measurement_id(release bigint, visit_id bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hven.first_measurement_id(release, visit_id) | 2147483647;

COMMENT ON FUNCTION hven.last_measurement_id(bigint, bigint) IS
'Highest possible measurement id of a Visit.';


CREATE OR REPLACE FUNCTION hven.object_pixel(healpix29 bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN healpix29 >> 8;

COMMENT ON FUNCTION hven.object_pixel(bigint) IS
'Order-25 NESTED pixel, the middle part of an object_id, of an order-29 pixel.';


CREATE OR REPLACE FUNCTION hven.night_of(mjd float8, longitude_deg float8)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(mjd + longitude_deg / 360 - 0.5::float8 - 50000)::bigint;

COMMENT ON FUNCTION hven.night_of(float8, float8) IS
'Night of a moment [MJD] at a longitude [deg, east positive]: whole MJD of the local mean noon before it, minus 50000.';


CREATE OR REPLACE FUNCTION hven.slot_of_day(mjd float8, longitude_deg float8)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor((mjd + longitude_deg / 360 - 0.5::float8 - 50000
              - floor(mjd + longitude_deg / 360 - 0.5::float8 - 50000)) * 4096)::bigint;

COMMENT ON FUNCTION hven.slot_of_day(float8, float8) IS
'Sequence of a Visit whose header has none: its 21.1 s slot since local mean noon; mjd [MJD], longitude [deg, east positive].';
