-- Roles of the cluster: groups that logins are members of, and owners that nobody logs in as.
DO $$
DECLARE
    wanted text;
    member record;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['hven_owner', 'hven_frozen', 'hven_public', 'hven_scientist', 'hven_level3',
                                  'hven_worker', 'hven_release_admin', 'hven_operator']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    IF NOT (SELECT rolcreatedb FROM pg_roles WHERE rolname = 'hven_owner') THEN
        ALTER ROLE hven_owner CREATEDB;
    END IF;
    -- A release administrator owns nothing until SET ROLE hven_owner: what changes a catalogue is said aloud.
    IF (SELECT rolinherit FROM pg_roles WHERE rolname = 'hven_release_admin') THEN
        ALTER ROLE hven_release_admin NOINHERIT;
    END IF;
    FOR member IN
        SELECT * FROM (VALUES ('hven_scientist', 'hven_level3'), ('hven_owner', 'hven_release_admin'),
                              ('pg_monitor', 'hven_operator'), ('pg_signal_backend', 'hven_operator')) AS m (of, role)
        WHERE NOT pg_has_role(role, of, 'MEMBER')
    LOOP
        EXECUTE format('GRANT %I TO %I', member.of, member.role);
    END LOOP;
END
$$;
