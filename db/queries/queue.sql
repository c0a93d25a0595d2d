-- start_production: a production of this name, made unless it exists
INSERT INTO queue.production (kind, name, software_version, software_commit, lock_sha256, parameters, weight)
VALUES (%(kind)s, %(name)s, %(software_version)s, %(software_commit)s, %(lock_sha256)s, %(parameters)s, %(weight)s)
ON CONFLICT (name) DO UPDATE SET name = excluded.name
RETURNING production_id, (xmax = 0) AS is_new

-- enqueue: new jobs as arrays; a key that is there already keeps its job
WITH wanted AS (
    SELECT * FROM unnest(%(kind)s::text[], %(key)s::text[], %(parameters)s::jsonb[], %(priority)s::smallint[],
                         %(deadline)s::timestamptz[], %(run_after)s::timestamptz[], %(run_by)s::timestamptz[],
                         %(max_attempts)s::smallint[])
           AS w (kind, key, parameters, priority, deadline, run_after, run_by, max_attempts)
)
INSERT INTO queue.job (production_id, kind, key, parameters, priority, deadline, run_after, run_by, max_attempts)
SELECT %(production_id)s, kind, key, parameters, priority, deadline, coalesce(run_after, now()), run_by, max_attempts
FROM wanted
ON CONFLICT (production_id, key) WHERE state <> 'cancelled' DO NOTHING
RETURNING key, job_id

-- named: jobs of a production by key, held so that none can finish before their new dependants are known
SELECT key, job_id, state FROM queue.job
WHERE production_id = %(production_id)s AND key = ANY (%(keys)s) AND state <> 'cancelled'
ORDER BY job_id
FOR NO KEY UPDATE

-- depend: which new job waits for which
INSERT INTO queue.job_dependency (job_id, requires_job_id)
SELECT * FROM unnest(%(job)s::bigint[], %(requires)s::bigint[])
ON CONFLICT DO NOTHING

-- release: count what new jobs wait for, and make ready those that wait for nothing
WITH counted AS (
    SELECT j.job_id, count(r.job_id) AS unmet
    FROM unnest(%(jobs)s::bigint[]) AS j (job_id)
    LEFT JOIN queue.job_dependency AS d ON d.job_id = j.job_id
    LEFT JOIN queue.job AS r ON r.job_id = d.requires_job_id AND r.state <> 'done'
    GROUP BY j.job_id
), updated AS (
    UPDATE queue.job AS j
    SET unmet = c.unmet, state = CASE WHEN c.unmet = 0 AND j.run_after <= now() THEN 'ready' ELSE 'waiting' END
    FROM counted AS c
    WHERE j.job_id = c.job_id
    RETURNING j.state
)
SELECT pg_notify('hven_job', '') FROM updated WHERE state = 'ready' LIMIT 1

-- claim: the next job, for some time
SELECT * FROM hven.claim_job(%(worker)s, %(kinds)s, %(lease)s)

-- heartbeat: keep a lease
UPDATE queue.job SET lease_expires = now() + %(lease)s * interval '1 second'
WHERE job_id = %(job_id)s AND token = %(token)s AND state = 'running'

-- fence: hold the job's row until the end of the transaction if it is still ours
SELECT FROM queue.job WHERE job_id = %(job_id)s AND token = %(token)s AND state = 'running' FOR UPDATE

-- finish: done, if the job is still ours
SELECT WHERE hven.finish_job(%(job_id)s, %(token)s, %(result)s)

-- fail: wait for another attempt, or die; the reason is kept either way
WITH failed AS (
    UPDATE queue.job
    SET state = CASE WHEN %(final)s OR attempts >= max_attempts THEN 'dead' ELSE 'waiting' END,
        run_after = now() + %(delay)s * interval '1 second',
        finished = CASE WHEN %(final)s OR attempts >= max_attempts THEN now() END,
        lease_expires = NULL, error = %(reason)s
    WHERE job_id = %(job_id)s AND token = %(token)s AND state = 'running'
    RETURNING job_id, attempts, worker, state
), kept AS (
    INSERT INTO queue.dead_job (job_id, attempt, worker, reason)
    SELECT job_id, attempts, worker, %(reason)s FROM failed
)
SELECT state FROM failed

-- give_back: return a claimed job as if it had never been claimed
UPDATE queue.job SET state = 'ready', attempts = attempts - 1, lease_expires = NULL, worker = NULL
WHERE job_id = %(job_id)s AND token = %(token)s AND state = 'running'

-- promote: make ready what has waited long enough
WITH due AS (
    SELECT job_id FROM queue.job
    WHERE state = 'waiting' AND unmet = 0 AND run_after <= now()
    UNION
    SELECT job_id FROM queue.job WHERE state = 'waiting' AND run_by <= now()
), promoted AS (
    UPDATE queue.job AS j SET state = 'ready'
    FROM (SELECT w.job_id FROM queue.job AS w JOIN due USING (job_id) WHERE w.state = 'waiting'
          ORDER BY w.job_id FOR UPDATE OF w SKIP LOCKED) AS ours
    WHERE j.job_id = ours.job_id
    RETURNING j.job_id
)
SELECT count(*), pg_notify('hven_job', '') FROM promoted HAVING count(*) > 0

-- expire: take back jobs whose worker has not been heard of, with the reason kept
WITH lost AS (
    UPDATE queue.job AS j
    SET state = CASE WHEN j.attempts >= j.max_attempts THEN 'dead' ELSE 'ready' END,
        finished = CASE WHEN j.attempts >= j.max_attempts THEN now() END,
        error = 'lease expired at ' || lease_expires, lease_expires = NULL
    FROM (SELECT job_id FROM queue.job WHERE state = 'running' AND lease_expires < now()
          ORDER BY job_id FOR UPDATE SKIP LOCKED) AS late
    WHERE j.job_id = late.job_id
    RETURNING j.job_id, j.attempts, j.worker, j.error, j.state
), kept AS (
    INSERT INTO queue.dead_job (job_id, attempt, worker, reason)
    SELECT job_id, attempts, worker, error FROM lost
)
SELECT count(*), pg_notify('hven_job', '') FROM lost HAVING count(*) > 0

-- cancel: a job and all that wait for it
WITH RECURSIVE doomed (job_id) AS (
    SELECT job_id FROM queue.job WHERE job_id = ANY (%(jobs)s)
    UNION
    SELECT d.job_id FROM queue.job_dependency AS d JOIN doomed ON d.requires_job_id = doomed.job_id
)
UPDATE queue.job AS j SET state = 'cancelled', finished = now(), lease_expires = NULL
FROM (SELECT job_id FROM queue.job JOIN doomed USING (job_id) WHERE state IN ('waiting', 'ready', 'running', 'dead')
      ORDER BY job_id FOR UPDATE) AS ours
WHERE j.job_id = ours.job_id
RETURNING j.job_id

-- retry: give dead jobs a new life
UPDATE queue.job AS j
SET state = CASE WHEN unmet = 0 THEN 'ready' ELSE 'waiting' END, attempts = 0, run_after = now(), finished = NULL
WHERE job_id = ANY (%(jobs)s) AND state = 'dead'
RETURNING job_id

-- notify: wake the workers
SELECT pg_notify('hven_job', '')

-- counts: jobs by state
SELECT state, count(*) FROM queue.job WHERE %(production_id)s IS NULL OR production_id = %(production_id)s GROUP BY state
