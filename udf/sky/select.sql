-- How the set forms (sky_cone, sky_box, …) read any table that has ra and dec.
-- minimum revision: base
-- databases: hub level1 release
-- requires: fail
-- execute: public

CREATE OR REPLACE FUNCTION hven.sky_query(
    who text, row_type regtype, cover text, test text, predicate text, small boolean)
RETURNS text
LANGUAGE plpgsql
STABLE PARALLEL SAFE COST 1000
AS $$
DECLARE
    relation constant regclass := (SELECT typrelid FROM pg_type WHERE oid = row_type AND typrelid <> 0);
    columns constant text[] := ARRAY(
        SELECT attname::text FROM pg_attribute
        WHERE attrelid = relation AND NOT attisdropped AND attnum > 0
          AND (attname, atttypid) IN (('ra', 'float8'::regtype), ('dec', 'float8'::regtype), ('healpix29', 'int8'::regtype)));
    indexed constant text[] := ARRAY(
        SELECT m.amname || ' ' || pg_get_indexdef(i.indexrelid, 1, false)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
        WHERE i.indrelid = relation AND i.indpred IS NULL);
    ranged boolean;
BEGIN
    IF relation IS NULL OR NOT columns @> ARRAY['ra', 'dec'] THEN
        RETURN hven.fail(''::text, 'VN013',
            who || ': ' || row_type::text || ' is not a table with columns ra and dec of type double precision',
            'name the table by a NULL of its row type, such as NULL::dr1.object');
    END IF;
    -- Without an index, one scan of the whole table is better than one for each range; a view's index is not seen.
    ranged := 'healpix29' = ANY (columns)
        AND ('btree healpix29' = ANY (indexed) OR (SELECT relkind IN ('v', 'f') FROM pg_class WHERE oid = relation))
        AND NOT (small AND EXISTS (
            SELECT FROM unnest(indexed) i WHERE i ~ '^gist (public\.)?spoint_deg\(ra, "?dec"?\)$'));
    IF ranged THEN
        -- OFFSET 0 keeps the planner from any other way than one index scan for each range.
        RETURN format(
            'SELECT t.* FROM %s r CROSS JOIN LATERAL (SELECT * FROM %s t'
            ' WHERE t.healpix29 BETWEEN r.lowest AND r.highest OFFSET 0) t WHERE r.inside OR %s',
            cover, relation, test);
    END IF;
    RETURN format('SELECT t.* FROM %s t WHERE %s', relation, predicate);
END
$$;

COMMENT ON FUNCTION hven.sky_query(text, regtype, text, text, text, boolean) IS
'Text of the query by which a set form reads a table: through healpix29 and a cover, or by the predicate where the region is small and the table has a GiST index, or has no index on healpix29. VN013 if the table has no position.';
