-- Bulk association: the staged Sources of all Visits find their Objects, and are written once, in the order of the sky.
-- minimum revision: science_0001
-- databases: release
-- requires: time association/columns
-- execute: hven_worker hven_release_admin hven_operator

CREATE OR REPLACE FUNCTION hven.open_sources()
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET maintenance_work_mem = '1GB'
AS $$
DECLARE
    fault text;
BEGIN
    SELECT string_agg(format('job %s: %s rows staged, %s reported', job_id, coalesce(s.rows, 0), coalesce(r.rows::text, 'none')),
                      '; ' ORDER BY job_id)
    INTO fault
    FROM (SELECT x.job_id, count(*) AS rows, bit_xor(x.source_id) AS xor_id, bit_xor(x.healpix29) AS xor_healpix29
          FROM staging.source x GROUP BY 1) s
    FULL JOIN (SELECT j.job_id, (t.said ->> 'rows')::bigint AS rows, coalesce((t.said ->> 'xor_id')::bigint, 0) AS xor_id,
                      coalesce((t.said ->> 'xor_healpix29')::bigint, 0) AS xor_healpix29
               FROM queue.job j CROSS JOIN LATERAL (SELECT j.result -> 'staging.source' AS said) t
               WHERE j.state = 'done' AND t.said IS NOT NULL) r USING (job_id)
    WHERE coalesce(s.rows, 0) IS DISTINCT FROM r.rows
       OR coalesce(s.xor_id, 0) <> r.xor_id OR coalesce(s.xor_healpix29, 0) <> r.xor_healpix29;
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'VN021', MESSAGE = 'open_sources: ' || fault,
            HINT = 'Equal numbers mean that other rows are there. Drop the release and build it again.';
    END IF;
    CREATE INDEX IF NOT EXISTS source_healpix29_idx ON staging.source (healpix29);
    ANALYZE staging.source (healpix29);
END
$$;

COMMENT ON FUNCTION hven.open_sources() IS
'Checks that the staged Sources are what the jobs reported (else VN021), and lets them be read by place.';


CREATE OR REPLACE FUNCTION hven.pieces_of_sources(part integer, size integer, OUT cells bytea)
LANGUAGE sql STABLE
AS $$
    SELECT string_agg(int8send(first), '' ORDER BY first)
    FROM (SELECT min(cell) AS first
          FROM (SELECT healpix29 >> 36 AS cell, (sum(count(*)) OVER (ORDER BY healpix29 >> 36) - 1)::bigint / size AS piece
                FROM staging.source WHERE healpix29 >= part::bigint << 58 AND healpix29 < part + 1::bigint << 58
                GROUP BY 1) c
          GROUP BY piece) p
$$;

COMMENT ON FUNCTION hven.pieces_of_sources(integer, integer) IS
'The first pixels, of order 11, of pieces of a base pixel that hold about so many staged Sources each, as big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.sources_between(
    lowest bigint[], highest bigint[], OUT ids bytea, OUT healpix29 bytea, OUT ra bytea, OUT "dec" bytea,
    OUT ra_err bytea, OUT dec_err bytea, OUT ra_dec_cov bytea)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET work_mem = '256MB'
AS $$
BEGIN
    SELECT string_agg(int8send(s.source_id), ''), string_agg(int8send(s.healpix29), ''), string_agg(float8send(s.ra), ''),
           string_agg(float8send(s.dec), ''), string_agg(float4send(coalesce(s.ra_err, 'NaN')), ''),
           string_agg(float4send(coalesce(s.dec_err, 'NaN')), ''), string_agg(float4send(coalesce(s.ra_dec_cov, 'NaN')), '')
    INTO ids, healpix29, ra, "dec", ra_err, dec_err, ra_dec_cov
    FROM (SELECT x.source_id, x.healpix29, x.ra, x.dec, x.ra_err, x.dec_err, x.ra_dec_cov
          FROM (SELECT unnest(lowest) AS lowest, unnest(highest) AS highest) r CROSS JOIN LATERAL (
              SELECT * FROM staging.source t WHERE t.healpix29 >= r.lowest AND t.healpix29 <= r.highest OFFSET 0) x
          ORDER BY x.healpix29, x.source_id) s;
END
$$;

COMMENT ON FUNCTION hven.sources_between(bigint[], bigint[]) IS
'The staged Sources in disjoint ranges of healpix29, by place and then by id, as columns of big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.objects_between(
    lowest bigint[], highest bigint[], OUT ids bytea, OUT healpix29 bytea, OUT ra bytea, OUT "dec" bytea,
    OUT ra_err bytea, OUT dec_err bytea, OUT ra_dec_cov bytea)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $$
BEGIN
    SELECT string_agg(int8send(o.object_id), ''), string_agg(int8send(o.healpix29), ''), string_agg(float8send(o.mean_ra), ''),
           string_agg(float8send(o.mean_dec), ''), string_agg(float4send(coalesce(o.ra_err, 'NaN')), ''),
           string_agg(float4send(coalesce(o.dec_err, 'NaN')), ''), string_agg(float4send(coalesce(o.ra_dec_cov, 'NaN')), '')
    INTO ids, healpix29, ra, "dec", ra_err, dec_err, ra_dec_cov
    FROM (SELECT unnest(lowest) AS lowest, unnest(highest) AS highest) r CROSS JOIN LATERAL (
        SELECT * FROM :catalogue.object x WHERE x.healpix29 >= r.lowest AND x.healpix29 <= r.highest OFFSET 0) o
    WHERE o.time_withdrawn IS NULL;
END
$$;

COMMENT ON FUNCTION hven.objects_between(bigint[], bigint[]) IS
'The Objects whose indexed place lies in disjoint ranges of healpix29, as columns of big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.write_sources(part integer, lowest bigint[], highest bigint[], objects bigint[], OUT sources bigint)
LANGUAGE plpgsql
SET enable_seqscan = off
SET work_mem = '512MB'
AS $$
DECLARE
    columns CONSTANT text := hven.common_columns('staging.source', ':catalogue.source');
BEGIN
    -- Straight into the partition: to find it row by row costs a quarter of the whole.
    -- An Object's id holds its pixel of order 25: 41 bits further up, that of order 6.
    EXECUTE format('
        INSERT INTO :catalogue.%I (%s, object_id, time_processed, tile)
        SELECT s.%s, nullif(s.parent, 0), $4, CASE WHEN s.parent > 0 THEN s.parent >> 41 & 65535 ELSE s.healpix29 >> 46 END
        FROM (SELECT x.*, ($3)[row_number() OVER (ORDER BY x.healpix29, x.source_id)] AS parent
              FROM (SELECT unnest($1) AS lowest, unnest($2) AS highest) r CROSS JOIN LATERAL (
                  SELECT * FROM staging.source t WHERE t.healpix29 >= r.lowest AND t.healpix29 <= r.highest OFFSET 0) x) s
        WHERE s.parent >= 0', 'source_' || to_char(part, 'FM00'), columns, replace(columns, ', ', ', s.'))
    USING lowest, highest, objects, hven.tai_mjd(clock_timestamp());
    GET DIAGNOSTICS sources = ROW_COUNT;
END
$$;

COMMENT ON FUNCTION hven.write_sources(integer, bigint[], bigint[], bigint[]) IS
'Writes into a partition, 0 to 11, the staged Sources in disjoint ranges of healpix29 with the Objects given, by place and then by id: 0 = none; those with -1 are left out.';


CREATE OR REPLACE FUNCTION hven.fill_sources(part integer, parameters jsonb DEFAULT '{}', piece integer DEFAULT 500000)
RETURNS jsonb
LANGUAGE plpython3u SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $python$
-- include: steps.py
-- include: sky/healpix.py
-- include: sky/cover.py
-- include: plane.py
-- include: refused.py
-- include: association/parameters.py
-- include: association/near.py
-- include: association/gains.py
-- include: association/assign.py
-- include: association/pieces.py
call, kinds, pair, written, known = Steps(plpy, SD), "88ffeee", "(bigint[], bigint[])", 0, 0
try:
    p = Parameters.of(parameters)
except RefusedError as refused:
    plpy.error(f"fill_sources: {refused}", hint=refused.remedy, sqlstate=refused.code)
starts = call.arrays("pieces_of_sources(integer, integer)", "8", part, piece)[0][1:]
bounds = np.concatenate([[part << 2 * CELL], starts, [part + 1 << 2 * CELL]])
for first, beyond in zip(bounds[:-1], bounds[1:]):
    inside = spans(first, beyond)
    mine = Rows.of(call.arrays("sources_between" + pair, kinds, *inside), p, p.floor_arcsec)
    here = Rows.of(call.arrays("objects_between" + pair, kinds, *inside), p, 0.0)
    rings, needed = 0, 1
    while rings < needed:
        rings, outside = needed, around(np.append(mine.healpix29, here.healpix29), needed, first, beyond)
        sources = mine + Rows.of(call.arrays("sources_between" + pair, kinds, *outside), p, p.floor_arcsec)
        objects = here + Rows.of(call.arrays("objects_between" + pair, kinds, *outside), p, 0.0)
        partner, largest = call.lap("match", matches(sources, objects, p))
        needed = rings_for(largest, p)
    parents = own(sources, objects, partner, first, beyond)
    for span, ids in zip((inside, outside), np.split(parents, [mine.ids.size])):
        written += call("write_sources(integer, bigint[], bigint[], bigint[])", part, *span, ids)["sources"]
    known += int((parents > 0).sum())
return call.report(sources=written, matched=known)
$python$;

COMMENT ON FUNCTION hven.fill_sources(integer, jsonb, integer) IS
'Writes the Sources of a base pixel, 0 to 11, from what is staged of all Visits, each with its Object as associate_sources finds it, tile by tile in the order of the sky; those are its Sources whose Object, or else whose own place, lies there. Only Objects count that are there; MovingObjects do not. piece: how many are held in memory at a time.';


CREATE OR REPLACE FUNCTION hven.close_sources()
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    staged CONSTANT bigint := (SELECT coalesce(sum((result -> 'staging.source' ->> 'rows')::bigint), 0) FROM queue.job WHERE state = 'done');
    written CONSTANT bigint := (SELECT count(*) FROM :catalogue.source);
BEGIN
    IF staged <> written THEN
        RAISE EXCEPTION USING ERRCODE = 'VN021',
            MESSAGE = format('close_sources: %s Sources were staged, %s are in the catalogue', staged, written),
            HINT = 'A partition was not filled, or twice. Drop the release and build it again.';
    END IF;
    DROP INDEX staging.source_healpix29_idx;
    TRUNCATE staging.source;
    RETURN written;
END
$$;

COMMENT ON FUNCTION hven.close_sources() IS
'Ends the bulk association: clears what was staged, if all of it is in the catalogue (else VN021); returns how many.';
