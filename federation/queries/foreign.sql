-- extensions: what reaches other servers; nobody but our own functions may use dblink
CREATE EXTENSION IF NOT EXISTS postgres_fdw SCHEMA public;
CREATE SCHEMA IF NOT EXISTS dblink;
CREATE EXTENSION IF NOT EXISTS dblink SCHEMA dblink;
GRANT USAGE ON SCHEMA dblink TO hven_owner

-- is_ours: whether a schema holds tables that are not foreign
SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('r', 'p'))

-- count: how many foreign tables a schema has
SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind = 'f'

-- tables: the foreign tables of a schema
SELECT oid::regclass::text FROM pg_class WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind = 'f'

-- databases: those that may have foreign servers
SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname

-- password: that of a foreign login in this database's mappings
SELECT substr(option, 10) FROM pg_user_mapping, unnest(umoptions) option
WHERE option LIKE 'password=%%' AND 'user=' || %(login)s = ANY (umoptions) LIMIT 1
