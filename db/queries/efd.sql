-- topics: tables of the source with their time, fields and comments
SELECT c.relname AS name, t.attname AS time, format_type(t.atttypid, NULL) AS time_type,
       obj_description(c.oid, 'pg_class') AS description, f.fields, f.comments
FROM pg_class AS c
CROSS JOIN LATERAL (
    SELECT a.attname, a.atttypid FROM pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND format_type(a.atttypid, NULL) = ANY (%(types)s)
    ORDER BY format_type(a.atttypid, NULL) = 'double precision', a.attnum LIMIT 1
) AS t
CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY a.attnum) AS fields,
           array_agg(col_description(c.oid, a.attnum) ORDER BY a.attnum) AS comments
    FROM pg_attribute AS a JOIN pg_type AS y ON y.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND y.typcategory = 'N'
      AND a.attname <> t.attname
) AS f
WHERE c.relnamespace = to_regnamespace(quote_ident(%(schema)s)) AND c.relkind IN ('r', 'p', 'v', 'f', 'm')
  AND NOT c.relispartition AND f.fields IS NOT NULL
ORDER BY c.relname

-- samples: samples of a topic at the source within a window of time
SELECT {tai} AS time_tai, ARRAY[{values}] AS value FROM {table} WHERE {time} >= {low} AND {time} < {high}

-- span: when a topic begins and ends at the source
SELECT {first}, {last} FROM {table}

-- copy_out: samples of a topic, ready for efd.sample
COPY (SELECT {topic_id}, time_tai, value FROM ({samples}) AS s) TO STDOUT

-- digest: count and digest of samples at the source
SELECT count(*), coalesce(sum(hashtextextended(time_tai::text || value::text, 0)), 0) FROM ({samples}) AS s

-- digest_here: count and digest of samples of the copy
SELECT count(*), coalesce(sum(hashtextextended(time_tai::text || value::text, 0)), 0)
FROM efd.sample WHERE topic_id = %(topic_id)s AND time_tai >= %(low)s AND time_tai < %(high)s

-- register: the number of a topic here, and the fields that it has
WITH made AS (
    INSERT INTO efd.topic (name, field, field_unit, description)
    VALUES (%(name)s, %(field)s, %(unit)s, %(description)s)
    ON CONFLICT (name) DO NOTHING
    RETURNING topic_id, field
)
SELECT topic_id, field FROM made
UNION ALL
SELECT topic_id, field FROM efd.topic WHERE name = %(name)s
LIMIT 1

-- last: the last sample of a topic that is here
SELECT max(time_tai) FROM efd.sample WHERE topic_id = %(topic_id)s

-- clear_samples: samples of a day that are to be copied again
DELETE FROM efd.sample WHERE topic_id = %(topic_id)s AND time_tai >= %(low)s AND time_tai < %(high)s

-- clear_sync: what was written of a day that is copied again
DELETE FROM efd.sync WHERE topic_id = %(topic_id)s AND from_tai >= %(low)s AND to_tai < %(high)s

-- record: a day that was copied, and what both sides agreed on
INSERT INTO efd.sync (topic_id, from_tai, to_tai, samples, digest)
SELECT %(topic_id)s, min(time_tai), max(time_tai), %(samples)s, %(digest)s
FROM efd.sample WHERE topic_id = %(topic_id)s AND time_tai >= %(low)s AND time_tai < %(high)s
HAVING count(*) > 0

-- state: topics with what is here of them
SELECT t.name, t.field, t.field_unit, s.days, s.samples, s.to_tai, s.finished
FROM efd.topic AS t
LEFT JOIN (
    SELECT topic_id, count(*) AS days, sum(samples)::bigint AS samples, max(to_tai) AS to_tai, max(finished) AS finished
    FROM efd.sync GROUP BY topic_id
) AS s USING (topic_id)
ORDER BY t.name

-- make_topic: a topic of an imagined source
CREATE TABLE IF NOT EXISTS {table} (time_tai float8 PRIMARY KEY, {fields})
