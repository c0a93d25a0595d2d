-- list: the latest jobs
SELECT job_id, p.name AS production, j.kind, j.key, j.state, j.attempts, j.worker, j.created, j.finished
FROM queue.job AS j JOIN queue.production AS p USING (production_id)
WHERE %(state)s IS NULL OR j.state = %(state)s
ORDER BY job_id DESC LIMIT %(limit)s

-- why: what stands between a job and its end
SELECT j.job_id, j.key, j.state,
       CASE
           WHEN j.state = 'waiting' AND j.unmet > 0 THEN 'it requires job ' || r.job_id || ' (' || r.key || '), which is ' || r.state
           WHEN j.state = 'waiting' THEN 'it failed ' || j.attempts || ' times and is tried again at ' || j.run_after
           WHEN j.state = 'ready' AND p.state <> 'running' THEN 'its production ' || p.name || ' is ' || p.state
           WHEN j.state = 'ready' THEN 'no worker has taken it yet'
           WHEN j.state = 'running' THEN 'worker ' || j.worker || ' runs it since ' || j.started
       END AS reason,
       j.error
FROM queue.job AS j
JOIN queue.production AS p USING (production_id)
LEFT JOIN queue.job_dependency AS d ON d.job_id = j.job_id AND j.state = 'waiting'
LEFT JOIN queue.job AS r ON r.job_id = d.requires_job_id AND r.state <> 'done'
WHERE j.job_id = %(job_id)s AND (j.state <> 'waiting' OR j.unmet = 0 OR r.job_id IS NOT NULL)
