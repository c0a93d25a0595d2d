-- Level 3 in one Science Database: spaces of users, the registry of their products, quotas, queries in lanes.
--
-- Put in place when the first space is opened, also in a frozen release of whatever revision: nothing of the
-- catalogue changes. May be run again at any time.
--
-- Our SQLSTATEs:
--   VN050  a space is over its quota, or what is made would pass it by
--   VN051  something is made that no space could be charged with
--   VN052  no such space, product or query, or not the caller's

CREATE SCHEMA IF NOT EXISTS level3;
GRANT USAGE ON SCHEMA level3 TO hven_scientist, hven_public;

CREATE TABLE IF NOT EXISTS level3.space (
    login text PRIMARY KEY,
    schema_name text NOT NULL UNIQUE,
    quota bigint NOT NULL CHECK (quota > 0),
    used bigint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'full', 'expired')),
    expires date,
    afterwards text NOT NULL DEFAULT 'archive' CHECK (afterwards IN ('archive', 'drop')),
    opened timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE level3.space IS 'Spaces of users: bytes allowed and used, until when, and what follows';

CREATE TABLE IF NOT EXISTS level3.grant_record (
    record_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login text NOT NULL,
    what text NOT NULL,
    quota bigint,
    expires date,
    reason text,
    cost text,
    recorded timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE level3.grant_record IS 'Why a space has its quota and duration, and what it costs (LDM-151, 5)';

CREATE TABLE IF NOT EXISTS level3.product (
    product_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login text NOT NULL REFERENCES level3.space ON DELETE CASCADE,
    name text NOT NULL,
    relation regclass UNIQUE,
    file text,
    sha256 text,
    bytes bigint,
    description text,
    access text NOT NULL DEFAULT 'private' CHECK (access IN ('private', 'group', 'public')),
    readers text[] NOT NULL DEFAULT '{}',
    public_from date,
    made timestamptz NOT NULL DEFAULT now(),
    UNIQUE (login, name),
    CHECK (num_nonnulls(relation, file) = 1));
COMMENT ON TABLE level3.product IS 'Tables and files of users, by the names that they gave them';

CREATE TABLE IF NOT EXISTS level3.product_column (
    product_id bigint NOT NULL REFERENCES level3.product ON DELETE CASCADE,
    number integer NOT NULL,
    name text NOT NULL,
    original_name text,
    original_type text,
    unit text,
    ucd text,
    description text,
    derived boolean NOT NULL DEFAULT false,
    PRIMARY KEY (product_id, number));
COMMENT ON TABLE level3.product_column IS 'Columns of imported tables, as the file had them';

CREATE TABLE IF NOT EXISTS level3.query (
    query_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login text NOT NULL,
    lane text NOT NULL CHECK (lane IN ('quick', 'long')),
    text text NOT NULL CHECK (octet_length(text) <= 1000000),
    into_table text,
    into_file text,
    row_limit bigint NOT NULL,
    job_id bigint,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    pid integer,
    submitted timestamptz NOT NULL DEFAULT now(),
    started timestamptz,
    finished timestamptz,
    rows bigint,
    error text);
CREATE INDEX IF NOT EXISTS query_login_idx ON level3.query (login, query_id);
COMMENT ON TABLE level3.query IS 'Queries that users had run for them: their history';


CREATE OR REPLACE FUNCTION level3.me() RETURNS text
LANGUAGE sql STABLE
RETURN regexp_replace(session_user::text, '^hven_job_', '');
COMMENT ON FUNCTION level3.me() IS 'The user of the session, also where a lane works for it.';


CREATE OR REPLACE FUNCTION level3.bytes_of(relations oid[]) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- pg_total_relation_size would wait for whoever locks a table; the files' sizes wait for nobody.
    WITH RECURSIVE segment AS (
        SELECT f.path, 0 AS number, (pg_stat_file(f.path, true)).size
        FROM (SELECT pg_relation_filepath(r) || fork AS path
              FROM unnest(relations) r, unnest(ARRAY['', '_fsm', '_vm', '_init']) fork) f
        UNION ALL
        SELECT s.path, s.number + 1, (pg_stat_file(s.path || '.' || s.number + 1, true)).size FROM segment s WHERE s.size = 1 << 30
    )
    SELECT coalesce(sum(size), 0)::bigint FROM segment
$$;
COMMENT ON FUNCTION level3.bytes_of(oid[]) IS 'Bytes of the files of relations, without their indexes and TOAST.';


CREATE OR REPLACE FUNCTION level3.used(login text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- What lies in the user's schema counts whoever owns it, and what the user owns wherever it lies: TOAST, indexes.
    SELECT level3.bytes_of(ARRAY(
               SELECT c.oid FROM pg_class c
               WHERE c.relkind IN ('r', 'm', 'S', 't', 'i')
                 AND (c.relowner = to_regrole(quote_ident(used.login))
                      OR c.relnamespace = (SELECT to_regnamespace(quote_ident(s.schema_name))
                                           FROM level3.space s WHERE s.login = used.login))))
           + coalesce((SELECT sum(p.bytes) FROM level3.product p WHERE p.login = used.login), 0)::bigint
$$;
COMMENT ON FUNCTION level3.used(text) IS 'Bytes that a user''s tables, their indexes and TOAST, temporary ones too, and files take.';
REVOKE ALL ON FUNCTION level3.used(text) FROM PUBLIC;


CREATE OR REPLACE FUNCTION level3.usage(
    OUT login text, OUT quota bigint, OUT used bigint, OUT state text, OUT expires date, OUT afterwards text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.login, s.quota, level3.used(s.login), s.state, s.expires, s.afterwards FROM level3.space s WHERE s.login = level3.me()
$$;
COMMENT ON FUNCTION level3.usage() IS 'What the caller''s space may hold and holds [bytes], and until when.';
GRANT EXECUTE ON FUNCTION level3.usage(), level3.me() TO PUBLIC;


CREATE OR REPLACE FUNCTION level3.brake() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me constant text := level3.me();
    space level3.space;
    made record;
    taken bigint;
BEGIN
    SELECT * INTO space FROM level3.space s WHERE s.login = me;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    FOR made IN
        SELECT c.oid, c.relname, c.relnamespace::regnamespace::text AS home, c.relowner::regrole::text AS owner, c.relpersistence, c.relkind
        FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid
        WHERE d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'm', 'S', 'f')
    LOOP
        IF made.owner <> quote_ident(me) OR made.relkind = 'f' THEN
            RAISE EXCEPTION USING ERRCODE = 'VN051', MESSAGE = format(
                'level3: %s would belong to %s; allowed are tables of your own, %s', made.relname,
                CASE made.relkind WHEN 'f' THEN 'another server' ELSE made.owner END, me),
                HINT = 'Share a table by level3.share instead.';
        END IF;
        IF made.relkind IN ('r', 'p', 'm') AND made.relpersistence <> 't' AND made.home = quote_ident(space.schema_name) THEN
            INSERT INTO level3.product (login, name, relation) VALUES (me, made.relname, made.oid) ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() d
               LEFT JOIN pg_description t ON (t.classoid, t.objoid) = (d.classid, d.objid)
               LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
               LEFT JOIN pg_rewrite r ON d.classid = 'pg_class'::regclass AND r.ev_class = d.objid
               LEFT JOIN pg_attrdef a ON d.classid = 'pg_class'::regclass AND a.adrelid = d.objid
               LEFT JOIN pg_constraint k ON d.classid = 'pg_class'::regclass AND k.conrelid = d.objid
               WHERE octet_length(t.description) > 100000 OR octet_length(p.prosrc) > 1000000
                  OR octet_length(p.prosqlbody::text) > 4000000 OR octet_length(k.conbin::text) > 1000000
                  OR octet_length(r.ev_action::text) > 4000000 OR octet_length(a.adbin::text) > 1000000) THEN
        RAISE EXCEPTION USING ERRCODE = 'VN051', MESSAGE = format('level3: %s stores a text that no quota counts; allowed are 100 kB for comments, 1 MB for others', tg_tag),
            HINT = 'Store long texts in a table.';
    END IF;
    taken := level3.used(me);
    IF taken > space.quota AND tg_tag !~ '^DROP|^COMMENT' THEN
        RAISE EXCEPTION USING ERRCODE = 'VN050', MESSAGE = format(
            'level3: %s would take %s, allowed to %s are %s', tg_tag, pg_size_pretty(taken), me, pg_size_pretty(space.quota)),
            HINT = 'DROP or TRUNCATE what you no longer need, or ask for a larger quota.';
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION level3.forget() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM level3.product p USING pg_event_trigger_dropped_objects() d
    WHERE d.classid = 'pg_class'::regclass AND p.relation = d.objid::regclass;
END
$$;

DROP EVENT TRIGGER IF EXISTS level3_brake;
DROP EVENT TRIGGER IF EXISTS level3_forget;
CREATE EVENT TRIGGER level3_brake ON ddl_command_end EXECUTE FUNCTION level3.brake();
CREATE EVENT TRIGGER level3_forget ON sql_drop EXECUTE FUNCTION level3.forget();


CREATE OR REPLACE FUNCTION level3.uncommitted() RETURNS TABLE (pid integer, usename name, bytes bigint)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
    -- What a transaction has made is in no catalogue that others see; its files are in the folder, its locks are known.
    WITH here AS (
        SELECT oid FROM pg_database WHERE datname = current_database()
    ), writer AS (
        SELECT a.pid, a.usename, a.xact_start, l.relation, l.mode, c.oid IS NULL AS is_new
        FROM pg_stat_activity a JOIN level3.space s ON a.usename IN (s.login, 'hven_job_' || s.login)
        JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'relation' AND l.database = (SELECT oid FROM here) AND l.granted
        LEFT JOIN pg_class c ON c.oid = l.relation
        WHERE a.datname = current_database() AND (c.oid IS NULL OR (l.mode = 'AccessExclusiveLock' AND c.oid > 16383))
    ), file AS (
        SELECT (regexp_match(f.name, '^(?:t\d+_)?(\d+)'))[1]::oid AS number, 'base/' || here.oid || '/' || f.name AS path
        FROM here, pg_ls_dir('base/' || here.oid) f (name)
        WHERE EXISTS (SELECT FROM writer) AND f.name ~ '^(t\d+_)?\d+(\.\d+)?$'
    ), unknown AS (
        SELECT f.number, (pg_stat_file(f.path, true)).*
        FROM file f WHERE NOT EXISTS (SELECT FROM pg_class c WHERE pg_relation_filenode(c.oid) = f.number)
    )
    SELECT w.pid, w.usename, coalesce(sum(u.size), 0)::bigint
    FROM (SELECT DISTINCT pid, usename, xact_start FROM writer) w
    JOIN unknown u ON u.number IN (SELECT relation FROM writer o WHERE o.pid = w.pid AND o.is_new)
        -- A TRUNCATE or rewrite gives an old table a new file, which no lock names.
        OR (u.modification >= w.xact_start - interval '1 second'
            AND u.number NOT IN (SELECT relation FROM pg_locks WHERE locktype = 'relation')
            AND EXISTS (SELECT FROM writer o WHERE o.pid = w.pid AND NOT o.is_new))
    GROUP BY w.pid, w.usename
$$;
COMMENT ON FUNCTION level3.uncommitted() IS 'Bytes of files that open transactions of users have made.';
REVOKE ALL ON FUNCTION level3.uncommitted() FROM PUBLIC;


CREATE OR REPLACE FUNCTION level3.sweep() RETURNS TABLE (login text, used bigint, quota bigint, stopped integer, vacuum text[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms'
AS $$
DECLARE
    space level3.space;
    relation regclass;
    taken bigint;
    pending bigint;
    over boolean;
BEGIN
    PERFORM level3.publish_due();
    FOR space IN SELECT * FROM level3.space LOOP
        taken := level3.used(space.login);
        pending := (SELECT coalesce(sum(u.bytes), 0) FROM level3.uncommitted() u
                    WHERE u.usename IN (space.login, 'hven_job_' || space.login));
        over := taken + pending > space.quota;
        stopped := CASE WHEN over THEN level3.stop_writers(space.login) ELSE 0 END;
        IF (taken > space.quota) <> (space.state = 'full') AND space.state <> 'expired' THEN
            BEGIN
                FOR relation IN SELECT p.relation FROM level3.product p JOIN pg_class c ON c.oid = p.relation
                                WHERE p.login = space.login AND c.relkind IN ('r', 'p') LOOP
                    EXECUTE format(CASE WHEN taken > space.quota THEN 'REVOKE INSERT, UPDATE ON %s FROM %I'
                                        ELSE 'GRANT INSERT, UPDATE ON %s TO %I' END, relation, space.login);
                END LOOP;
                UPDATE level3.space s SET state = CASE WHEN taken > space.quota THEN 'full' ELSE 'open' END WHERE s.login = space.login;
            EXCEPTION WHEN lock_not_available OR internal_error THEN
                NULL;  -- a transaction of the user's holds a table: the next look comes soon
            END;
        END IF;
        IF taken <> space.used THEN
            UPDATE level3.space s SET used = taken WHERE s.login = space.login;
        END IF;
        CONTINUE WHEN NOT over AND space.state = 'open';
        login := space.login;
        used := taken + pending;
        quota := space.quota;
        -- Rows of what was stopped keep their pages until they are vacuumed.
        vacuum := ARRAY(SELECT p.relation::text FROM level3.product p JOIN pg_stat_user_tables t ON t.relid = p.relation
                        WHERE p.login = space.login AND t.n_dead_tup > 0);
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION level3.sweep() IS 'Stops statements that write into spaces over their quota, and opens spaces that are below it again; what must be vacuumed comes back.';
REVOKE ALL ON FUNCTION level3.sweep() FROM PUBLIC;


CREATE OR REPLACE FUNCTION level3.stop_writers(login text) RETURNS integer
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
    -- A statement that writes is cancelled; a session that waits in a transaction, or keeps temporary tables, is ended.
    SELECT count(CASE WHEN w.ended THEN pg_terminate_backend(w.pid) ELSE pg_cancel_backend(w.pid) END)::integer
    FROM (SELECT a.pid, a.state LIKE 'idle in transaction%' OR bool_or(c.relpersistence = 't') AS ended
          FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'relation' AND l.granted
          LEFT JOIN pg_class c ON c.oid = l.relation
          WHERE a.usename IN (stop_writers.login, 'hven_job_' || stop_writers.login) AND a.datname = current_database()
            AND l.mode NOT IN ('AccessShareLock', 'RowShareLock') AND (c.oid IS NULL OR c.oid > 16383)
          GROUP BY a.pid, a.state) w
$$;
REVOKE ALL ON FUNCTION level3.stop_writers(text) FROM PUBLIC;


CREATE OR REPLACE FUNCTION level3.own_product(owner text, wanted text) RETURNS level3.product
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_one level3.product;
BEGIN
    SELECT * INTO found_one FROM level3.product p WHERE p.login = owner AND p.name = wanted;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'VN052', MESSAGE = format('level3: %s has no product %s', owner, wanted),
            HINT = 'SELECT name FROM level3.tables shows yours.';
    END IF;
    RETURN found_one;
END
$$;
REVOKE ALL ON FUNCTION level3.own_product(text, text) FROM PUBLIC;


CREATE OR REPLACE FUNCTION level3.share_as(owner text, product text, access text, readers text[], public_from date) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this constant level3.product := level3.own_product(owner, product);
    home constant text := (SELECT s.schema_name FROM level3.space s WHERE s.login = owner);
    -- A table under an opaque name is shared as a view by its own name.
    shown constant text := CASE WHEN this.relation IS NOT NULL AND this.relation::text = format('%I.%I', home, product)
                                THEN this.relation::text ELSE format('%I.%I', home, product) END;
    unknown constant text := (SELECT string_agg(r, ', ') FROM unnest(readers) r WHERE to_regrole(quote_ident(r)) IS NULL);
    reader text;
BEGIN
    IF unknown IS NOT NULL OR access NOT IN ('private', 'group', 'public') OR (access = 'group') = (coalesce(readers, '{}') = '{}') THEN
        RAISE EXCEPTION USING ERRCODE = 'VN052', MESSAGE = format(
            'level3: got the access %s and the readers %s; allowed are private, public, and group with users or groups that exist',
            access, coalesce(unknown, array_to_string(readers, ', '))), HINT = 'Name readers as `hven user list` does.';
    END IF;
    IF this.relation IS NOT NULL THEN
        IF shown <> this.relation::text THEN
            EXECUTE format('DROP VIEW IF EXISTS %s', shown);
        ELSE
            FOR reader IN SELECT DISTINCT a.grantee::regrole::text FROM pg_class c, aclexplode(c.relacl) a
                          WHERE c.oid = this.relation AND a.grantee <> c.relowner AND a.grantee <> 0 LOOP
                EXECUTE format('REVOKE ALL ON %s FROM %s', this.relation, reader);
            END LOOP;
        END IF;
        IF access <> 'private' THEN
            IF shown <> this.relation::text THEN
                EXECUTE format('CREATE VIEW %s AS SELECT * FROM %s', shown, this.relation);
                EXECUTE format('ALTER VIEW %s OWNER TO %I', shown, owner);
            END IF;
            FOREACH reader IN ARRAY CASE access WHEN 'public' THEN ARRAY['hven_public', 'hven_scientist'] ELSE readers END LOOP
                EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', home, reader);
                EXECUTE format('GRANT SELECT ON %s TO %I', shown, reader);
            END LOOP;
        END IF;
    END IF;
    UPDATE level3.product p SET access = share_as.access, readers = coalesce(share_as.readers, '{}'), public_from = share_as.public_from
    WHERE p.product_id = this.product_id;
    RETURN this.product_id;
END
$$;
REVOKE ALL ON FUNCTION level3.share_as(text, text, text, text[], date) FROM PUBLIC;


CREATE OR REPLACE FUNCTION level3.publish_due() RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(level3.share_as(p.login, p.name, 'public', '{}', NULL)) FROM level3.product p WHERE p.public_from <= current_date
$$;
REVOKE ALL ON FUNCTION level3.publish_due() FROM PUBLIC;


CREATE OR REPLACE FUNCTION level3.share(product text, access text, readers text[] DEFAULT '{}', public_from date DEFAULT NULL) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT level3.share_as(level3.me(), product, access, readers, public_from) $$;
COMMENT ON FUNCTION level3.share(text, text, text[], date) IS
'Lets others read a product of the caller''s: access private, group (users or groups named) or public; proprietary: private or group, and public from a date on.';


CREATE OR REPLACE FUNCTION level3.describe(product text, description text, new_name text DEFAULT NULL) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE level3.product p SET description = left(describe.description, 10000), name = coalesce(left(new_name, 63), p.name)
    WHERE p.product_id = (level3.own_product(level3.me(), product)).product_id
$$;
COMMENT ON FUNCTION level3.describe(text, text, text) IS 'Describes a product of the caller''s, and may give it another name.';


CREATE OR REPLACE FUNCTION level3.describe_column(product text, column_name text, unit text, ucd text, description text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this constant level3.product := level3.own_product(level3.me(), product);
    place constant integer := (SELECT attnum FROM pg_attribute WHERE attrelid = this.relation AND attname = column_name AND attnum > 0);
BEGIN
    IF place IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'VN052', MESSAGE = format('level3: %s has no column %s', product, column_name),
            HINT = 'Name a column of the table.';
    END IF;
    INSERT INTO level3.product_column (product_id, number, name, unit, ucd, description)
    VALUES (this.product_id, place, column_name, left(unit, 1000), left(ucd, 1000), left(description, 10000))
    ON CONFLICT (product_id, number) DO UPDATE
    SET (name, unit, ucd, description) = (excluded.name, excluded.unit, excluded.ucd, excluded.description);
END
$$;
COMMENT ON FUNCTION level3.describe_column(text, text, text, text, text) IS 'Gives a column of the caller''s table its unit, UCD and description.';


CREATE OR REPLACE FUNCTION level3.may_read(owner text, access text, readers text[]) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN owner = level3.me() OR access = 'public'
    OR (access = 'group' AND EXISTS (SELECT FROM unnest(readers) r WHERE to_regrole(quote_ident(r)) IS NOT NULL
                                     AND pg_has_role(level3.me(), r, 'MEMBER')));

DROP VIEW IF EXISTS level3.tables, level3.columns, level3.queries;  -- whose columns may have changed

CREATE OR REPLACE VIEW level3.tables WITH (security_barrier) AS
SELECT p.login AS owner, p.name, p.description, p.access, p.readers, p.public_from, p.made,
       CASE WHEN p.login = level3.me() THEN (SELECT format('%I.%I', c.relnamespace::regnamespace, c.relname)
                                             FROM pg_class c WHERE c.oid = p.relation)
            WHEN p.relation IS NOT NULL THEN format('%I.%I', s.schema_name, p.name) END AS relation,
       p.file, p.sha256,
       coalesce(p.bytes, level3.bytes_of(ARRAY[p.relation::oid])) AS bytes
FROM level3.product p JOIN level3.space s USING (login)
WHERE level3.may_read(p.login, p.access, p.readers);
COMMENT ON VIEW level3.tables IS 'Tables and files of users that the reader may read';

CREATE OR REPLACE VIEW level3.columns WITH (security_barrier) AS
SELECT p.login AS owner, p.name AS table_name, c.number, c.name, c.unit, c.ucd, c.description, c.original_name, c.original_type, c.derived
FROM level3.product p JOIN level3.product_column c USING (product_id)
WHERE level3.may_read(p.login, p.access, p.readers);
COMMENT ON VIEW level3.columns IS 'Columns of those tables, with unit, UCD and description';

CREATE OR REPLACE VIEW level3.queries WITH (security_barrier) AS
SELECT query_id, lane, text, into_table, into_file, state, submitted, started, finished, rows, error
FROM level3.query WHERE login = level3.me();
COMMENT ON VIEW level3.queries IS 'The reader''s history of queries in lanes';
GRANT SELECT ON level3.tables, level3.columns, level3.queries TO hven_scientist, hven_public;


CREATE OR REPLACE FUNCTION level3.use_names() RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SET client_min_messages = warning
AS $$
DECLARE
    own record;
BEGIN
    FOR own IN SELECT t.name, t.relation FROM level3.tables t
               WHERE t.owner = level3.me() AND t.relation IS NOT NULL AND to_regclass(quote_ident(t.name)) IS NULL LOOP
        EXECUTE format('CREATE TEMPORARY VIEW %I AS SELECT * FROM %s', own.name, own.relation);
        RETURN NEXT own.name;
    END LOOP;
END
$$;
COMMENT ON FUNCTION level3.use_names() IS
'Lets the session call the caller''s tables by their own names: as temporary views of tables whose stored names tell nothing.';


CREATE OR REPLACE FUNCTION level3.hide(product text) RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    stored constant text := (SELECT t.relation FROM level3.tables t WHERE t.owner = level3.me() AND t.name = product AND t.access = 'private');
    opaque constant text := 't_' || left(md5(gen_random_uuid()::text), 16);
BEGIN
    IF stored IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'VN052', MESSAGE = format('level3: you have no private table %s', product),
            HINT = 'SELECT name, access FROM level3.tables shows yours.';
    END IF;
    EXECUTE format('ALTER TABLE %s RENAME TO %I', stored, opaque);
    RETURN opaque;
END
$$;
COMMENT ON FUNCTION level3.hide(text) IS
'Stores a table of the caller''s under a name that tells nothing, as imports are; it keeps its own name in level3.tables and for level3.use_names.';


CREATE OR REPLACE FUNCTION level3.name_import(physical regclass, wanted text, description text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made bigint;
BEGIN
    UPDATE level3.product p SET name = wanted, description = left(name_import.description, 10000)
    WHERE p.relation = physical AND p.login = level3.me() RETURNING p.product_id INTO made;
    IF made IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'VN052', MESSAGE = format('level3: %s is no table of %s', physical, level3.me()),
            HINT = 'Import into a space of your own.';
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION level3.name_import(regclass, text, text) IS 'Gives a table of the caller''s that lies under an opaque name the name that it is called by.';


CREATE OR REPLACE FUNCTION level3.describe_import(
    physical regclass, names text[], original_names text[], original_types text[], units text[], ucds text[], descriptions text[], derived boolean[])
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO level3.product_column
    SELECT p.product_id, a.attnum, c.name, c.original_name, c.original_type, c.unit, c.ucd, c.description, c.derived
    FROM unnest(names, original_names, original_types, units, ucds, descriptions, derived)
         AS c (name, original_name, original_type, unit, ucd, description, derived)
    JOIN level3.product p ON p.relation = physical AND p.login = level3.me()
    JOIN pg_attribute a ON a.attrelid = physical AND a.attname = c.name
$$;
COMMENT ON FUNCTION level3.describe_import(regclass, text[], text[], text[], text[], text[], text[], boolean[]) IS
'Records how the columns of an imported table were in the file.';

REVOKE ALL ON FUNCTION level3.share(text, text, text[], date), level3.describe(text, text, text), level3.use_names(), level3.hide(text),
    level3.describe_column(text, text, text, text, text), level3.name_import(regclass, text, text),
    level3.describe_import(regclass, text[], text[], text[], text[], text[], text[], boolean[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION level3.share(text, text, text[], date), level3.describe(text, text, text), level3.use_names(), level3.hide(text),
    level3.describe_column(text, text, text, text, text), level3.name_import(regclass, text, text),
    level3.describe_import(regclass, text[], text[], text[], text[], text[], text[], boolean[]) TO hven_level3;


CREATE OR REPLACE FUNCTION level3.submit(query_text text, lane text, row_limit bigint, into_table text DEFAULT NULL, into_file text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me constant text := level3.me();
    waiting constant bigint := (SELECT count(*) FROM level3.query q WHERE q.login = me AND q.state IN ('queued', 'running'));
    made bigint;
    job bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM level3.space s WHERE s.login = me AND s.state <> 'expired') THEN
        RAISE EXCEPTION USING ERRCODE = 'VN052', MESSAGE = format('level3: %s has no open space here', me),
            HINT = 'Ask for one: `hven level3 open`.';
    END IF;
    IF waiting >= 50 THEN
        RAISE EXCEPTION USING ERRCODE = 'VN050', MESSAGE = format('level3: %s has %s queries in the lanes, allowed are 50', me, waiting),
            HINT = 'Wait, or cancel some.';
    END IF;
    INSERT INTO level3.query (login, lane, text, into_table, into_file, row_limit)
    VALUES (me, lane, query_text, into_table, into_file, row_limit) RETURNING query_id INTO made;
    INSERT INTO queue.job (production_id, kind, key, parameters, state, max_attempts)
    SELECT production_id, 'level3_' || lane, 'query ' || made, jsonb_build_object('query_id', made), 'ready', 2
    FROM queue.production WHERE name = 'level3' RETURNING job_id INTO job;
    UPDATE level3.query q SET job_id = job WHERE q.query_id = made;
    PERFORM pg_notify('hven_job', '');
    RETURN made;
END
$$;
COMMENT ON FUNCTION level3.submit(text, text, bigint, text, text) IS
'Puts a query into a lane, quick or long: its rows go into a table of the caller''s, or a file. Returns its number in level3.queries.';


CREATE OR REPLACE FUNCTION level3.cancel(query_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this level3.query;
BEGIN
    UPDATE level3.query q SET state = 'cancelled', finished = now()
    WHERE q.query_id = cancel.query_id AND q.login = level3.me() AND q.state IN ('queued', 'running') RETURNING * INTO this;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE queue.job j SET state = 'cancelled', finished = now(), lease_expires = NULL
    WHERE j.job_id = this.job_id AND j.state IN ('waiting', 'ready', 'running');
    PERFORM pg_cancel_backend(a.pid) FROM pg_stat_activity a WHERE a.pid = this.pid AND a.usename = 'hven_job_' || this.login;
    RETURN true;
END
$$;
COMMENT ON FUNCTION level3.cancel(bigint) IS 'Cancels a query of the caller''s in a lane; false if it has ended.';
REVOKE ALL ON FUNCTION level3.submit(text, text, bigint, text, text), level3.cancel(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION level3.submit(text, text, bigint, text, text), level3.cancel(bigint) TO hven_level3;


CREATE OR REPLACE FUNCTION level3.only_query(query_text text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    found_one refcursor;
BEGIN
    -- A cursor takes one statement that returns rows, and nothing else.
    OPEN found_one FOR EXECUTE query_text;
    CLOSE found_one;
END
$$;
COMMENT ON FUNCTION level3.only_query(text) IS 'Refuses what is not one query.';


CREATE OR REPLACE FUNCTION level3.finish_query(query_id bigint, rows bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE level3.query q SET state = 'done', rows = finish_query.rows, finished = clock_timestamp(), pid = NULL
    WHERE q.query_id = finish_query.query_id AND q.login = level3.me() AND q.state = 'running';
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION level3.finish_query(bigint, bigint) IS 'Ends a query of the caller''s in the transaction that holds its result; false if it was cancelled.';
REVOKE ALL ON FUNCTION level3.only_query(text), level3.finish_query(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION level3.only_query(text), level3.finish_query(bigint, bigint) TO hven_level3;
