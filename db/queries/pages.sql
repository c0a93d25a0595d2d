-- relations: what some schemas hold, one JSON object a table or view; partitions are counted, not listed
SELECT format('%s.%s', n.nspname, c.relname) AS name, json_build_object(
    'kind', CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END,
    'comment', obj_description(c.oid, 'pg_class'),
    'partition_by', pg_get_partkeydef(c.oid),
    'partitions', (SELECT count(*) FROM pg_inherits WHERE inhparent = c.oid),
    'options', array_to_string(c.reloptions, ', '),
    'columns', (
        SELECT json_object_agg(a.attname, json_build_object(
                   'type', format_type(a.atttypid, a.atttypmod),
                   'nullable', NOT a.attnotnull,
                   'default', pg_get_expr(d.adbin, d.adrelid),
                   'identity', nullif(a.attidentity, ''),
                   'comment', col_description(c.oid, a.attnum)) ORDER BY a.attnum)
          FROM pg_attribute AS a
          LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'constraints', (
        SELECT coalesce(json_object_agg(k.conname, json_build_object(
                   'kind', CASE k.contype WHEN 'p' THEN 'primary' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign' ELSE 'check' END,
                   'definition', pg_get_constraintdef(k.oid),
                   'comment', obj_description(k.oid, 'pg_constraint'),
                   'columns', (SELECT json_agg(a.attname ORDER BY place) FROM unnest(k.conkey) WITH ORDINALITY AS u (number, place)
                                 JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = u.number),
                   'target', nullif(k.confrelid, 0)::regclass::text) ORDER BY k.conname), '{}')
          FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.conparentid = 0),
    'indexes', (
        SELECT coalesce(json_object_agg(i.relname, json_build_object(
                   'definition', pg_get_indexdef(x.indexrelid),
                   'method', m.amname,
                   'unique', x.indisunique,
                   'where', pg_get_expr(x.indpred, x.indrelid, true),
                   'columns', (SELECT json_agg(pg_get_indexdef(x.indexrelid, k, true) ORDER BY k) FROM generate_series(1, x.indnkeyatts) AS k),
                   'including', (SELECT json_agg(pg_get_indexdef(x.indexrelid, k, true) ORDER BY k)
                                   FROM generate_series(x.indnkeyatts + 1, x.indnatts) AS k)) ORDER BY i.relname), '{}')
          FROM pg_index AS x
          JOIN pg_class AS i ON i.oid = x.indexrelid
          JOIN pg_am AS m ON m.oid = i.relam
         WHERE x.indrelid = c.oid AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = x.indexrelid AND conrelid = c.oid)))
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition AND n.nspname = ANY (:schemas) AND c.relname <> 'alembic_version'
ORDER BY name

-- schemas: COMMENTs of some schemas
SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = ANY (:schemas)

-- functions: our functions, as a user calls them
SELECT p.proname AS name,
       pg_get_function_arguments(p.oid) AS arguments,
       pg_get_function_result(p.oid) AS result,
       l.lanname AS language,
       CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
       p.proparallel = 's' AS is_parallel,
       EXISTS (SELECT FROM aclexplode(p.proacl) WHERE grantee = 0 AND privilege_type = 'EXECUTE') AS is_public,
       (SELECT string_agg(grantee::regrole::text, ', ' ORDER BY grantee::regrole::text) FROM aclexplode(p.proacl)
         WHERE grantee NOT IN (0, p.proowner) AND privilege_type = 'EXECUTE') AS roles,
       obj_description(p.oid, 'pg_proc') AS comment
FROM pg_proc AS p
JOIN pg_language AS l ON l.oid = p.prolang
WHERE p.pronamespace = 'hven'::regnamespace
ORDER BY p.proname, p.pronargs, arguments

-- tap: unit, UCD and the line of LDM-151 of every column, as TAP_SCHEMA has them
SELECT table_name, column_name, unit, ucd, ldm FROM tap_schema.columns

-- revision: the schema's revision
SELECT version_num FROM hven.alembic_version
