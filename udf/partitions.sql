-- Partitions by time: one a month of nights, made before the month's first exposure.
-- minimum revision: science_0001
-- databases: level1
-- requires: fail
-- execute: hven_worker hven_release_admin hven_operator

CREATE OR REPLACE FUNCTION hven.first_id_of_night(release integer, night integer)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (release::bigint << 57) | (night::bigint << 43);

COMMENT ON FUNCTION hven.first_id_of_night(integer, integer) IS
'Smallest measurement id of a release and night; a half-open range of them selects nights in a partitioned table.';


CREATE OR REPLACE FUNCTION hven.ensure_partitions(release integer, first_night integer, last_night integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent text;
    month date;
    partition text;
    epoch CONSTANT date := date '1858-11-17' + 50000;  -- MJD of night 0
    made integer := 0;
BEGIN
    IF first_night NOT BETWEEN 0 AND 16383 OR last_night NOT BETWEEN first_night AND 16383 OR release NOT BETWEEN 0 AND 63 THEN
        RAISE EXCEPTION USING ERRCODE = 'VN002',
            MESSAGE = format('ensure_partitions: release %s, nights %s to %s; allowed are release 0 to 63, nights 0 to 16383 in order',
                             release, first_night, last_night),
            HINT = 'Remedy: give nights as MJD of local noon less 50000.';
    END IF;
    -- One at a time, or two workers of one new month would make the same table.
    PERFORM pg_advisory_xact_lock(hashtext('hven.ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['source', 'dia_source', 'dia_source_snap', 'forced_source', 'forced_dia_source'] LOOP
        month := date_trunc('month', epoch + first_night);
        WHILE month <= epoch + last_night LOOP
            partition := format('%s_r%s_%s', parent, to_char(release, 'FM00'), to_char(month, 'YYYY_MM'));
            IF to_regclass(':catalogue.' || partition) IS NULL THEN
                EXECUTE format('CREATE TABLE :catalogue.%I PARTITION OF :catalogue.%I FOR VALUES FROM (%s) TO (%s)',
                               partition, parent,
                               hven.first_id_of_night(release, greatest(month - epoch, 0)),
                               hven.first_id_of_night(release, least((month + interval '1 month')::date - epoch, 16383 + 1)));
                EXECUTE format('ALTER TABLE :catalogue.%I OWNER TO hven_owner', partition);
                made := made + 1;
            END IF;
            month := month + interval '1 month';
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

COMMENT ON FUNCTION hven.ensure_partitions(integer, integer, integer) IS
'Makes the monthly partitions of all measurements for the nights from first to last of a release; returns how many were missing.';
