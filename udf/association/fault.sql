-- Association: whether what is staged is what the jobs staged.
-- minimum revision: science_0001
-- databases: level1 release
-- execute: hven_worker hven_release_admin hven_operator

CREATE OR REPLACE FUNCTION hven.association_fault(visit bigint, jobs bigint[], kinds text[])
RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    fault text;
BEGIN
    EXECUTE format('
        WITH staged AS (%s), known AS (
            SELECT unnest($2) AS job_id
            UNION
            SELECT job_id FROM staged
            UNION  -- In the first pass those too whose dependants wait for a job that staged.
            SELECT other.requires_job_id
            FROM staged JOIN queue.job_dependency d ON d.requires_job_id = staged.job_id
            JOIN queue.job_dependency other ON other.job_id = d.job_id
            JOIN queue.job o ON o.job_id = other.requires_job_id
             AND coalesce((o.parameters ->> ''visit_id'')::bigint, $1) = $1  -- some wait for all Visits
            WHERE NOT EXISTS (SELECT FROM :catalogue.order_log l WHERE l.visit_id = $1)
        ), reported AS (
            SELECT t.key AS name, j.job_id, (t.value ->> ''rows'')::bigint AS rows,
                   coalesce((t.value ->> ''xor_id'')::bigint, 0) AS xor_id,
                   coalesce((t.value ->> ''xor_healpix29'')::bigint, 0) AS xor_healpix29
            FROM queue.job j JOIN known USING (job_id) CROSS JOIN jsonb_each(j.result) t
            WHERE j.state = ''done'' AND t.key = ANY (SELECT ''staging.'' || unnest($3))
        )
        SELECT string_agg(format(''%%s of job %%s: %%s rows staged, %%s reported'', name, job_id, coalesce(s.rows, 0),
                                 coalesce(r.rows::text, ''none'')), ''; '' ORDER BY name, job_id)
        FROM staged s FULL JOIN reported r USING (name, job_id)
        WHERE coalesce(s.rows, 0) IS DISTINCT FROM r.rows
           OR coalesce(s.xor_id, 0) <> r.xor_id OR coalesce(s.xor_healpix29, 0) <> r.xor_healpix29',
        (SELECT string_agg(format('SELECT %L AS name, job_id, count(*) AS rows, %s AS xor_id, %s AS xor_healpix29'
                                  ' FROM staging.%I WHERE visit_id = $1 GROUP BY job_id',
                                  'staging.' || k,
                                  CASE WHEN k = 'dia_source_snap' THEN '0' ELSE format('bit_xor(%I)', k || '_id') END,
                                  CASE WHEN k = 'dia_source_snap' THEN '0' ELSE 'bit_xor(healpix29)' END, k), ' UNION ALL ')
         FROM unnest(kinds) k))
    INTO fault USING visit, jobs, kinds;
    RETURN fault;
END
$$;

COMMENT ON FUNCTION hven.association_fault(bigint, bigint[], text[]) IS
'What a Visit has in staging tables otherwise than the results of jobs say, NULL if nothing. A result holds by table rows, xor_id and xor_healpix29. Jobs are those that staged, those given (they may have staged nothing) and, in a Visit''s first pass, those that the same job waits for.';
