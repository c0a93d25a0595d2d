-- columns: columns of every table that stores rows of its own or through partitions, extensions' tables left out
SELECT CASE WHEN nspname = btrim(split_part(current_setting('search_path'), ',', 1), ' "') AND nspname <> 'hub'
            THEN 'catalogue' ELSE nspname END || '.' || relname AS name,
       format('%I.%I', nspname, relname) AS relation,
       attname AS "column", attnotnull AS not_null,
       -- A regclass is sent as its oid, which is another one after a restore.
       CASE WHEN type.typnamespace <> 'pg_catalog'::regnamespace OR type.typsend = 0 OR typname ~ '^reg'
            THEN quote_ident(attname) || '::text'
            WHEN typname IN ('bool', 'int2', 'int4', 'float4', 'float8', 'text') THEN quote_ident(attname)
            -- The hash of an int8 folds its halves: ids that differ in both alike would be the same.
            ELSE format('%s(%I)', type.typsend, attname) END AS expression
  FROM pg_class AS relation
  JOIN pg_namespace AS namespace ON namespace.oid = relnamespace
  JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
  JOIN pg_type AS type ON type.oid = atttypid
 WHERE relkind IN ('r', 'p') AND NOT relispartition AND relpersistence <> 't'
   AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%'
   AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = relation.oid AND deptype = 'e')
 ORDER BY nspname, relname, attname

-- snapshot: hold the present state of the database for other connections
SELECT pg_export_snapshot()

-- leaves: where the rows of a table lie, and in how many blocks
SELECT format('%%I.%%I', relnamespace::regnamespace, relname),
       pg_relation_size(oid) / current_setting('block_size')::bigint
  FROM pg_class
 WHERE relkind = 'r'
   AND oid IN (SELECT relid FROM pg_partition_tree(%(relation)s::regclass) UNION SELECT %(relation)s::regclass)

-- plan: few groups come out of many rows, and nobody can tell the planner
SET LOCAL enable_sort = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off

-- digest: rows, exclusive or and sum of their hashes by coarse pixel; the outer join has each row hashed once
SELECT {place} >> {shift} AS pixel, count(*),
       bit_xor(hash_record_extended(ROW(hash), 1)), sum(hash_record_extended(ROW(hash), 2))
  FROM ONLY {leaf} AS leaf
  LEFT JOIN LATERAL (SELECT int8send(hash_record_extended(ROW({columns}), 0)) AS hash) AS hashed ON true
 WHERE leaf.ctid >= {first}::tid AND leaf.ctid < {last}::tid
 GROUP BY pixel
