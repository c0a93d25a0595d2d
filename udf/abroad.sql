-- Cross-match with a table of another server: the small table is sent there, and the pairs come back.
-- minimum revision: science_0001
-- databases: level1 release
-- requires: sky/crossmatch
-- execute: hven_scientist
--
-- postgres_fdw would fetch the whole foreign table. The rows travel as arrays inside one query, so that a login
-- that may only read is enough, and nothing stays behind. `hven level3 federate` makes what this needs.
--
-- Our SQLSTATE:
--   VN054  this is no foreign table that the caller may read, or too many rows are to be sent

CREATE OR REPLACE FUNCTION hven.ask_pairs_abroad(
    ids bigint[], ras float8[], decs float8[], right_table regclass, right_columns text[], radius_arcsec float8)
RETURNS TABLE (left_id bigint, right_id bigint, separation_arcsec float8)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER COST 1000000 ROWS 10000
SET search_path = hven, public, pg_temp
AS $$
DECLARE
    server text;
    here text;
    there text;
    its_name text;
    sent text;
    right_side text;
    is_indexed boolean;
BEGIN
    SELECT s.srvname, format('%I.%I', n.nspname, c.relname), format('%I.%I', o.name[1], o.name[2]), o.name[2]
    INTO server, here, there, its_name
    FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver
    JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (SELECT array_agg(option_value ORDER BY option_name) AS name FROM pg_options_to_table(f.ftoptions)
                        WHERE option_name IN ('schema_name', 'table_name')) o
    WHERE f.ftrelid = right_table AND has_table_privilege(session_user, right_table, 'SELECT');
    IF server IS NULL OR cardinality(ids) > 200000 THEN
        RAISE EXCEPTION USING ERRCODE = 'VN054', MESSAGE = CASE WHEN server IS NULL
            THEN format('crossmatch: %s is no foreign table that you may read', right_table)
            ELSE format('crossmatch: got %s rows to send to %s, allowed are 200000', cardinality(ids), right_table) END,
            HINT = 'Put the smaller table first; match what is large in the database of the larger table.';
    END IF;
    sent := format('unnest(%L::bigint[], %L::float8[], %L::float8[], %L::bigint[]) AS s (id, ra, dec, h)',
                   ids, ras, decs, hven.healpix29(ras, decs));
    right_side := replace(
        hven.sky_crossmatch_side(right_table, coalesce(right_columns, ARRAY[its_name || '_id', 'ra', 'dec']), NULL),
        format(' FROM %s t', here), format(' FROM %s t', there));
    -- As sky_crossmatch does: a probe of the index costs about as much as fifty rows of a scan.
    SELECT d.is_indexed AND right_side LIKE '%t.healpix29 AS h%' INTO is_indexed FROM dblink.dblink(server, format(
        'SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]'
        ' WHERE i.indrelid = c.oid AND a.attname = ''healpix29'' AND i.indpred IS NULL) AND c.reltuples > %s'
        ' FROM pg_class c WHERE c.oid = %L::regclass', 50 * cardinality(ids), there)) AS d (is_indexed boolean);
    RETURN QUERY SELECT * FROM dblink.dblink(server, replace(replace(replace(
        hven.sky_crossmatch_query('SELECT * FROM $4', right_side, false, is_indexed, radius_arcsec),
        '$2', (sin(radians(radius_arcsec / 7200)) ^ 2)::text), '$3', (radius_arcsec / 3600 + 1e-12)::text), '$4', sent))
        AS p (left_id bigint, right_id bigint, separation_arcsec float8);
END
$$;

COMMENT ON FUNCTION hven.ask_pairs_abroad(bigint[], float8[], float8[], regclass, text[], float8) IS
'Pairs of rows sent as arrays and of a foreign table within a radius [arcsec], found by the server that has the table; VN054 if there is none, or too many rows.';


CREATE OR REPLACE FUNCTION hven.sky_crossmatch_abroad(
    left_table regclass, right_table regclass, radius_arcsec float8, only_nearest boolean DEFAULT false,
    left_columns text[] DEFAULT NULL, right_columns text[] DEFAULT NULL, epoch float8 DEFAULT NULL)
RETURNS TABLE (left_id bigint, right_id bigint, separation_arcsec float8)
LANGUAGE plpgsql VOLATILE COST 1000000 ROWS 10000
AS $$
DECLARE
    ids bigint[];
    ras float8[];
    decs float8[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(s.id), ''{}''), coalesce(array_agg(s.ra), ''{}''), coalesce(array_agg(s.dec), ''{}'')'
        ' FROM (SELECT * FROM (%s) s WHERE num_nulls(s.id, s.ra, s.dec) = 0 LIMIT 200001) s',
        hven.sky_crossmatch_side(left_table, left_columns, epoch))
    INTO ids, ras, decs USING epoch;
    RETURN QUERY
    SELECT p.left_id, p.right_id, p.separation_arcsec
    FROM (SELECT a.*, row_number() OVER (PARTITION BY a.left_id ORDER BY a.separation_arcsec, a.right_id) AS rank
          FROM hven.ask_pairs_abroad(ids, ras, decs, right_table, right_columns, radius_arcsec) a) p
    WHERE p.rank = 1 OR NOT only_nearest;
END
$$;

COMMENT ON FUNCTION hven.sky_crossmatch_abroad(regclass, regclass, float8, boolean, text[], text[], float8) IS
'sky_crossmatch of a small table with one of another server: up to 200000 rows are sent there, and the pairs come back. Columns as for sky_crossmatch; the foreign table''s id is NAME_id unless named.';
