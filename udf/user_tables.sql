-- What users do with tables of their own: match them, follow lists of Objects.
-- minimum revision: science_0001
-- databases: level1 release
-- requires: fail abroad sky/crossmatch sky/footprint
-- execute: hven_level3
--
-- Our SQLSTATE:
--   VN053  no such table, or nothing to match by

CREATE OR REPLACE FUNCTION hven.named_table(wanted text)
RETURNS regclass
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    found_one regclass;
BEGIN
    IF to_regclass('level3.tables') IS NOT NULL THEN
        EXECUTE 'SELECT to_regclass(relation) FROM level3.tables WHERE owner = level3.me() AND name = $1 AND relation IS NOT NULL'
        INTO found_one USING wanted;
    END IF;
    found_one := coalesce(found_one, to_regclass(wanted));
    IF found_one IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'VN053', MESSAGE = format('there is no table %s', wanted),
            HINT = 'Name a table of yours as level3.tables does, or any as SCHEMA.TABLE.';
    END IF;
    RETURN found_one;
END
$$;

COMMENT ON FUNCTION hven.named_table(text) IS
'The relation that a name stands for: the caller''s own product of this name, else the table of that name; VN053 if there is none.';


CREATE OR REPLACE FUNCTION hven.match_columns(side regclass, wanted text[])
RETURNS text[]
LANGUAGE sql STABLE
AS $$
    -- An imported table has no primary key; its rows are numbered.
    SELECT coalesce(wanted, (SELECT ARRAY['row_id', 'ra', 'dec'] FROM pg_attribute
                             WHERE attrelid = side AND attname = 'row_id' AND NOT attisdropped
                               AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = side AND indisprimary)))
$$;

COMMENT ON FUNCTION hven.match_columns(regclass, text[]) IS
'The columns that a table is matched by: those named, else row_id, ra, dec of an imported table, else NULL for the primary key, ra, dec.';


CREATE OR REPLACE FUNCTION hven.crossmatch(
    left_table text, right_table text, radius_arcsec float8, into_table text, neighbours integer DEFAULT NULL,
    left_columns text[] DEFAULT NULL, right_columns text[] DEFAULT NULL, epoch float8 DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    one constant regclass := hven.named_table(left_table);
    other constant regclass := hven.named_table(right_table);
    is_abroad constant boolean := (SELECT relkind = 'f' FROM pg_class WHERE oid = other);
    made bigint;
BEGIN
    EXECUTE format(
        'CREATE TABLE %I AS SELECT * FROM ('
        ' SELECT left_id, right_id, separation_arcsec,'
        ' row_number() OVER (PARTITION BY left_id ORDER BY separation_arcsec, right_id)::integer AS rank'
        ' FROM hven.%I(%L, %L, %L, %L, %L, %L, %L)) m WHERE rank <= %L',
        into_table, CASE WHEN is_abroad THEN 'sky_crossmatch_abroad' ELSE 'sky_crossmatch' END, one, other, radius_arcsec, neighbours IS NOT DISTINCT FROM 1,
        hven.match_columns(one, left_columns), hven.match_columns(other, right_columns), epoch,
        coalesce(neighbours, 2147483647));
    GET DIAGNOSTICS made = ROW_COUNT;
    EXECUTE format('COMMENT ON TABLE %I IS %L', into_table,
                   format('Rows of %s within %s arcsec of rows of %s', right_table, radius_arcsec, left_table));
    EXECUTE format('COMMENT ON COLUMN %I.separation_arcsec IS %L', into_table, 'Separation [arcsec]');
    EXECUTE format('COMMENT ON COLUMN %I.rank IS %L', into_table, '1 for the nearest row on the right of each on the left');
    RETURN made;
END
$$;

COMMENT ON FUNCTION hven.crossmatch(text, text, float8, text, integer, text[], text[], float8) IS
'Matches two tables within a radius [arcsec] into a new table of the caller''s: left_id, right_id, separation_arcsec, rank; the nearest N of each row if neighbours is given. A foreign table on the right is matched where it is: the left is sent there. Returns the number of pairs. Columns and epoch as for sky_crossmatch: with pm_ra, pm_dec [mas/yr] and epoch [yr] named, positions are brought to the epoch first.';


CREATE OR REPLACE FUNCTION hven.light_curve_list(object_ids bigint[])
RETURNS TABLE (object_id bigint, kind text, id bigint, midpoint_tai float8, filter_id smallint, psf_flux real, psf_flux_err real)
LANGUAGE sql STABLE ROWS 10000
AS $$
    SELECT o.object_id, c.* FROM unnest(object_ids) AS o (object_id) CROSS JOIN LATERAL hven.light_curve(o.object_id) c
$$;

COMMENT ON FUNCTION hven.light_curve_list(bigint[]) IS
'Light curves on difference images of many Objects, by Object, then time [TAI, MJD; nJy].';


CREATE OR REPLACE FUNCTION hven.cutout_list(object_ids bigint[], size_arcsec float8 DEFAULT 30)
RETURNS TABLE (object_id bigint, exposure_id bigint, kind text, filter_id smallint, file_id bigint, ra float8, "dec" float8, command text)
LANGUAGE sql STABLE ROWS 10000
AS $$
    SELECT o.object_id, e.exposure_id, e.kind, e.filter_id, e.file_id, o.ra, o.dec,
           format('hven get cutout %s %s %s --database %s --kind %s', o.ra, o.dec, size_arcsec, current_database(), e.kind)
    FROM unnest(object_ids) AS wanted (object_id)
    JOIN :catalogue.object o USING (object_id)
    CROSS JOIN LATERAL hven.exposures_covering(o.ra, o.dec) e
    WHERE e.kind IN ('calibrated', 'difference') AND e.file_id IS NOT NULL
$$;

COMMENT ON FUNCTION hven.cutout_list(bigint[], float8) IS
'Exposures with pixels that cover each of many Objects, and the command that cuts a square of this size [arcsec] out of such an image.';
