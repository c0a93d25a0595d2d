-- relations: tables and views of some schemas, partitions left out
SELECT relnamespace::regnamespace::text, relname, format('TABLE %%s.%%I', relnamespace::regnamespace, relname)
FROM pg_class
WHERE relnamespace::regnamespace::text = ANY (%(schemas)s) AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition

-- present: what some roles, or PUBLIC, may do in this database besides what they own
WITH acl AS (
    SELECT 'DATABASE ' || quote_ident(datname) AS object, NULL AS part, datdba AS owner,
           coalesce(datacl, acldefault('d', datdba)) AS acl
    FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT 'SCHEMA ' || oid::regnamespace, NULL, nspowner, nspacl
    FROM pg_namespace WHERE nspname = ANY (%(schemas)s)
    UNION ALL
    SELECT format('TABLE %%s.%%I', relnamespace::regnamespace, relname), NULL, relowner, relacl
    FROM pg_class WHERE relnamespace::regnamespace::text = ANY (%(schemas)s) AND relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT format('TABLE %%s.%%I', relnamespace::regnamespace, relname), format(' (%%I)', attname), relowner, attacl
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relnamespace::regnamespace::text = ANY (%(schemas)s) AND attacl IS NOT NULL
    UNION ALL
    -- By default everybody may store large objects, which know no quota, and hold locks for as long as a session.
    SELECT 'FUNCTION ' || oid::regprocedure, NULL, proowner, coalesce(proacl, acldefault('f', proowner))
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN (
        'lo_creat', 'lo_create', 'lo_from_bytea', 'pg_advisory_lock', 'pg_advisory_lock_shared',
        'pg_try_advisory_lock', 'pg_try_advisory_lock_shared')
), entry AS (
    SELECT object, part, owner, grantee, privilege_type FROM acl, aclexplode(acl)
)
SELECT privilege_type || coalesce(part, ''), object, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
FROM entry
WHERE grantee <> owner AND (grantee = 0 OR grantee::regrole::text = ANY (%(roles)s))

-- ownership: what has to be said so that some schemas with all that they hold belong to one role
SELECT format('ALTER SCHEMA %%I OWNER TO %%I', nspname, %(owner)s)
FROM pg_namespace WHERE nspname = ANY (%(schemas)s) AND nspowner <> %(owner)s::regrole
UNION ALL
SELECT format('ALTER TABLE %%s.%%I OWNER TO %%I', relnamespace::regnamespace, relname, %(owner)s)
FROM pg_class
WHERE relnamespace::regnamespace::text = ANY (%(schemas)s) AND relkind IN ('r', 'p', 'v', 'm', 'f')
  AND relowner <> %(owner)s::regrole
