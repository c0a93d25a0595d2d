-- Association of Sources: measurements on single Exposures find their Objects (LDM-151, 6.1.1).
-- minimum revision: science_0001
-- databases: level1 release
-- requires: ids time association/fault association/read association/columns
-- execute: hven_worker hven_release_admin hven_operator

CREATE OR REPLACE FUNCTION hven.sources_open(visit bigint, jobs bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    fault text;
BEGIN
    PERFORM FROM :catalogue.visit v WHERE v.visit_id = visit FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'VN020', MESSAGE = format('associate_sources: there is no Visit %s', visit),
            HINT = 'The row of visit is inserted with the first raw Exposure.';
    END IF;
    fault := hven.association_fault(visit, jobs, ARRAY['source']);
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'VN021', MESSAGE = format('associate_sources: Visit %s: %s', visit, fault),
            HINT = 'Equal numbers mean that other rows are there. Delete the Visit''s staged rows of that job and run it again.';
    END IF;
END
$$;

COMMENT ON FUNCTION hven.sources_open(bigint, bigint[]) IS
'Locks a Visit and checks its staged Sources; see association_fault.';


CREATE OR REPLACE FUNCTION hven.sources_detections(
    visit bigint, OUT ids bytea, OUT ra bytea, OUT "dec" bytea, OUT ra_err bytea, OUT dec_err bytea, OUT ra_dec_cov bytea,
    OUT extendedness bytea, OUT healpix29 bytea, OUT is_positive bytea, OUT reliability bytea)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    SELECT string_agg(int8send(s.source_id), ''), string_agg(float8send(s.ra), ''), string_agg(float8send(s.dec), ''),
           string_agg(float4send(coalesce(s.ra_err, 'NaN')), ''), string_agg(float4send(coalesce(s.dec_err, 'NaN')), ''),
           string_agg(float4send(coalesce(s.ra_dec_cov, 'NaN')), ''),
           string_agg(float4send(coalesce(s.extendedness, 'NaN')), ''), string_agg(int8send(s.healpix29), ''),
           string_agg(boolsend(true), ''), string_agg(float4send(1), '')
    INTO ids, ra, "dec", ra_err, dec_err, ra_dec_cov, extendedness, healpix29, is_positive, reliability
    FROM (SELECT x.source_id, x.ra, x.dec, x.ra_err, x.dec_err, x.ra_dec_cov, x.extendedness, x.healpix29
          FROM staging.source x WHERE x.visit_id = visit ORDER BY x.source_id) s;
END
$$;

COMMENT ON FUNCTION hven.sources_detections(bigint) IS
'The staged Sources of a Visit by id, as columns of big-endian bytes: those of association_detections.';


CREATE OR REPLACE FUNCTION hven.sources_link(visit bigint, ids bigint[], objects bigint[], moving bigint[], OUT sources bigint)
LANGUAGE plpgsql
SET enable_nestloop = off
AS $$
DECLARE
    columns CONSTANT text := hven.common_columns('staging.source', ':catalogue.source');
    is_tiled CONSTANT boolean := EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = ':catalogue.source'::regclass AND attname = 'tile');
    now_tai CONSTANT float8 := hven.tai_mjd(clock_timestamp());
    first CONSTANT bigint := hven.first_measurement_id(ids[1] >> 57, visit);
    last CONSTANT bigint := hven.last_measurement_id(ids[1] >> 57, visit);
BEGIN
    -- What an earlier attempt at these detectors left is withdrawn; what comes with the same id is overwritten.
    DELETE FROM :catalogue.source s USING unnest(ids) i
    WHERE s.source_id = i AND s.visit_id = visit AND s.source_id BETWEEN first AND last;
    UPDATE :catalogue.source s SET time_withdrawn = now_tai
    WHERE s.visit_id = visit AND s.source_id BETWEEN first AND last AND s.time_withdrawn IS NULL
      AND s.detector_id IN (SELECT x.detector_id FROM staging.source x WHERE x.visit_id = visit);
    EXECUTE format('
        INSERT INTO :catalogue.source (%s, object_id, moving_object_id, time_processed %s)
        SELECT s.%s, nullif(m.object_id, 0), nullif(m.moving_object_id, 0), $2 %s
        FROM staging.source s
        JOIN unnest($3, $4, $5) AS m (source_id, object_id, moving_object_id) USING (source_id)
        LEFT JOIN (SELECT o.object_id, o.healpix29 FROM :catalogue.object o WHERE o.object_id = ANY ($4)) o
            ON o.object_id = m.object_id
        WHERE s.visit_id = $1
        ORDER BY s.source_id', columns, CASE WHEN is_tiled THEN ', tile' END, replace(columns, ', ', ', s.'),
        CASE WHEN is_tiled THEN ', coalesce(o.healpix29, s.healpix29) >> 46' END)
    USING visit, now_tai, ids, objects, moving;
    GET DIAGNOSTICS sources = ROW_COUNT;
    DELETE FROM staging.source x WHERE x.visit_id = visit;
END
$$;

COMMENT ON FUNCTION hven.sources_link(bigint, bigint[], bigint[], bigint[]) IS
'Moves the staged Sources of a Visit into the catalogue with their Objects and MovingObjects (0 = none), in place of what earlier attempts left; returns how many.';


CREATE OR REPLACE FUNCTION hven.associate_sources(visit_id bigint, jobs bigint[] DEFAULT NULL, parameters jsonb DEFAULT '{}')
RETURNS jsonb
LANGUAGE plpython3u SECURITY DEFINER  -- workers write no catalogue themselves
SET search_path = pg_catalog, pg_temp
AS $python$
-- include: steps.py
-- include: sky/healpix.py
-- include: sky/cover.py
-- include: plane.py
-- include: refused.py
-- include: association/parameters.py
-- include: association/rows.py
-- include: association/near.py
-- include: association/gains.py
-- include: association/assign.py
-- include: associate.py
call = Steps(plpy, SD)
try:
    p = Parameters.of(parameters)
except RefusedError as refused:
    plpy.error(f"associate_sources: {refused}", hint=refused.remedy, sqlstate=refused.code)
call("sources_open(bigint, bigint[])", visit_id, jobs)
mine = detections(call.arrays("sources_detections(bigint)", "8ffeeee8be", visit_id), p)
number, lowest, highest = ranges(mine, p)
near = call.arrays("association_candidates(bigint[], bigint[], bigint[])", "48ffeeeeeee4", lowest, highest, tiles(lowest, highest))
found = objects(near, {"freed": None, "linked": None}, p)
ahead = predictions(call.arrays("association_predictions(bigint)", "8ffeee", visit_id), p)
parents, moving, rest = solve(mine, number, found, ahead, p, source_gains)
call.lap("solve")
linked = call("sources_link(bigint, bigint[], bigint[], bigint[])", visit_id, mine.ids, parents, moving) if mine.ids.size else {"sources": 0}
return call.report(**linked, matched=int((parents > 0).sum()), moving=int((moving > 0).sum()), unmatched=rest.size)
$python$;

COMMENT ON FUNCTION hven.associate_sources(bigint, bigint[], jsonb) IS
'Associates the staged Sources of a Visit with Objects by position alone, one to one, in the caller''s transaction; it makes no Objects: those without keep object_id NULL. Returns counts and the milliseconds of each step; VN020, VN021 and VN023 leave all as it was.';
