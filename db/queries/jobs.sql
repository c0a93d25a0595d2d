-- list: the latest jobs
SELECT job_id, p.name AS production, j.kind, j.key, j.state, j.attempts, j.worker, j.created, j.finished
FROM queue.job AS j JOIN queue.production AS p USING (production_id)
WHERE %(state)s IS NULL OR j.state = %(state)s
ORDER BY job_id DESC LIMIT %(limit)s

-- why: what stands between a job and its end
SELECT j.job_id, j.kind, j.key, j.state,
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

-- progress: each production that has work, how fast it went over the last minute, and when it will be done
SELECT p.name, p.state, count(*) FILTER (WHERE j.state = 'done') AS done,
       count(*) FILTER (WHERE j.state = 'running') AS running, count(*) FILTER (WHERE j.state = 'ready') AS ready,
       count(*) FILTER (WHERE j.state = 'waiting') AS waiting, count(*) FILTER (WHERE j.state = 'dead') AS dead,
       count(*) FILTER (WHERE j.finished > now() - interval '1 minute' AND j.state = 'done')
       / least(60, greatest(1, extract(epoch FROM now() - p.created)))::float8 AS rate
FROM queue.production AS p JOIN queue.job AS j USING (production_id)
WHERE p.state IN ('running', 'paused')
GROUP BY p.production_id ORDER BY p.production_id DESC LIMIT 20

-- at_work: running jobs, the longest first
SELECT job_id, kind, key, worker, attempts, extract(epoch FROM now() - started)::float8 AS seconds
FROM queue.job WHERE state = 'running' ORDER BY started LIMIT 20

-- failures: the latest failed attempts and the last line of their reasons
SELECT d.written, j.job_id, j.kind, j.key, d.attempt, j.state, regexp_replace(rtrim(d.reason, E'\n'), '^.*\n', '') AS reason
FROM queue.dead_job AS d JOIN queue.job AS j USING (job_id) ORDER BY d.dead_job_id DESC LIMIT 8

-- strange: ready jobs of other kinds than these
SELECT kind, count(*) FROM queue.job WHERE state = 'ready' AND kind <> ALL (%(kinds)s) GROUP BY kind ORDER BY kind
