-- Association: what is written, set by set. DiaSources of a pass are those of a range of ids with its time_processed.
-- minimum revision: science_0008
-- databases: level1
-- requires: summaries points association/columns
-- execute: hven_worker hven_operator

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
    DELETE FROM staging.dia_source WHERE visit_id = visit;
    columns := hven.common_columns('staging.dia_source_snap', ':catalogue.dia_source_snap');
    EXECUTE format('INSERT INTO :catalogue.dia_source_snap (%1$s) SELECT %1$s FROM staging.dia_source_snap
                    WHERE visit_id = $1 ORDER BY dia_source_id, snap', columns) USING visit;
    DELETE FROM staging.dia_source_snap WHERE visit_id = visit;
    columns := hven.common_columns('staging.forced_dia_source', ':catalogue.forced_dia_source');
    EXECUTE format('INSERT INTO :catalogue.forced_dia_source (%1$s, time_processed) SELECT %1$s, $2
                    FROM staging.forced_dia_source WHERE visit_id = $1 ORDER BY forced_dia_source_id', columns)
    USING visit, processed;
    DELETE FROM staging.forced_dia_source WHERE visit_id = visit;
END
$$;

COMMENT ON FUNCTION hven.association_link(bigint, float8, bigint[], bigint[], bigint[]) IS
'Moves what is staged of a Visit into the catalogue: DiaSources with their Objects and MovingObjects (0 = none; those without either are rejected), their Snaps, forced measurements.';


CREATE OR REPLACE FUNCTION hven.association_new_objects(first bigint, last bigint, processed float8, ids bigint[], new bigint[])
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    -- The fences: DiaSources are looked up one by one, and apart from the loops over one row, which would hide what that costs.
    WITH found AS MATERIALIZED (
        SELECT n.object_id, d.*
        FROM unnest(ids, new) AS n (dia_source_id, object_id) CROSS JOIN LATERAL (
            SELECT x.ra, x.dec, x.healpix29, x.ra_err, x.dec_err, x.ra_dec_cov, x.midpoint_tai
            FROM :catalogue.dia_source x
            WHERE x.dia_source_id = n.dia_source_id AND x.dia_source_id BETWEEN first AND last OFFSET 0) d
    )
    INSERT INTO :catalogue.object (
        object_id, ra, dec, healpix29, mean_ra, mean_dec, ra_err, dec_err, ra_dec_cov, weight_xx, weight_yy, weight_xy,
        prior_weight, weighted_x, weighted_y, dia_sources, first_tai, last_tai, time_processed)
    SELECT d.object_id, d.ra, d.dec, d.healpix29, m.*, w.xx, w.yy, w.xy, 0, 0, 0, 1, d.midpoint_tai,
           d.midpoint_tai, processed
    FROM found d
    CROSS JOIN LATERAL hven.position_weight(d.ra, d.dec, d.ra_err, d.dec_err, d.ra_dec_cov, d.ra, d.dec) w
    CROSS JOIN LATERAL hven.mean_position(d.ra, d.dec, w.xx, w.yy, w.xy, 0, 0) m
    ORDER BY d.object_id;
END
$$;

COMMENT ON FUNCTION hven.association_new_objects(bigint, bigint, float8, bigint[], bigint[]) IS
'Makes the Objects that a pass discovered, at the places of their DiaSources, whose ids are given.';


CREATE OR REPLACE FUNCTION hven.association_name_ties(fresh bigint[], others bigint[])
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    UPDATE :catalogue.object o SET name_tie = n.tie
    FROM (SELECT c.object_id, c.is_fresh,
                 coalesce(max(c.name_tie) FILTER (WHERE NOT c.is_fresh) OVER cell, -1)
                 + row_number() OVER (PARTITION BY c.east, c.is_south, c.north, c.is_fresh ORDER BY c.object_id) AS tie
          FROM (SELECT x.object_id, x.name_tie, u.is_fresh, floor(x.ra * 24000) AS east, x.dec < 0 AS is_south,
                       floor(abs(x.dec) * 36000) AS north
                FROM (SELECT unnest(fresh) AS object_id, true AS is_fresh UNION ALL SELECT unnest(others), false) u
                JOIN :catalogue.object x USING (object_id)) c
          WINDOW cell AS (PARTITION BY c.east, c.is_south, c.north)) n
    WHERE o.object_id = n.object_id AND n.is_fresh AND n.tie > 0;
END
$$;

COMMENT ON FUNCTION hven.association_name_ties(bigint[], bigint[]) IS
'Gives new Objects whose truncated names coincide with others'', or among themselves, the places after those that are taken; ties are in the order of discovery, then of ids.';


CREATE OR REPLACE FUNCTION hven.prior_weight(known real, ra_err real, dec_err real)
RETURNS real
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(known, CASE WHEN ra_err > 0 AND dec_err > 0 THEN 2 / (ra_err::float8 * ra_err + dec_err::float8 * dec_err) ELSE 25 END);

COMMENT ON FUNCTION hven.prior_weight(real, real, real) IS
'Weight [arcsec⁻²] of an Object''s indexed position: the known one, else that of its errors [arcsec], which count as 0.2″ where missing.';


CREATE OR REPLACE FUNCTION hven.association_sum_positions(first bigint, last bigint, processed float8, OUT matched bigint)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    moved bigint[];
BEGIN
    WITH updated AS (
        UPDATE :catalogue.object o
        SET (mean_ra, mean_dec, ra_err, dec_err, ra_dec_cov, weight_xx, weight_yy, weight_xy, weighted_x, weighted_y) = (
                SELECT m.*, s.*
                FROM (SELECT coalesce(o.weight_xx, p.prior) + w.xx AS xx, coalesce(o.weight_yy, p.prior) + w.yy AS yy,
                             coalesce(o.weight_xy, 0) + w.xy AS xy,
                             coalesce(o.weighted_x, 0) + (w.xx * w.x + w.xy * w.y) AS x,
                             coalesce(o.weighted_y, 0) + (w.yy * w.y + w.xy * w.x) AS y
                      FROM (SELECT hven.prior_weight(o.prior_weight, o.ra_err, o.dec_err)::float8 AS prior OFFSET 0) p
                      CROSS JOIN hven.position_weight(d.ra, d.dec, d.ra_err, d.dec_err, d.ra_dec_cov, o.ra, o.dec) w
                      OFFSET 0) s
                CROSS JOIN LATERAL hven.mean_position(o.ra, o.dec, s.xx, s.yy, s.xy, s.x, s.y) m),
            prior_weight = hven.prior_weight(o.prior_weight, o.ra_err, o.dec_err),
            dia_sources = o.dia_sources + 1, time_withdrawn = NULL,
            first_tai = least(o.first_tai, d.midpoint_tai), last_tai = greatest(o.last_tai, d.midpoint_tai)
        FROM :catalogue.dia_source d
        WHERE d.dia_source_id BETWEEN first AND last AND d.time_processed = processed
          AND o.object_id = d.object_id AND o.time_processed IS DISTINCT FROM processed
        RETURNING o.object_id, hven.sky_haversine(o.ra, o.dec, o.mean_ra, o.mean_dec)
                               > sin(radians(hven.drift_arcsec() / 7200)) ^ 2::float8 AS is_beyond
    )
    SELECT count(*), array_agg(object_id) FILTER (WHERE is_beyond) INTO matched, moved FROM updated;
    IF moved IS NOT NULL THEN
        PERFORM hven.mark_moved(moved);
    END IF;
END
$$;

COMMENT ON FUNCTION hven.association_sum_positions(bigint, bigint, float8) IS
'Adds the DiaSources of a pass to the Objects that were there before it; returns how many.';


CREATE OR REPLACE FUNCTION hven.association_fluxes(
    first bigint, last bigint, processed float8, OUT ids bytea, OUT filters bytea, OUT tai bytea, OUT fluxes bytea, OUT errors bytea)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    SELECT string_agg(int8send(d.object_id), ''), string_agg(int8send(d.filter_id), ''), string_agg(float8send(d.midpoint_tai), ''),
           string_agg(float4send(d.psf_flux), ''), string_agg(float4send(d.psf_flux_err), '')
    INTO ids, filters, tai, fluxes, errors
    FROM (SELECT x.object_id, x.filter_id, x.midpoint_tai, x.psf_flux, x.psf_flux_err
          FROM :catalogue.dia_source x
          WHERE x.dia_source_id BETWEEN first AND last AND x.time_processed = processed
            AND x.object_id IS NOT NULL AND x.psf_flux IS NOT NULL AND x.psf_flux_err > 0
          ORDER BY x.dia_source_id) d;
END
$$;

COMMENT ON FUNCTION hven.association_fluxes(bigint, bigint, float8) IS
'The fluxes of a pass with their Objects, in the order of the DiaSources'' ids, as columns of big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.association_sum_fluxes(first bigint, last bigint, processed float8, scores real[])
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    -- Not an upsert: that locks each row before it writes it.
    WITH seen AS MATERIALIZED (
        SELECT d.object_id, d.filter_id, d.midpoint_tai, d.psf_flux, d.psf_flux_err, 1 / d.psf_flux_err::float8 ^ 2 AS weight,
               row_number() OVER (ORDER BY d.dia_source_id)::integer AS number
        FROM :catalogue.dia_source d
        WHERE d.dia_source_id BETWEEN first AND last AND d.time_processed = processed
          AND d.object_id IS NOT NULL AND d.psf_flux IS NOT NULL AND d.psf_flux_err > 0
    ), updated AS (
        UPDATE :catalogue.object_flux f
        SET stetson_j = nullif(scores[d.number], 'NaN'), dia_sources = f.dia_sources + 1,
            min_flux = least(f.min_flux, d.psf_flux), max_flux = greatest(f.max_flux, d.psf_flux),
            amplitude = (greatest(f.max_flux, d.psf_flux) - least(f.min_flux, d.psf_flux)) / 2,
            first_tai = least(f.first_tai, d.midpoint_tai), last_tai = greatest(f.last_tai, d.midpoint_tai),
            (dia_flux_origin, sum_weight, sum_weight_flux, sum_weight_flux2, sum_flux, sum_flux2,
             mean_dia_flux, mean_dia_flux_err, variance, chi2) = (
                SELECT s.*, a.*
                FROM (SELECT x.origin, coalesce(f.sum_weight, 0) + d.weight AS w,
                             coalesce(f.sum_weight_flux, 0) + d.weight * x.flux AS wf,
                             coalesce(f.sum_weight_flux2, 0) + d.weight * x.flux * x.flux AS wf2,
                             coalesce(f.sum_flux, 0) + x.flux AS f, coalesce(f.sum_flux2, 0) + x.flux * x.flux AS f2
                      FROM (SELECT coalesce(f.dia_flux_origin, d.psf_flux) AS origin,
                                   d.psf_flux::float8 - coalesce(f.dia_flux_origin, d.psf_flux) AS flux
                            OFFSET 0) x OFFSET 0) s
                CROSS JOIN LATERAL hven.flux_summary(f.dia_sources + 1, s.origin, s.w, s.wf, s.wf2, s.f, s.f2) a)
        FROM seen d
        WHERE f.object_id = d.object_id AND f.filter_id = d.filter_id
        RETURNING f.object_id
    )
    INSERT INTO :catalogue.object_flux (
        object_id, filter_id, dia_sources, dia_flux_origin, min_flux, max_flux, amplitude, first_tai, last_tai,
        sum_weight, sum_weight_flux, sum_weight_flux2, sum_flux, sum_flux2, mean_dia_flux, mean_dia_flux_err, chi2)
    SELECT d.object_id, d.filter_id, 1, d.psf_flux, d.psf_flux, d.psf_flux, 0, d.midpoint_tai, d.midpoint_tai,
           d.weight, 0, 0, 0, 0, d.psf_flux, d.psf_flux_err, 0
    FROM seen d
    WHERE d.object_id NOT IN (SELECT object_id FROM updated)  -- by a hash, where an anti-join would be a nested loop
    ORDER BY d.object_id;
END
$$;

COMMENT ON FUNCTION hven.association_sum_fluxes(bigint, bigint, float8, real[]) IS
'Adds the fluxes of a pass to the sums and statistics of their Objects in its filter, with Stetson''s J in the order of association_fluxes, NaN where it is unknown.';


CREATE OR REPLACE FUNCTION hven.association_variability(
    object_ids bigint[], points bytea, welch_stetson_i real[], pair_counts integer[])
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    UPDATE :catalogue.object_variability v
    SET welch_stetson_i = CASE WHEN n.pairs > 0 THEN n.i END, pairs = nullif(n.pairs, 0),
        points = v.points || substr(association_variability.points, 18 * n.number::integer - 17, 18)
    FROM unnest(object_ids, association_variability.welch_stetson_i, pair_counts) WITH ORDINALITY AS n (object_id, i, pairs, number)
    WHERE v.object_id = n.object_id;
END
$$;

COMMENT ON FUNCTION hven.association_variability(bigint[], bytea, real[], integer[]) IS
'Adds a point to the light curve that is kept with each of some Objects, with Welch and Stetson''s I; 0 pairs where it is unknown.';


CREATE OR REPLACE FUNCTION hven.association_close(
    visit bigint, processed float8, freed bigint[], dia_sources integer, digest bigint, OUT pass smallint, OUT withdrawn_objects bigint)
LANGUAGE plpgsql
AS $$
BEGIN
    withdrawn_objects := hven.association_orphans(processed, freed);
    SELECT count(*) + 1 INTO pass FROM :catalogue.order_log l WHERE l.visit_id = visit;
    INSERT INTO :catalogue.order_log (visit_id, pass, dia_sources, digest, detectors)
    SELECT visit, association_close.pass, association_close.dia_sources, association_close.digest,
           ARRAY(SELECT DISTINCT e.detector_id FROM :catalogue.exposure e
                 WHERE e.visit_id = visit AND (e.kind = 'difference' OR e.kind = 'raw' AND e.condition IS NOT NULL)
                   AND NOT EXISTS (SELECT FROM :catalogue.order_log l
                                   WHERE l.visit_id = visit AND e.detector_id = ANY (l.detectors))
                 ORDER BY e.detector_id);
    UPDATE :catalogue.visit v SET state = 'associated' WHERE v.visit_id = visit AND v.state IN ('arriving', 'ready');
END
$$;

COMMENT ON FUNCTION hven.association_close(bigint, float8, bigint[], integer, bigint) IS
'Withdraws Objects that a pass left without DiaSource, and enters the pass into the order log, with the xor of its links'' digests: of each, the DiaSource''s id xor its Object''s or MovingObject''s.';
