-- submit: put a query into a lane
SELECT level3.submit(%(text)s, %(lane)s, %(rows)s, %(into_table)s, %(into_file)s)

-- begin: what a claimed job is to run; NULL state if it was cancelled
UPDATE level3.query SET state = 'running', started = coalesce(started, now()), pid = %(pid)s
WHERE query_id = %(query_id)s AND state IN ('queued', 'running')
RETURNING query_id

-- wanted: a query by its number
SELECT login, lane, text, into_table, into_file, row_limit, state FROM level3.query WHERE query_id = %(query_id)s

-- failed: why a query came to nothing
UPDATE level3.query SET state = 'failed', error = %(error)s, finished = now(), pid = NULL
WHERE query_id = %(query_id)s AND state IN ('queued', 'running')

-- processes: the server's processes that work for a session: its own, and parallel ones
SELECT pid FROM pg_stat_activity WHERE %(pid)s IN (pid, leader_pid)

-- cancel_again: end the statement of a query that its user has cancelled
SELECT pg_cancel_backend(pid) FROM level3.query WHERE query_id = %(query_id)s AND state = 'cancelled'

-- cancel_backend: end the statement of a session
SELECT pg_cancel_backend(%(pid)s)

-- end_backend: end a session
SELECT pg_terminate_backend(%(pid)s)

-- state: how a query of the caller's stands
SELECT state, rows, error, into_table, into_file FROM level3.queries WHERE query_id = %(query_id)s

-- history: the caller's queries, newest first
SELECT query_id, lane, state, submitted, finished - started, rows, left(regexp_replace(text, '\s+', ' ', 'g'), 60), left(error, 100)
FROM level3.queries ORDER BY query_id DESC LIMIT 50

-- cancel: cancel a query of the caller's
SELECT level3.cancel(%(query_id)s)
