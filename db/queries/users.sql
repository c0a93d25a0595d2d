-- exists: whether a role of this name exists, and its groups
SELECT ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = oid)
FROM pg_roles WHERE rolname = %(name)s

-- list: logins with their group, connection limit and open sessions
SELECT rolname, substr(roleid::regrole::text, 6), rolconnlimit,
       (SELECT count(*) FROM pg_stat_activity WHERE usesysid = pg_roles.oid)
FROM pg_roles JOIN pg_auth_members ON member = pg_roles.oid
WHERE rolcanlogin AND roleid::regrole::text = ANY (%(groups)s)
ORDER BY rolname

-- databases_with: databases in which something belongs or was granted to a role
SELECT DISTINCT datname FROM pg_shdepend JOIN pg_database ON pg_database.oid = dbid
WHERE refclassid = 'pg_authid'::regclass AND refobjid = %(name)s::regrole

-- owned: what a role owns here, schemas left out
SELECT pg_describe_object(classid, objid, objsubid) FROM pg_shdepend
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND deptype = 'o'
  AND refclassid = 'pg_authid'::regclass AND refobjid = %(name)s::regrole AND classid <> 'pg_namespace'::regclass
ORDER BY 1

-- end_sessions: end all sessions of a login
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = %(name)s::regrole

-- end_overlong: cancel statements and end transactions that are over the limits of their login
WITH policy AS (
    SELECT * FROM jsonb_to_recordset(%(limits)s)
               AS p (role name, statement float8, transaction float8, idle float8)
), login AS (
    -- Of several groups the most generous counts.
    SELECT pg_roles.oid, max(statement) AS statement, max(transaction) AS transaction, max(idle) AS idle
    FROM pg_roles JOIN policy ON pg_has_role(pg_roles.oid, policy.role, 'MEMBER')
    WHERE rolcanlogin AND NOT rolsuper
    GROUP BY pg_roles.oid
), session AS (
    SELECT pid, usename, datname, CASE
               WHEN extract(epoch FROM now() - xact_start) > transaction THEN 'transaction_timeout'
               WHEN state LIKE 'idle in transaction%%' AND extract(epoch FROM now() - state_change) > idle
                   THEN 'idle_in_transaction_session_timeout'
               WHEN state = 'active' AND extract(epoch FROM now() - query_start) > statement THEN 'statement_timeout'
           END AS limit_name
    FROM pg_stat_activity JOIN login ON usesysid = oid
    WHERE backend_type = 'client backend'
)
SELECT pid, usename, datname, limit_name,
       CASE limit_name WHEN 'statement_timeout' THEN pg_cancel_backend(pid) ELSE pg_terminate_backend(pid) END
FROM session WHERE limit_name IS NOT NULL

-- databases_with_spaces: databases in which a level3 login begins in a schema of its own
SELECT DISTINCT datname FROM pg_db_role_setting
JOIN pg_database ON pg_database.oid = setdatabase
JOIN pg_auth_members ON member = setrole AND roleid::regrole::text = 'hven_level3'
WHERE datallowconn

-- people: the server's processes that serve readers and Level 3 users, parallel ones too
SELECT pid FROM pg_stat_activity JOIN pg_roles ON pg_roles.oid = usesysid
WHERE NOT rolsuper AND (pg_has_role(usesysid, 'hven_public', 'MEMBER') OR pg_has_role(usesysid, 'hven_scientist', 'MEMBER'))
  AND NOT (pg_has_role(usesysid, 'hven_worker', 'MEMBER') OR pg_has_role(usesysid, 'hven_release_admin', 'MEMBER')
           OR pg_has_role(usesysid, 'hven_operator', 'MEMBER'))
