-- Roles of the cluster: groups that logins are members of, and owners that nobody logs in as.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['hven_owner', 'hven_frozen', 'hven_public', 'hven_scientist', 'hven_level3',
                                  'hven_worker', 'hven_release_admin', 'hven_operator']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END
$$;
