-- our_databases: names of the databases that are ours and let us in
SELECT datname FROM pg_database
WHERE datallowconn AND datname ~ '^(hub|level1_[ab]|release_template|bootstrap|dr[0-9]+|mini_.*)$'
ORDER BY datname;

-- roles: those of the given roles that exist
SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) ORDER BY rolname;

-- extensions: name and version of each extension of this database
SELECT extname, extversion FROM pg_extension ORDER BY extname;

-- has_revision: whether this database was ever migrated
SELECT to_regclass('hven.alembic_version') IS NOT NULL AND to_regclass('hven.function_manifest') IS NOT NULL;

-- revision: schema revision of this database
SELECT version_num FROM hven.alembic_version;

-- states: where the databases that the hub knows stand in their lives
SELECT database, state FROM hub.science_database;
