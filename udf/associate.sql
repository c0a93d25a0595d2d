-- Association: the DiaSources of a Visit find their Objects, in one transaction.
-- minimum revision: science_0001
-- databases: level1
-- requires: fail ids time sky/healpix
-- execute: hven_worker hven_operator
--
-- Our SQLSTATEs:
--   VN020  the Visit is unknown, or the transaction can't see what others committed
--   VN021  staged rows are not what the jobs say that they staged
--   VN022  the Visit would create too many Objects
--   VN023  a parameter of association is unknown or impossible

CREATE OR REPLACE FUNCTION hven.visit_ids(visit bigint, OUT first bigint, OUT last bigint)
LANGUAGE sql STABLE
AS $$
    SELECT hven.first_measurement_id(r.release, visit), hven.last_measurement_id(r.release, visit)
    FROM (SELECT coalesce((SELECT max(object_id) FROM :catalogue.object) >> 57,
                          (SELECT max(dia_source_id) FROM :catalogue.dia_source) >> 57, 0) AS release) r
$$;

COMMENT ON FUNCTION hven.visit_ids(bigint) IS
'Lowest and highest possible id of a measurement of a Visit in this database, for range conditions that prune partitions.';


CREATE OR REPLACE FUNCTION hven.association_open(
    visit bigint, jobs bigint[], OUT first bigint, OUT last bigint, OUT processed float8)
LANGUAGE plpgsql
AS $$
DECLARE
    fault text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'VN020',
            MESSAGE = format('associate_visit: isolation is %s, allowed is read committed', current_setting('transaction_isolation')),
            HINT = 'Association waits for Visits that overlap, then must see what they wrote.';
    END IF;
    PERFORM FROM :catalogue.visit v WHERE v.visit_id = visit FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'VN020', MESSAGE = format('associate_visit: there is no Visit %s', visit),
            HINT = 'The row of visit is inserted with the first raw Exposure.';
    END IF;
    WITH staged AS (
        SELECT 'staging.dia_source' AS name, job_id, count(*) AS rows, bit_xor(dia_source_id) AS xor_id,
               bit_xor(healpix29) AS xor_healpix29
        FROM staging.dia_source WHERE visit_id = visit GROUP BY job_id
        UNION ALL
        SELECT 'staging.dia_source_snap', job_id, count(*), NULL, NULL
        FROM staging.dia_source_snap WHERE visit_id = visit GROUP BY job_id
    ), reported AS (
        SELECT t.key AS name, j.job_id, (t.value ->> 'rows')::bigint AS rows,
               coalesce((t.value ->> 'xor_id')::bigint, 0) AS xor_id,
               coalesce((t.value ->> 'xor_healpix29')::bigint, 0) AS xor_healpix29
        FROM queue.job j, jsonb_each(j.result) t
        WHERE (j.job_id = ANY (jobs) OR j.job_id IN (SELECT job_id FROM staged)) AND j.state = 'done'
          AND t.key IN ('staging.dia_source', 'staging.dia_source_snap')
    )
    SELECT string_agg(format('%s of job %s: %s rows staged, %s reported',
                             name, job_id, coalesce(s.rows, 0), coalesce(r.rows::text, 'none')), '; ')
    INTO fault
    FROM staged s FULL JOIN reported r USING (name, job_id)
    WHERE coalesce(s.rows, 0) IS DISTINCT FROM r.rows
       OR coalesce(s.xor_id, 0) <> r.xor_id OR coalesce(s.xor_healpix29, 0) <> r.xor_healpix29;
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'VN021', MESSAGE = format('associate_visit: Visit %s: %s', visit, fault),
            HINT = 'Equal numbers mean that other rows are there. Delete the Visit''s staged rows of that job and run it again.';
    END IF;
    SELECT coalesce(hven.first_measurement_id(s.release, visit), i.first), coalesce(hven.last_measurement_id(s.release, visit), i.last)
    INTO first, last
    FROM (SELECT min(dia_source_id) >> 57 AS release FROM staging.dia_source WHERE visit_id = visit) s, hven.visit_ids(visit) i;
    PERFORM FROM staging.dia_source WHERE visit_id = visit AND dia_source_id NOT BETWEEN first AND last LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'VN021',
            MESSAGE = format('associate_visit: Visit %s: staged ids are not all of this Visit and of one release', visit),
            HINT = 'Delete the Visit''s staged rows and run its jobs again.';
    END IF;
    processed := hven.tai_mjd(clock_timestamp());
END
$$;

COMMENT ON FUNCTION hven.association_open(bigint, bigint[]) IS
'Locks a Visit and compares its staged rows with the digests in the results of their jobs, and of the jobs given (which may have staged nothing).';


CREATE OR REPLACE FUNCTION hven.association_detections(
    visit bigint, OUT ids bytea, OUT ra bytea, OUT "dec" bytea, OUT ra_err bytea, OUT dec_err bytea, OUT ra_dec_cov bytea,
    OUT extendedness bytea, OUT healpix29 bytea, OUT is_positive bytea, OUT reliability bytea)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    SELECT string_agg(int8send(s.dia_source_id), ''), string_agg(float8send(s.ra), ''), string_agg(float8send(s.dec), ''),
           string_agg(float4send(coalesce(s.ra_err, 'NaN')), ''), string_agg(float4send(coalesce(s.dec_err, 'NaN')), ''),
           string_agg(float4send(coalesce(s.ra_dec_cov, 'NaN')), ''),
           string_agg(float4send(coalesce(s.extendedness, 'NaN')), ''), string_agg(int8send(s.healpix29), ''),
           string_agg(boolsend(coalesce(s.psf_flux > 0, false)), ''),
           string_agg(float4send(CASE WHEN s.is_trail OR s.pixel_flag_streak THEN -1 ELSE coalesce(s.reliability, 1) END), '')
    INTO ids, ra, "dec", ra_err, dec_err, ra_dec_cov, extendedness, healpix29, is_positive, reliability
    FROM (SELECT * FROM staging.dia_source WHERE visit_id = visit ORDER BY dia_source_id) s;
END
$$;

COMMENT ON FUNCTION hven.association_detections(bigint) IS
'The staged DiaSources of a Visit by id, as columns of big-endian bytes; reliability is -1 for trails and streaks.';


CREATE OR REPLACE FUNCTION hven.association_candidates(
    lowest bigint[], highest bigint[], OUT "range" bytea, OUT ids bytea, OUT ra bytea, OUT "dec" bytea, OUT ra_err bytea,
    OUT dec_err bytea, OUT ra_dec_cov bytea, OUT extendedness bytea, OUT ixx bytea, OUT iyy bytea, OUT ixy bytea,
    OUT seen bytea, OUT holds bytea)
LANGUAGE plpgsql STABLE
-- Some ten thousand short scans of the index: any other plan reads the whole table.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    WITH ranges AS (
        SELECT * FROM unnest(lowest, highest) WITH ORDINALITY AS r (lowest, highest, number)
    ), found AS (
        SELECT r.number, o.* FROM ranges r
        CROSS JOIN LATERAL (SELECT * FROM :catalogue.object o WHERE o.healpix29 BETWEEN r.lowest AND r.highest OFFSET 0) o
        UNION ALL
        SELECT r.number, o.* FROM ranges r
        JOIN :catalogue.object_moved m ON m.healpix29 BETWEEN r.lowest AND r.highest
        JOIN :catalogue.object o USING (object_id)
    )
    SELECT string_agg(int8send(f.number - 1), ''), string_agg(int8send(f.object_id), ''),
           string_agg(float8send(f.mean_ra), ''), string_agg(float8send(f.mean_dec), ''),
           string_agg(float4send(coalesce(f.ra_err, 'NaN')), ''), string_agg(float4send(coalesce(f.dec_err, 'NaN')), ''),
           string_agg(float4send(coalesce(f.ra_dec_cov, 'NaN')), ''),
           string_agg(float4send(coalesce(f.extendedness, 'NaN')), ''),
           string_agg(float4send(coalesce(f.ixx, 'NaN')), ''), string_agg(float4send(coalesce(f.iyy, 'NaN')), ''),
           string_agg(float4send(coalesce(f.ixy, 'NaN')), ''),
           string_agg(boolsend(f.dia_sources > 0), ''), string_agg(boolsend(f.time_withdrawn IS NULL), '')
    INTO "range", ids, ra, "dec", ra_err, dec_err, ra_dec_cov, extendedness, ixx, iyy, ixy, seen, holds
    FROM found f;
END
$$;

COMMENT ON FUNCTION hven.association_candidates(bigint[], bigint[]) IS
'The Objects, withdrawn ones too, whose indexed or moved place lies in ranges of healpix29, with the number of the range from 0, as columns of big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.association_predictions(
    visit bigint, OUT ids bytea, OUT ra bytea, OUT "dec" bytea, OUT ra_err bytea, OUT dec_err bytea, OUT ra_dec_cov bytea)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    SELECT string_agg(int8send(p.moving_object_id), ''), string_agg(float8send(p.ra), ''), string_agg(float8send(p.dec), ''),
           string_agg(float4send(coalesce(p.ra_err, 'NaN')), ''), string_agg(float4send(coalesce(p.dec_err, 'NaN')), ''),
           string_agg(float4send(coalesce(p.ra_dec_cov, 'NaN')), '')
    INTO ids, ra, "dec", ra_err, dec_err, ra_dec_cov
    FROM (SELECT * FROM :catalogue.predicted_position WHERE visit_id = visit ORDER BY moving_object_id) p;
END
$$;

COMMENT ON FUNCTION hven.association_predictions(bigint) IS
'Where MovingObjects are predicted in a Visit, by id, as columns of big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.common_columns(source regclass, target regclass)
RETURNS text
LANGUAGE sql STABLE
RETURN (
    SELECT string_agg(quote_ident(t.attname), ', ' ORDER BY t.attnum)
    FROM pg_attribute t JOIN pg_attribute s ON s.attname = t.attname
    WHERE t.attrelid = target AND s.attrelid = source AND t.attnum > 0 AND s.attnum > 0
      AND NOT t.attisdropped AND NOT s.attisdropped
);

COMMENT ON FUNCTION hven.common_columns(regclass, regclass) IS
'The columns that two tables share, in the order of the second, as SQL writes them.';


CREATE OR REPLACE FUNCTION hven.association_taken(ids bigint[], OUT taken bytea)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    SELECT string_agg(int8send(object_id), '') INTO taken
    FROM (SELECT o.object_id FROM unnest(ids) n JOIN :catalogue.object o ON o.object_id BETWEEN n AND n + 7
          UNION ALL
          SELECT o.object_id FROM unnest(ids) n JOIN :catalogue.object_retired o ON o.object_id BETWEEN n AND n + 7) used;
END
$$;

COMMENT ON FUNCTION hven.association_taken(bigint[]) IS
'The object_ids that are, or were, in use among the eight ties of each id, as big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.association_link(
    visit bigint, processed float8, ids bigint[], objects bigint[], moving bigint[])
RETURNS void
LANGUAGE plpgsql
-- The staging table's statistics tell nothing: a nested loop over it could take minutes.
SET enable_nestloop = off
AS $$
DECLARE
    columns text := hven.common_columns('staging.dia_source', ':catalogue.dia_source');
BEGIN
    UPDATE :catalogue.predicted_position p SET dia_source_id = m.dia_source_id
    FROM unnest(ids, moving) AS m (dia_source_id, moving_object_id)
    WHERE m.moving_object_id > 0 AND p.visit_id = visit AND p.moving_object_id = m.moving_object_id;
    EXECUTE format('
        INSERT INTO :catalogue.dia_source
              (%s, object_id, moving_object_id, ss_ra, ss_dec, rejected, time_processed)
        SELECT s.%s, nullif(m.object_id, 0), p.moving_object_id, p.ra, p.dec, m.object_id = 0 AND m.moving_object_id = 0, $2
        FROM staging.dia_source s
        JOIN unnest($3, $4, $5) AS m (dia_source_id, object_id, moving_object_id) USING (dia_source_id)
        LEFT JOIN :catalogue.predicted_position p ON p.visit_id = $1 AND p.moving_object_id = m.moving_object_id
        WHERE s.visit_id = $1
        ORDER BY s.dia_source_id', columns, replace(columns, ', ', ', s.'))
    USING visit, processed, ids, objects, moving;
    columns := hven.common_columns('staging.dia_source_snap', ':catalogue.dia_source_snap');
    EXECUTE format('INSERT INTO :catalogue.dia_source_snap (%1$s) SELECT %1$s FROM staging.dia_source_snap
                    WHERE visit_id = $1 ORDER BY dia_source_id, snap', columns) USING visit;
    DELETE FROM staging.dia_source WHERE visit_id = visit;
    DELETE FROM staging.dia_source_snap WHERE visit_id = visit;
END
$$;

COMMENT ON FUNCTION hven.association_link(bigint, float8, bigint[], bigint[], bigint[]) IS
'Moves the staged DiaSources of a Visit and their Snaps into the catalogue with their Objects and MovingObjects (0 = none); those without either are rejected.';


CREATE OR REPLACE FUNCTION hven.association_new_objects(first bigint, last bigint, processed float8, new bigint[])
RETURNS bigint
LANGUAGE plpgsql
SET enable_nestloop = off
AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO :catalogue.object (object_id, ra, dec, healpix29, mean_ra, mean_dec, ra_err, dec_err, ra_dec_cov,
                                   extendedness, dia_sources, first_tai, last_tai, time_processed)
    SELECT d.object_id, d.ra, d.dec, d.healpix29, d.ra, d.dec, d.ra_err, d.dec_err, d.ra_dec_cov,
           d.extendedness, 1, d.midpoint_tai, d.midpoint_tai, processed
    FROM :catalogue.dia_source d JOIN unnest(new) AS n (object_id) USING (object_id)
    WHERE d.dia_source_id BETWEEN first AND last AND d.time_processed = processed
    ORDER BY d.object_id;
    GET DIAGNOSTICS made = ROW_COUNT;
    RETURN made;
END
$$;

COMMENT ON FUNCTION hven.association_new_objects(bigint, bigint, float8, bigint[]) IS
'Makes the Objects that a Visit discovered, at the places of their DiaSources (ids from first to last, written at processed).';


CREATE OR REPLACE FUNCTION hven.association_update_objects(first bigint, last bigint, processed float8)
RETURNS bigint
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    updated bigint;
BEGIN
    UPDATE :catalogue.object o
    SET dia_sources = o.dia_sources + 1, first_tai = least(o.first_tai, d.midpoint_tai), last_tai = greatest(o.last_tai, d.midpoint_tai)
    FROM :catalogue.dia_source d
    WHERE d.dia_source_id BETWEEN first AND last AND d.time_processed = processed
      AND o.object_id = d.object_id AND o.time_processed IS DISTINCT FROM processed;
    GET DIAGNOSTICS updated = ROW_COUNT;
    RETURN updated;
END
$$;

COMMENT ON FUNCTION hven.association_update_objects(bigint, bigint, float8) IS
'Adds DiaSources (ids from first to last, written at processed) to the summaries of the Objects that were there before.';


CREATE OR REPLACE FUNCTION hven.association_close(visit bigint, first bigint, last bigint, processed float8)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    number smallint := (SELECT count(*) + 1 FROM :catalogue.order_log WHERE visit_id = visit);
BEGIN
    INSERT INTO :catalogue.order_log (visit_id, pass, dia_sources, digest)
    SELECT visit, number, count(*), coalesce(bit_xor(dia_source_id # coalesce(object_id, moving_object_id, 0)), 0)
    FROM :catalogue.dia_source WHERE dia_source_id BETWEEN first AND last AND time_processed = processed;
    UPDATE :catalogue.visit v SET state = 'associated' WHERE v.visit_id = visit AND v.state IN ('arriving', 'ready');
    RETURN number;
END
$$;

COMMENT ON FUNCTION hven.association_close(bigint, bigint, bigint, float8) IS
'Enters a Visit into the order log; returns the number of the pass.';


CREATE OR REPLACE FUNCTION hven.associate_visit(visit_id bigint, jobs bigint[] DEFAULT NULL, parameters jsonb DEFAULT '{}')
RETURNS jsonb
LANGUAGE plpython3u SECURITY DEFINER  -- workers write no catalogue themselves
SET search_path = pg_catalog, pg_temp
AS $python$
-- include: steps.py
-- include: sky/healpix.py
-- include: sky/cover.py
-- include: plane.py
-- include: associate.py
steps = Steps(plpy, SD)
try:
    p = Parameters.of(parameters)
    first, last, processed = passed = tuple(steps.call("association_open(bigint, bigint[])", visit_id, jobs).values())
    mine = detections(arrays(steps.call("association_detections(bigint)", visit_id), "8ffeeee8be"), p)
    number, lowest, highest = ranges(mine, p)
    near = arrays(steps.call("association_candidates(bigint[], bigint[])", lowest.tolist(), highest.tolist()), "88ffeeeeeeebb")
    ahead = arrays(steps.call("association_predictions(bigint)", visit_id), "8ffeee")
    parents, moving, new = solve(mine, number, objects(near, p), predictions(ahead, p), p)
    ids = first_ids(first >> 57, mine.healpix29[new])
    steps.lap("solve")
    taken = arrays(steps.call("association_taken(bigint[])", ids.tolist()), "8")[0]
    parents[new] = ids = untied(ids, taken)
except RefusedError as refused:
    plpy.error(str(refused), hint=refused.remedy, sqlstate=refused.code)
link = "association_link(bigint, float8, bigint[], bigint[], bigint[])"
steps.call(link, visit_id, processed, *(column.tolist() for column in (mine.ids, parents, moving)))
steps.call("association_new_objects(bigint, bigint, float8, bigint[])", *passed, ids.tolist())
steps.call("association_update_objects(bigint, bigint, float8)", *passed)
number = steps.call("association_close(bigint, bigint, bigint, float8)", visit_id, *passed)
return steps.report(dia_sources=mine.ids.size, rejected=int((~mine.usable).sum()), new_objects=new.size, moving=int((moving > 0).sum()))
$python$;

COMMENT ON FUNCTION hven.associate_visit(bigint, bigint[], jsonb) IS
'Associates the staged DiaSources of a Visit with Objects, in the caller''s transaction. jobs: those whose digests are to be compared though they staged nothing. Returns counts and the milliseconds of each step; VN020 to VN023 leave all as it was.';
