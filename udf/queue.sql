-- The queue's hot path: claim and finish, each one call with plans that are kept.
-- minimum revision: base
-- databases: hub level1 release
-- execute: hven_worker
--
-- Both forbid sequential scans and sorts of jobs: a plan that was made while the queue was short is kept by
-- connections that live on when it is long.

CREATE OR REPLACE FUNCTION hven.claim_job(worker text, kinds text[], lease double precision)
RETURNS TABLE (job_id bigint, production_id bigint, kind text, key text, parameters jsonb, token bigint,
               attempts smallint, max_attempts smallint, deadline timestamptz)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    chosen bigint;
    candidates bigint[];
BEGIN
    -- A claim that a crash of the server undoes is only made again: it need not wait for the disk. The token comes
    -- from the clock so that not even the lost claim's token is given twice.
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT array_agg(p.production_id ORDER BY top.priority DESC, -ln(1 - random()) / p.weight) INTO candidates
    FROM queue.production AS p
    CROSS JOIN LATERAL (
        SELECT j.priority FROM queue.job AS j
        WHERE j.production_id = p.production_id AND j.state = 'ready'
          AND (claim_job.kinds IS NULL OR j.kind = ANY (claim_job.kinds))
        ORDER BY j.priority DESC, j.deadline, j.job_id LIMIT 1
    ) AS top
    WHERE p.state = 'running';
    FOREACH chosen IN ARRAY coalesce(candidates, '{}') LOOP
        RETURN QUERY
        WITH next AS MATERIALIZED (
            SELECT j.job_id
            FROM queue.job AS j
            WHERE j.production_id = chosen AND j.state = 'ready'
              AND (claim_job.kinds IS NULL OR j.kind = ANY (claim_job.kinds))
            ORDER BY j.priority DESC, j.deadline, j.job_id
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
        UPDATE queue.job AS j
        SET state = 'running', attempts = j.attempts + 1, worker = claim_job.worker, started = now(),
            token = greatest(j.token + 1, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint),
            lease_expires = now() + claim_job.lease * interval '1 second'
        FROM next
        WHERE j.job_id = next.job_id
        RETURNING j.job_id, j.production_id, j.kind, j.key, j.parameters, j.token, j.attempts, j.max_attempts, j.deadline;
        EXIT WHEN FOUND;
    END LOOP;
END
$$;

COMMENT ON FUNCTION hven.claim_job(text, text[], double precision) IS
'Takes the next ready job of some kinds (NULL: of any) for so many seconds: highest priority first, among productions by chance in proportion to their weights. To be committed at once and alone: the commit does not wait for the disk.';


CREATE OR REPLACE FUNCTION hven.finish_job(job_id bigint, token bigint, result jsonb)
RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    ready bigint;
BEGIN
    UPDATE queue.job AS j
    SET state = 'done', finished = now(), lease_expires = NULL, result = finish_job.result, error = NULL
    WHERE j.job_id = finish_job.job_id AND j.token = finish_job.token AND j.state = 'running';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- Statements of their own, since they must see dependants that came while the one above waited.
    IF NOT EXISTS (SELECT FROM queue.job_dependency WHERE requires_job_id = finish_job.job_id) THEN
        RETURN true;
    END IF;
    WITH freed AS (
        UPDATE queue.job AS j
        SET unmet = j.unmet - 1, state = CASE WHEN j.unmet = 1 AND j.run_after <= now() THEN 'ready' ELSE 'waiting' END
        FROM (
            SELECT w.job_id FROM queue.job_dependency AS d JOIN queue.job AS w ON w.job_id = d.job_id
            WHERE d.requires_job_id = finish_job.job_id AND w.state = 'waiting'
            ORDER BY w.job_id FOR NO KEY UPDATE OF w
        ) AS waiting
        WHERE j.job_id = waiting.job_id
        RETURNING j.state
    )
    SELECT count(*) INTO ready FROM freed WHERE state = 'ready';
    IF ready > 0 THEN
        PERFORM pg_notify('hven_job', '');
    END IF;
    RETURN true;
END
$$;

COMMENT ON FUNCTION hven.finish_job(bigint, bigint, jsonb) IS
'Ends a job in the transaction that holds its results, and makes ready what waited for it alone; false if the job is no longer held under this token.';
