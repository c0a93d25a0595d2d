-- Times of the server in the survey's scale.
-- minimum revision: base
-- databases: hub level1 release
-- execute: public

CREATE OR REPLACE FUNCTION hven.tai_mjd(moment timestamptz)
RETURNS float8
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
-- 37 leap seconds since 2017; MJD 40587 is 1970-01-01.
RETURN 40587 + (extract(epoch FROM moment)::float8 + 37) / 86400;

COMMENT ON FUNCTION hven.tai_mjd(timestamptz) IS
'A moment from 2017 on, TAI, as MJD.';
