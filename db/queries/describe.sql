-- comments: every COMMENT on tables, views, their columns and checks
SELECT n.nspname, c.relname, a.attname, CASE WHEN a.attnum IS NULL THEN obj_description(c.oid, 'pg_class')
                                             ELSE col_description(c.oid, a.attnum) END
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT NULL::name AS attname, NULL::smallint AS attnum
    UNION ALL
    SELECT attname, attnum FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
) AS a
WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
UNION ALL
SELECT n.nspname, c.relname, k.conname, obj_description(k.oid, 'pg_constraint')
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE k.contype = 'c' AND k.conparentid = 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema')

-- places: oid and number of every column of our tables
SELECT c.oid::int, a.attnum::int, n.nspname, c.relname, a.attname
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition

-- views: views of some schemas, with the queries that they stand for
SELECT n.nspname, c.relname, obj_description(c.oid, 'pg_class'), pg_get_viewdef(c.oid)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND n.nspname = ANY (:schemas)
ORDER BY n.nspname, c.relname
