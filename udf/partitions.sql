-- Partitions by time: one a month of nights, made before the month's first exposure; closed months are merged into years.
-- minimum revision: science_0001
-- databases: level1
-- requires: fail
-- execute: hven_worker hven_release_admin hven_operator

CREATE OR REPLACE FUNCTION hven.first_id_of_night(release integer, night integer)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (release::bigint << 57) + (night::bigint << 43);

COMMENT ON FUNCTION hven.first_id_of_night(integer, integer) IS
'Smallest measurement id of a release and night; a half-open range of them selects nights in a partitioned table.';


CREATE OR REPLACE FUNCTION hven.night_of_date(day date)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(greatest(day - (date '1858-11-17' + 50000), 0), 16384);

COMMENT ON FUNCTION hven.night_of_date(date) IS
'Number of the night that begins on a date (MJD of local noon less 50000), within the range of ids.';


CREATE OR REPLACE FUNCTION hven.partitions_by_month(release integer, first_night integer, last_night integer)
RETURNS TABLE (parent text, partition text, first bigint, beyond bigint)
LANGUAGE sql STABLE
AS $$
    SELECT p, format('%s_r%s_%s', p, to_char(release, 'FM00'), to_char(m, 'YYYY_MM')),
           hven.first_id_of_night(release, hven.night_of_date(m::date)),
           hven.first_id_of_night(release, hven.night_of_date((m + interval '1 month')::date))
    FROM unnest(ARRAY['source', 'dia_source', 'dia_source_snap', 'forced_source', 'forced_dia_source']) AS p,
         generate_series(date_trunc('month', date '1858-11-17' + 50000 + first_night)::timestamp,
                         (date '1858-11-17' + 50000 + last_night)::timestamp, interval '1 month') AS m
    WHERE to_regclass(format(':catalogue.%I', format('%s_r%s_%s', p, to_char(release, 'FM00'), to_char(m, 'YYYY')))) IS NULL
$$;

COMMENT ON FUNCTION hven.partitions_by_month(integer, integer, integer) IS
'The monthly partitions that nights of a release need, with their ranges of ids; years that were merged need none.';


CREATE OR REPLACE FUNCTION hven.ensure_partitions(release integer, first_night integer, last_night integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    need record;
    made integer := 0;
BEGIN
    IF first_night NOT BETWEEN 0 AND 16383 OR last_night NOT BETWEEN first_night AND 16383 OR release NOT BETWEEN 0 AND 63 THEN
        RAISE EXCEPTION USING ERRCODE = 'VN002',
            MESSAGE = format('ensure_partitions: release %s, nights %s to %s; allowed are release 0 to 63, nights 0 to 16383 in order',
                             release, first_night, last_night),
            HINT = 'Remedy: give nights as MJD of local noon less 50000.';
    END IF;
    FOR need IN SELECT * FROM hven.partitions_by_month(release, first_night, last_night) AS n
                WHERE to_regclass(format(':catalogue.%I', n.partition)) IS NULL LOOP
        -- Only now, or every worker of a night would wait for every other; another may have been quicker.
        PERFORM pg_advisory_xact_lock(hashtext('hven.partitions'));
        CONTINUE WHEN to_regclass(format(':catalogue.%I', need.partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE :catalogue.%I PARTITION OF :catalogue.%I FOR VALUES FROM (%s) TO (%s)',
                       need.partition, need.parent, need.first, need.beyond);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

COMMENT ON FUNCTION hven.ensure_partitions(integer, integer, integer) IS
'Makes the monthly partitions of all measurements for the nights from first to last of a release; returns how many were missing.';


CREATE OR REPLACE FUNCTION hven.merge_year(release integer, year integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    table_name text;
    merged text;
    month record;
    copied bigint;
    total bigint := 0;
    first bigint;
    beyond bigint;
    own_key text;
BEGIN
    IF (release BETWEEN 0 AND 63 AND year BETWEEN 1995 AND 2040) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'VN002',
            MESSAGE = format('merge_year: got release %s and year %s; allowed are release 0 to 63, years 1995 to 2040, which ids have nights for',
                             coalesce(release::text, 'NULL'), coalesce(year::text, 'NULL')),
            HINT = 'Remedy: name a release and year of which there are monthly partitions.';
    END IF;
    IF make_date(year + 1, 1, 1) > current_date THEN
        RAISE EXCEPTION USING ERRCODE = 'VN002',
            MESSAGE = format('merge_year: got %s, which is not over; allowed are years before %s', year, extract(year FROM current_date)),
            HINT = 'Remedy: merge the year when its last night is closed.';
    END IF;
    first := hven.first_id_of_night(release, hven.night_of_date(make_date(year, 1, 1)));
    beyond := hven.first_id_of_night(release, hven.night_of_date(make_date(year + 1, 1, 1)));
    PERFORM pg_advisory_xact_lock(hashtext('hven.partitions'));
    FOREACH table_name IN ARRAY ARRAY['source', 'dia_source', 'dia_source_snap', 'forced_source', 'forced_dia_source'] LOOP
        merged := format('%s_r%s_%s', table_name, to_char(release, 'FM00'), year);
        CONTINUE WHEN to_regclass(format(':catalogue.%I', merged)) IS NOT NULL;
        own_key := CASE table_name WHEN 'dia_source_snap' THEN 'dia_source_id' ELSE table_name || '_id' END;
        EXECUTE format('CREATE TABLE :catalogue.%I (LIKE :catalogue.%I INCLUDING ALL)', merged, table_name);
        FOR month IN SELECT c.relname AS partition FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                     WHERE i.inhparent = format(':catalogue.%I', table_name)::regclass
                       AND starts_with(c.relname, merged || '_')
                     ORDER BY c.relname LOOP
            EXECUTE format('ALTER TABLE :catalogue.%I DETACH PARTITION :catalogue.%I', table_name, month.partition);
            EXECUTE format('INSERT INTO :catalogue.%I SELECT * FROM :catalogue.%I', merged, month.partition);
            GET DIAGNOSTICS copied = ROW_COUNT;
            EXECUTE format('DROP TABLE :catalogue.%I', month.partition);
            total := total + copied;
        END LOOP;
        -- With this check, attaching need not read the rows again while all others wait.
        EXECUTE format('ALTER TABLE :catalogue.%1$I ADD CONSTRAINT range CHECK (%2$I >= %3$s AND %2$I < %4$s)', merged, own_key, first, beyond);
        EXECUTE format('ALTER TABLE :catalogue.%I ATTACH PARTITION :catalogue.%I FOR VALUES FROM (%s) TO (%s)',
                       table_name, merged, first, beyond);
        EXECUTE format('ALTER TABLE :catalogue.%I DROP CONSTRAINT range', merged);
    END LOOP;
    RETURN total;
END
$$;

COMMENT ON FUNCTION hven.merge_year(integer, integer) IS
'Merges the monthly partitions of a year that is over into one a table, so that a light curve of ten years touches few; returns the rows moved. Writers of those tables wait.';
