-- Bulk build: measurements are loaded without indexes; each partition is put into order and indexed by itself.
-- minimum revision: science_0001
-- databases: release
-- execute: hven_worker hven_release_admin hven_operator
--
-- A parent's index without those of its partitions is invalid, and is what remains of it meanwhile: its definition.

CREATE OR REPLACE FUNCTION hven.drop_indexes(parent text)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    home CONSTANT regclass := ':catalogue.' || quote_ident(parent);
    one record;
    dropped integer := 0;
BEGIN
    FOR one IN
        SELECT i.indexrelid::regclass AS index, pg_get_indexdef(i.indexrelid) AS definition, c.conname,
               pg_get_constraintdef(c.oid) AS key
        FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'p'
        WHERE i.indrelid = home AND i.indisvalid ORDER BY 1
    LOOP
        IF one.key IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', home, one.conname);
            EXECUTE format('ALTER TABLE ONLY %s ADD CONSTRAINT %I %s', home, one.conname, one.key);
        ELSE
            EXECUTE format('DROP INDEX %s', one.index);
            EXECUTE one.definition;  -- says ON ONLY
        END IF;
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

COMMENT ON FUNCTION hven.drop_indexes(text) IS
'Takes the indexes off the partitions of a table of measurements, their definitions stay with the parent; returns how many.';


CREATE OR REPLACE FUNCTION hven.order_partition(parent text, number integer)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET maintenance_work_mem = '1GB'
AS $$
DECLARE
    part CONSTANT text := parent || '_' || to_char(number, 'FM00');
BEGIN
    EXECUTE format('CREATE INDEX bulk_order ON :catalogue.%I (healpix29)', part);
    EXECUTE format('CLUSTER :catalogue.%I USING bulk_order', part);
    DROP INDEX :catalogue.bulk_order;
END
$$;

COMMENT ON FUNCTION hven.order_partition(text, integer) IS
'Puts one partition of a table of measurements, 0 to 11, into the order of the sky, so that tiles, and Objects in them, lie together.';


CREATE OR REPLACE FUNCTION hven.index_partition(parent text, number integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET maintenance_work_mem = '1GB'
AS $$
DECLARE
    home CONSTANT regclass := ':catalogue.' || quote_ident(parent);
    part CONSTANT text := parent || '_' || to_char(number, 'FM00');
    one record;
    names text[] := '{}';
BEGIN
    FOR one IN
        SELECT i.indexrelid::regclass AS index, c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition,
               pg_get_constraintdef(k.oid) AS key
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'p'
        WHERE i.indrelid = home AND NOT EXISTS (
            SELECT FROM pg_inherits h JOIN pg_index p ON p.indexrelid = h.inhrelid
            WHERE h.inhparent = i.indexrelid AND p.indrelid = (':catalogue.' || quote_ident(part))::regclass)
        ORDER BY 1
    LOOP
        names := names || ARRAY[one.index::text, part || substr(one.name, length(parent) + 1)];
        IF one.key IS NOT NULL THEN
            EXECUTE format('ALTER TABLE :catalogue.%I ADD CONSTRAINT %I %s', part, names[array_upper(names, 1)], one.key);
        ELSE
            EXECUTE regexp_replace(one.definition, '^(CREATE (UNIQUE )?INDEX) .* ON ONLY \S+ ',
                                   format('\1 %I ON :catalogue.%I ', names[array_upper(names, 1)], part));
        END IF;
    END LOOP;
    FOR i IN 1..cardinality(names) BY 2 LOOP  -- last, for it holds up the other partitions
        EXECUTE format('ALTER INDEX %s ATTACH PARTITION :catalogue.%I', names[i], names[i + 1]);
    END LOOP;
    EXECUTE format('ANALYZE :catalogue.%I (object_id, filter_id)', part);  -- what is asked before it is frozen, which analyses all
    RETURN (SELECT reltuples::bigint FROM pg_class WHERE oid = (':catalogue.' || quote_ident(part))::regclass);
END
$$;

COMMENT ON FUNCTION hven.index_partition(text, integer) IS
'Builds the indexes of one partition of a table of measurements, 0 to 11, that its parent asks for; returns about how many rows it has.';
