-- Association: what is read of detections, predictions and Objects, as columns of bytes that numpy takes over.
-- minimum revision: science_0001
-- databases: level1 release
-- execute: hven_worker hven_release_admin hven_operator

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
    FROM (SELECT x.dia_source_id, x.ra, x.dec, x.ra_err, x.dec_err, x.ra_dec_cov, x.extendedness, x.healpix29, x.psf_flux, x.is_trail,
                 x.pixel_flag_streak, x.reliability
          FROM staging.dia_source x WHERE x.visit_id = visit ORDER BY x.dia_source_id) s;
END
$$;

COMMENT ON FUNCTION hven.association_detections(bigint) IS
'The staged DiaSources of a Visit by id, as columns of big-endian bytes; reliability is -1 for trails and streaks.';


CREATE OR REPLACE FUNCTION hven.association_candidates(
    lowest bigint[], highest bigint[], tiles bigint[], OUT "range" bytea, OUT ids bytea, OUT ra bytea, OUT "dec" bytea,
    OUT ra_err bytea, OUT dec_err bytea, OUT ra_dec_cov bytea, OUT extendedness bytea, OUT ixx bytea, OUT iyy bytea,
    OUT ixy bytea, OUT dia_sources bytea)
LANGUAGE plpgsql STABLE
-- Some ten thousand short scans of the index: any other plan reads the whole table.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    SELECT string_agg(int4send(f.number), ''), string_agg(int8send(f.object_id), ''),
           string_agg(float8send(f.mean_ra), ''), string_agg(float8send(f.mean_dec), ''),
           string_agg(float4send(coalesce(f.ra_err, 'NaN')), ''), string_agg(float4send(coalesce(f.dec_err, 'NaN')), ''),
           string_agg(float4send(coalesce(f.ra_dec_cov, 'NaN')), ''),
           string_agg(float4send(coalesce(f.extendedness, 'NaN')), ''),
           string_agg(float4send(coalesce(f.ixx, 'NaN')), ''), string_agg(float4send(coalesce(f.iyy, 'NaN')), ''),
           string_agg(float4send(coalesce(f.ixy, 'NaN')), ''),
           string_agg(int4send(CASE WHEN f.time_withdrawn IS NULL THEN f.dia_sources ELSE -1 END), '')
    INTO "range", ids, ra, "dec", ra_err, dec_err, ra_dec_cov, extendedness, ixx, iyy, ixy, dia_sources
    FROM (
        SELECT r.number, o.*
        FROM (SELECT unnest(lowest) AS lowest, unnest(highest) AS highest, generate_series(0, cardinality(lowest) - 1) AS number) r
        JOIN :catalogue.object o ON o.healpix29 >= r.lowest AND o.healpix29 <= r.highest
        UNION ALL
        SELECT -1, o.* FROM unnest(tiles) AS t (tile)
        JOIN :catalogue.object_moved m ON m.healpix29 >= t.tile << 46 AND m.healpix29 < (t.tile + 1) << 46
        JOIN :catalogue.object o USING (object_id)
    ) f;
END
$$;

COMMENT ON FUNCTION hven.association_candidates(bigint[], bigint[], bigint[]) IS
'The Objects whose indexed place lies in ranges of healpix29, with the number of the range from 0, and those of object_moved in order-6 pixels, with -1, as columns of big-endian bytes. dia_sources is -1 for Objects that are withdrawn.';


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
