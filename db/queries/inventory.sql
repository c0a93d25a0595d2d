-- databases: those of the server that Hven keeps, and whether they let anybody in
SELECT datname, datallowconn FROM pg_database
WHERE datname IN ('hub', 'release_template') OR datname ~ '^(level1_[a-z0-9_]+|dr[1-9][0-9]?|bootstrap|mini_[a-z0-9_]+)$'
ORDER BY datname

-- known: what the hub knows of Science Databases
SELECT database, name, state, is_current FROM hub.science_database

-- is_made: whether the tables of the hub, or of a Science Database, are there
SELECT to_regclass(%(table)s) IS NOT NULL

-- revision: the schema's revision
SELECT version_num FROM hven.alembic_version

-- points_to: the database that a name points to
SELECT database FROM hub.science_database WHERE name = %(name)s OR (%(name)s = 'current' AND is_current)
