-- lock_login: let one connection at a time be made with the password of a moment
SELECT pg_advisory_xact_lock(1214606444, hashtext(%(login)s))

-- soon: until when that password holds
SELECT (now() + interval '2 minutes')::text

-- has_role: whether a role exists
SELECT FROM pg_roles WHERE rolname = %(role)s

-- newest_release: the release that users work in unless they name one
SELECT database FROM hub.science_database WHERE state = 'published' ORDER BY release DESC LIMIT 1

-- has_spaces: whether Level 3 is in place in a database
SELECT to_regclass('level3.space') IS NOT NULL

-- open: make a space, or give it another quota
INSERT INTO level3.space (login, schema_name, quota, expires, afterwards)
VALUES (%(login)s, %(schema)s, %(quota)s, %(expires)s, %(afterwards)s)
ON CONFLICT (login) DO UPDATE SET quota = excluded.quota, expires = coalesce(excluded.expires, space.expires),
    afterwards = excluded.afterwards, state = CASE WHEN space.state = 'expired' THEN 'open' ELSE space.state END

-- record: why a space has its quota and duration, and what it costs
INSERT INTO level3.grant_record (login, what, quota, expires, reason, cost)
VALUES (%(login)s, %(what)s, %(quota)s, %(expires)s, %(reason)s, %(cost)s)

-- records: what was decided on a space, and why
SELECT recorded, what, quota, expires, reason, cost FROM level3.grant_record WHERE login = %(login)s ORDER BY record_id

-- production: the production that queries of users belong to
INSERT INTO queue.production (kind, name, software_version) VALUES ('user', 'level3', %(version)s) ON CONFLICT DO NOTHING

-- usage: every space with what it holds
SELECT login, quota, level3.used(login), state, expires, afterwards,
       (SELECT count(*) FROM level3.product p WHERE p.login = s.login)
FROM level3.space s WHERE %(login)s IS NULL OR login = %(login)s ORDER BY login

-- set_expiry: until when a space is kept, and what follows
UPDATE level3.space SET expires = %(expires)s, afterwards = %(afterwards)s WHERE login = %(login)s

-- due: spaces whose time is over
SELECT login, afterwards FROM level3.space WHERE expires <= current_date

-- expired: close a space whose products are gone
UPDATE level3.space SET state = 'expired' WHERE login = %(login)s

-- forget: take a space out of the registry
DELETE FROM level3.space WHERE login = %(login)s

-- products: what a user has here
SELECT name, relation::text, file, access, readers, public_from FROM level3.product WHERE login = %(login)s ORDER BY name

-- share: let others read a product
SELECT level3.share_as(%(login)s, %(product)s, %(access)s, %(readers)s, %(public_from)s)

-- own_tables: the user's own tables
SELECT name, relation FROM level3.tables WHERE owner = level3.me() AND relation IS NOT NULL ORDER BY name

-- listed: what the caller may read of users' products
SELECT owner, name, access, relation, file, bytes, description FROM level3.tables ORDER BY owner, name

-- registered_file: make a file a product of the caller's space
INSERT INTO level3.product (login, name, file, sha256, bytes, description)
VALUES (%(login)s, %(name)s, %(file)s, %(sha256)s, %(bytes)s, %(description)s)

-- columns_of: a table's columns as they are needed to make it anew
SELECT attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum)
FROM pg_attribute WHERE attrelid = to_regclass(%(relation)s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum

-- indexes_of: the indexes of a table
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = to_regclass(%(relation)s)

-- described_as: how the registry describes the columns of a table
SELECT name, original_name, original_type, unit, ucd, description, derived
FROM level3.columns WHERE owner = level3.me() AND table_name = %(name)s ORDER BY number

-- members: the members of a group
SELECT member::regrole::text FROM pg_auth_members WHERE roleid = %(role)s::regrole

-- end_sessions: end a user's sessions in this database
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %(login)s AND datname = current_database()

-- elsewhere: whether a user has spaces in other databases
SELECT EXISTS (SELECT FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole
               WHERE rolname = 'hven_job_' || %(login)s AND setdatabase <> 0)

-- product_exists: whether a user has a product of this name
SELECT EXISTS (SELECT FROM level3.product WHERE login = %(login)s AND name = %(name)s)

-- readable_file: a file that the caller may read
SELECT sha256 FROM level3.tables WHERE owner = %(owner)s AND name = %(name)s AND file IS NOT NULL
