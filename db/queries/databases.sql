-- exists: whether a database of this name exists
SELECT FROM pg_database WHERE datname = %(database)s

-- pgsphere: the version that a database has, else the one that the server would install
SELECT coalesce((SELECT extversion FROM pg_extension WHERE extname = 'pg_sphere'),
                (SELECT default_version FROM pg_available_extensions WHERE name = 'pg_sphere'))

-- register: a name that users know, and the database behind it
INSERT INTO hub.science_database (name, database, kind, release, state)
VALUES (%(name)s, %(database)s, %(kind)s, %(release)s, %(state)s)
ON CONFLICT (name) DO NOTHING

-- record: one step in the life of a Science Database
INSERT INTO hub.life_cycle (name, from_state, to_state, reason)
VALUES (%(name)s, %(from_state)s, %(to_state)s, %(reason)s)

-- set_state: move a Science Database from one state to another
UPDATE hub.science_database SET state = %(to_state)s, changed = now()
WHERE name = %(name)s AND state = %(from_state)s

-- state: what the hub knows of a Science Database
SELECT kind, release, state, database FROM hub.science_database WHERE name = %(name)s

-- pointing: names that point to a database
SELECT name, state, is_current FROM hub.science_database WHERE database = %(database)s

-- forget: a database that was dropped; its life stays in the audit trail
WITH gone AS (
    DELETE FROM hub.science_database WHERE database = %(database)s RETURNING name, state
), unplanned AS (
    DELETE FROM hub.data_release WHERE name = %(database)s AND published IS NULL
)
INSERT INTO hub.life_cycle (name, from_state, to_state, reason)
SELECT name, state, 'dropped', 'hven drop' FROM gone

-- spaces: users who have a space of their own in a Science Database
SELECT login FROM level3.space ORDER BY login

-- by_state: Science Databases in some states
SELECT database FROM hub.science_database WHERE state = ANY (%(states)s) ORDER BY name

-- partitions: every partition of the database
SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relispartition AND relkind IN ('r', 'p')

-- drop_functions: take every function and view of ours out of a database
DO $$
DECLARE
    thing text;
BEGIN
    FOR thing IN SELECT oid::regclass FROM pg_class WHERE relowner = 'hven_owner'::regrole AND relkind = 'v' LOOP
        EXECUTE 'DROP VIEW IF EXISTS ' || thing || ' CASCADE';
    END LOOP;
    LOOP  -- one at a time, since CASCADE takes others along
        SELECT oid::regprocedure::text INTO thing FROM pg_proc WHERE pronamespace = 'hven'::regnamespace LIMIT 1;
        EXIT WHEN NOT FOUND;
        EXECUTE 'DROP ROUTINE ' || thing || ' CASCADE';
    END LOOP;
END
$$

-- relations_of_ours: tables of every schema that is not PostgreSQL's own
SELECT relnamespace::regnamespace::text, relname FROM pg_class
WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text NOT LIKE 'pg\_%'
  AND relnamespace::regnamespace::text NOT IN ('information_schema', 'public')
