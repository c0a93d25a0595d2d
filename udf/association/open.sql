-- Association, first steps: the Visit is locked, what is staged is checked, what is replaced is withdrawn.
-- minimum revision: science_0001
-- databases: level1
-- requires: ids time summaries association/fault sky/separation
-- execute: hven_worker hven_operator
--
-- Our SQLSTATEs:
--   VN020  the Visit is unknown or not ready, or the transaction can't see what others committed
--   VN021  staged rows are not what the jobs say that they staged
--   VN022  the Visit would create too many Objects
--   VN023  a parameter is unknown or impossible

CREATE OR REPLACE FUNCTION hven.live_release()
RETURNS integer
LANGUAGE sql STABLE
AS $$
    SELECT coalesce((SELECT max(object_id) FROM :catalogue.object) >> 57,
                    (SELECT max(dia_source_id) FROM :catalogue.dia_source) >> 57, 0)::integer
$$;

COMMENT ON FUNCTION hven.live_release() IS
'Number of the release that this database continues: that of its newest Objects, 0 before the first.';


CREATE OR REPLACE FUNCTION hven.visit_ids(visit bigint, OUT first bigint, OUT last bigint)
LANGUAGE sql STABLE
AS $$
    SELECT hven.first_measurement_id(r.release, visit), hven.last_measurement_id(r.release, visit)
    FROM (SELECT hven.live_release() AS release) r
$$;

COMMENT ON FUNCTION hven.visit_ids(bigint) IS
'Lowest and highest possible id of a measurement of a Visit in this database, for range conditions that prune partitions.';


CREATE OR REPLACE FUNCTION hven.visits_to_await(visit_id bigint, radius_arcsec float8)
RETURNS SETOF bigint
LANGUAGE sql STABLE
AS $$
    SELECT earlier.visit_id
    FROM :catalogue.visit v JOIN :catalogue.visit earlier ON earlier.visit_id < v.visit_id AND earlier.state IN ('arriving', 'ready')
    WHERE v.visit_id = $1 AND hven.sky_separation_arcsec(v.ra, v.dec, earlier.ra, earlier.dec) <= 2 * $2
    ORDER BY 1
$$;

COMMENT ON FUNCTION hven.visits_to_await(bigint, float8) IS
'Earlier Visits that are not associated yet and whose fields, of a radius [arcsec], overlap a Visit''s: those that its association should wait for.';


CREATE OR REPLACE FUNCTION hven.association_open(
    visit bigint, jobs bigint[], OUT first bigint, OUT last bigint, OUT processed float8, OUT band smallint)
LANGUAGE plpgsql
AS $$
DECLARE
    fault text;
    lowest bigint;
    highest bigint;
    is_in_band boolean;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'VN020',
            MESSAGE = format('associate_visit: isolation is %s, allowed is read committed', current_setting('transaction_isolation')),
            HINT = 'Association waits for Visits that overlap, then must see what they wrote.';
    END IF;
    SELECT v.filter_id INTO band FROM :catalogue.visit v WHERE v.visit_id = visit FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'VN020', MESSAGE = format('associate_visit: there is no Visit %s', visit),
            HINT = 'The row of visit is inserted with the first raw Exposure.';
    END IF;
    fault := hven.association_fault(visit, jobs, ARRAY['dia_source', 'dia_source_snap', 'forced_dia_source']);
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'VN021', MESSAGE = format('associate_visit: Visit %s: %s', visit, fault),
            HINT = 'Equal numbers mean that other rows are there. Delete the Visit''s staged rows of that job and run it again.';
    END IF;
    SELECT min(dia_source_id), max(dia_source_id), bool_and(filter_id = band) INTO lowest, highest, is_in_band
    FROM staging.dia_source WHERE visit_id = visit;
    SELECT coalesce(hven.first_measurement_id(lowest >> 57, visit), i.first), coalesce(hven.last_measurement_id(lowest >> 57, visit), i.last)
    INTO first, last FROM hven.visit_ids(visit) i;
    IF lowest < first OR highest > last OR NOT is_in_band THEN
        RAISE EXCEPTION USING ERRCODE = 'VN021',
            MESSAGE = format('associate_visit: Visit %s: staged rows are not all of this Visit, its filter and one release', visit),
            HINT = 'Delete the Visit''s staged rows and run its jobs again.';
    END IF;
    processed := hven.tai_mjd(clock_timestamp());
END
$$;

COMMENT ON FUNCTION hven.association_open(bigint, bigint[]) IS
'Locks a Visit and checks what is staged (see association_fault); returns the range of the Visit''s ids, the time that marks this pass, and the filter.';


CREATE OR REPLACE FUNCTION hven.association_lock(first bigint, last bigint, tiles bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    tile bigint;
BEGIN
    -- In ascending order, or two Visits could wait for each other. 46: from order 29 to order 6.
    FOR tile IN
        SELECT unnest(tiles)
        UNION SELECT d.healpix29 >> 46 FROM :catalogue.dia_source d WHERE d.dia_source_id BETWEEN first AND last
        UNION SELECT o.healpix29 >> 46
              FROM :catalogue.dia_source d JOIN :catalogue.object o USING (object_id) WHERE d.dia_source_id BETWEEN first AND last
        ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(x'48764153'::integer, tile::integer);
    END LOOP;
END
$$;

COMMENT ON FUNCTION hven.association_lock(bigint, bigint, bigint[]) IS
'Waits for associations that touch the same order-6 pixels: those given, and those of the rows that the Visit has already.';


CREATE OR REPLACE FUNCTION hven.association_replace(
    visit bigint, first bigint, last bigint, processed float8, jobs bigint[], OUT linked bigint[], OUT freed bigint[])
LANGUAGE plpgsql
AS $$
DECLARE
    detectors smallint[];
    again bigint[];
    gone bigint[];
BEGIN
    PERFORM FROM :catalogue.dia_source WHERE dia_source_id BETWEEN first AND last LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT array_agg(DISTINCT detector) INTO detectors FROM (
        SELECT detector_id FROM staging.dia_source WHERE visit_id = visit
        UNION SELECT (parameters ->> 'detector_id')::smallint FROM queue.job WHERE job_id = ANY (jobs)) AS d (detector);
    -- A row that comes with the same id is the same measurement: it is overwritten.
    SELECT array_agg(dia_source_id) INTO again
    FROM staging.dia_source s JOIN :catalogue.dia_source d USING (dia_source_id) WHERE s.visit_id = visit;
    WITH deleted AS (
        DELETE FROM :catalogue.dia_source WHERE dia_source_id = ANY (again) AND dia_source_id BETWEEN first AND last
        RETURNING object_id
    )
    SELECT array_agg(object_id) INTO freed FROM deleted WHERE object_id IS NOT NULL;
    DELETE FROM :catalogue.dia_source_snap WHERE dia_source_id = ANY (again) AND dia_source_id BETWEEN first AND last;
    UPDATE :catalogue.dia_source SET time_withdrawn = processed
    WHERE dia_source_id BETWEEN first AND last AND detector_id = ANY (detectors) AND time_withdrawn IS NULL;
    DELETE FROM :catalogue.forced_dia_source f USING staging.forced_dia_source s
    WHERE s.visit_id = visit AND f.forced_dia_source_id = s.forced_dia_source_id
      AND f.forced_dia_source_id BETWEEN first AND last;
    UPDATE :catalogue.forced_dia_source SET time_withdrawn = processed
    WHERE forced_dia_source_id BETWEEN first AND last AND detector_id = ANY (detectors) AND time_withdrawn IS NULL;
    UPDATE :catalogue.predicted_position p SET dia_source_id = NULL
    WHERE p.visit_id = visit AND p.dia_source_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM :catalogue.dia_source d WHERE d.dia_source_id = p.dia_source_id AND d.time_withdrawn IS NULL);
    SELECT array_agg(DISTINCT object_id) FILTER (WHERE time_withdrawn IS NULL),
           array_agg(DISTINCT object_id) FILTER (WHERE time_withdrawn IS NOT NULL)
    INTO linked, gone
    FROM :catalogue.dia_source WHERE dia_source_id BETWEEN first AND last AND object_id IS NOT NULL;
    freed := ARRAY(SELECT DISTINCT unnest(freed || gone) ORDER BY 1);
    PERFORM hven.recompute_objects(freed) WHERE freed <> '{}';
END
$$;

COMMENT ON FUNCTION hven.association_replace(bigint, bigint, bigint, float8, bigint[]) IS
'Takes back what a Visit has of the detectors that are staged again, or whose jobs are given: DiaSources are withdrawn, those staged with the same id deleted, summaries made anew. Returns the Objects that the Visit''s other rows are linked to, and those that rows taken back, now or earlier, were linked to.';


CREATE OR REPLACE FUNCTION hven.association_orphans(processed float8, freed bigint[])
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    orphans bigint[];
BEGIN
    WITH withdrawn AS (
        UPDATE :catalogue.object SET time_withdrawn = processed
        WHERE object_id = ANY (freed) AND dia_sources = 0 AND prior_weight = 0 AND time_withdrawn IS NULL
        RETURNING object_id
    )
    SELECT array_agg(object_id) INTO orphans FROM withdrawn;
    DELETE FROM :catalogue.force_list WHERE object_id = ANY (orphans);
    RETURN coalesce(cardinality(orphans), 0);
END
$$;

COMMENT ON FUNCTION hven.association_orphans(float8, bigint[]) IS
'Withdraws those of the Objects given that were found at night and have no DiaSource left; returns how many.';
