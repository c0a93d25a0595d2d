-- sphere_types: the oids that pgSphere's types have in this database
SELECT typname, oid::int FROM pg_type WHERE typnamespace = 'public'::regnamespace
   AND typname IN ('spoint', 'scircle', 'sellipse', 'sbox', 'spoly', 'spath', 'smoc')

-- table_columns: what a table's columns can hold, domains resolved
SELECT attrelid::regclass::text AS relation,
       attname AS name,
       coalesce(element.typname, base.typname) AS type,
       coalesce(element.oid, base.oid)::int AS oid,
       element.oid IS NOT NULL AS is_array,
       attnotnull OR declared.typnotnull AS not_null,
       atthasdef OR attidentity <> '' AS has_default,
       attgenerated <> '' OR attidentity = 'a' AS is_generated,
       base.typreceive <> 0 AS is_binary,
       col_description(attrelid, attnum) AS comment,
       EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indisprimary AND indnkeyatts = 1
                                      AND indkey[0] = attnum) AS is_key
  FROM pg_attribute
  JOIN pg_type declared ON declared.oid = atttypid
  JOIN pg_type base ON base.oid = coalesce(nullif(declared.typbasetype, 0), declared.oid)
  LEFT JOIN pg_type element ON element.oid = base.typelem AND base.typcategory = 'A'
 WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped
 ORDER BY attnum

-- column_comments: the comments on all columns of some tables, by the table's oid and the column's number
SELECT attrelid::int, attnum, col_description(attrelid, attnum)
  FROM pg_attribute WHERE attrelid = ANY (%(tables)s::oid[]) AND attnum > 0 AND NOT attisdropped
