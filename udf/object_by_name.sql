-- The Object of a name.
-- minimum revision: science_0001
-- databases: level1 release
-- requires: views sky/name sky/cone
-- execute: public

CREATE OR REPLACE FUNCTION hven.object_by_name(name text)
RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
-- The name says the position to 0.15 arcsec in right ascension and 0.1 in declination; what lies there is compared.
AS $$
    SELECT o.object_id
    FROM regexp_match(object_by_name.name, 'J(\d\d)(\d\d)(\d\d\.\d\d)([+-])(\d\d)(\d\d)(\d\d\.\d)') AS j
    CROSS JOIN LATERAL hven.sky_cone(CAST(NULL AS :catalogue.object),
        (j[1]::float8 + j[2]::float8 / 60 + j[3]::float8 / 3600) * 15,
        (j[4] || '1')::float8 * (j[5]::float8 + j[6]::float8 / 60 + j[7]::float8 / 3600), 0.5) AS o
    WHERE hven.object_name(o.object_id, o.ra, o.dec, o.name_tie) = object_by_name.name
$$;

COMMENT ON FUNCTION hven.object_by_name(text) IS
'The object_id of a name such as LSST-DR2 J001234.65-123456.8; NULL if no Object of this database has it.';
