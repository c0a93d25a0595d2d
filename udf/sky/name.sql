-- Names of Objects in the form of the IAU: LSST-DR2 J001234.65-123456.8.
-- minimum revision: science_0001
-- databases: level1 release
-- requires: ids
-- execute: public

CREATE OR REPLACE FUNCTION hven.object_name(object_id bigint, ra_deg float8, dec_deg float8, name_tie integer DEFAULT 0)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 50
-- Coordinates are truncated, not rounded, as the IAU asks: to 0.01 s and 0.1 arcsec.
RETURN 'LSST-' || CASE WHEN object_id >> 57 < 48 THEN 'DR' || (object_id >> 57)::text
                       ELSE 'MINI' || ((object_id >> 57) - 47)::text END
    || ' J' || lpad((floor(ra_deg * 24000)::bigint / 360000)::text, 2, '0')
    || lpad((floor(ra_deg * 24000)::bigint / 6000 % 60)::text, 2, '0')
    || lpad((floor(ra_deg * 24000)::bigint / 100 % 60)::text, 2, '0')
    || '.' || lpad((floor(ra_deg * 24000)::bigint % 100)::text, 2, '0')
    || CASE WHEN dec_deg < 0 THEN '-' ELSE '+' END
    || lpad((floor(abs(dec_deg) * 36000)::bigint / 36000)::text, 2, '0')
    || lpad((floor(abs(dec_deg) * 36000)::bigint / 600 % 60)::text, 2, '0')
    || lpad((floor(abs(dec_deg) * 36000)::bigint / 10 % 60)::text, 2, '0')
    || '.' || (floor(abs(dec_deg) * 36000)::bigint % 10)::text
    || CASE WHEN name_tie = 0 THEN '' WHEN name_tie <= 25 THEN chr(97 + name_tie) ELSE '-' || name_tie::text END;

COMMENT ON FUNCTION hven.object_name(bigint, float8, float8, integer) IS
'Name of an Object of a release (DR0: the bootstrap release) at its discovery position [deg], truncated to 0.01 s and 0.1 arcsec; the place among Objects that truncate alike (object.name_tie) gives none, b, c, …';


CREATE OR REPLACE FUNCTION hven.object_name_ties()
RETURNS TABLE (object_id bigint, name_tie smallint)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000 ROWS 1000000
AS $$
    SELECT object_id, (row_number() OVER (
        PARTITION BY floor(ra * 24000), dec < 0, floor(abs(dec) * 36000) ORDER BY object_id) - 1)::smallint
    FROM :catalogue.object
$$;

COMMENT ON FUNCTION hven.object_name_ties() IS
'The place of each Object, in the order of their ids, among Objects whose names truncate alike: object.name_tie of a release. Objects found at night get the next place that is free.';
