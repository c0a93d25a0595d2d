-- What an Object's row and its fluxes sum up of its DiaSources: the arithmetic of one step, and all of it anew.
-- minimum revision: science_0008
-- databases: level1
-- requires: time sky/separation sky/healpix points
-- execute: hven_worker hven_operator

CREATE OR REPLACE FUNCTION hven.position_weight(
    ra float8, "dec" float8, ra_err real, dec_err real, ra_dec_cov real, ra0 float8, dec0 float8)
RETURNS TABLE (x float8, y float8, xx float8, yy float8, xy float8)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
-- OFFSET 0 keeps the planner from putting each expression in wherever it is used. 0.04 = (0.2″)². a, b: the parts of
-- half the angle by which the position's axes are turned; 206264.8… = arcsec per radian.
AS $$
    SELECT w.x, w.y, (w.cxx * w.sin * w.sin + 2 * w.cxy * w.sin * w.cos + w.cyy * w.cos * w.cos) / w.determinant,
           (w.cxx * w.cos * w.cos - 2 * w.cxy * w.sin * w.cos + w.cyy * w.sin * w.sin) / w.determinant,
           ((w.cyy - w.cxx) * w.sin * w.cos + w.cxy * (w.sin * w.sin - w.cos * w.cos)) / w.determinant
    FROM (SELECT 206264.80624709636 * 2 * t.cos_d * t.half * sqrt(1 - t.half * t.half) / (t.cos_n - t.cos_c * t.bulge) AS x,
                 206264.80624709636 * (t.sin_n + t.sin_c * t.bulge) / (t.cos_n - t.cos_c * t.bulge) AS y,
                 2 * t.a * t.b / (t.a * t.a + t.b * t.b) AS sin, (t.b * t.b - t.a * t.a) / (t.a * t.a + t.b * t.b) AS cos,
                 t.cxx, t.cyy, CASE WHEN t.cxx * t.cyy > t.cxy * t.cxy THEN t.cxy ELSE 0 END AS cxy,
                 t.cxx * t.cyy - CASE WHEN t.cxx * t.cyy > t.cxy * t.cxy THEN t.cxy * t.cxy ELSE 0 END AS determinant
          FROM (SELECT s.half, s.cos_d, s.cos_c, s.sin_c, s.sin_n, s.cos_n, s.cxx, s.cyy, s.cxy,
                       2 * s.cos_d * s.half * s.half AS bulge,
                       s.half * sin(radians(($2 + $7) / 2)) AS a, sqrt(1 - s.half * s.half) * cos(radians(($2 - $7) / 2)) AS b
                FROM (SELECT sin(radians($1 - $6 - 360 * round(($1 - $6) / 360)) / 2) AS half, cos(radians($2)) AS cos_d,
                             cos(radians($7)) AS cos_c, sin(radians($7)) AS sin_c, sin(radians($2 - $7)) AS sin_n,
                             cos(radians($2 - $7)) AS cos_n,
                             CASE WHEN $3 > 0 AND $4 > 0 THEN $3::float8 * $3 ELSE 0.04 END AS cxx,
                             CASE WHEN $3 > 0 AND $4 > 0 THEN $4::float8 * $4 ELSE 0.04 END AS cyy,
                             CASE WHEN $3 > 0 AND $4 > 0 THEN coalesce($5, 0)::float8 ELSE 0 END AS cxy OFFSET 0) s
                OFFSET 0) t
          OFFSET 0) w
$$;

COMMENT ON FUNCTION hven.position_weight(float8, float8, real, real, real, float8, float8) IS
'Offset x, y [arcsec, east, north] of a position [deg] in the tangent plane at (ra0, dec0), and the inverse xx, yy, xy [arcsec⁻²] of its covariance there; errors [arcsec] that are missing count as 0.2″.';


CREATE OR REPLACE FUNCTION hven.mean_position(
    ra0 float8, dec0 float8, xx float8, yy float8, xy float8, weighted_x float8, weighted_y float8)
RETURNS TABLE (mean_ra float8, mean_dec float8, ra_err real, dec_err real, ra_dec_cov real)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
AS $$
    SELECT CASE WHEN p.ra >= 360 THEN p.ra - 360 WHEN p.ra + 360 >= 360 THEN greatest(p.ra, 0 * p.ra) ELSE p.ra + 360 END,
           p."dec", sqrt($4 / p.determinant)::real, sqrt($3 / p.determinant)::real, (-$5 / p.determinant)::real
    FROM (SELECT $1 + degrees(atan2(n.x, n.cos_c - n.y * n.sin_c)) AS ra,
                 degrees(atan2(n.sin_c + n.y * n.cos_c,
                               sqrt(n.x * n.x + (n.cos_c - n.y * n.sin_c) * (n.cos_c - n.y * n.sin_c)))) AS "dec", n.determinant
          FROM (SELECT i.determinant, ($4 * $6 - $5 * $7) / i.determinant / 206264.80624709636 AS x,
                       ($3 * $7 - $5 * $6) / i.determinant / 206264.80624709636 AS y,
                       cos(radians($2)) AS cos_c, sin(radians($2)) AS sin_c
                FROM (SELECT $3 * $4 - $5 * $5 AS determinant OFFSET 0) i OFFSET 0) n
          OFFSET 0) p
$$;

COMMENT ON FUNCTION hven.mean_position(float8, float8, float8, float8, float8, float8, float8) IS
'Weighted mean position [deg] and its errors [arcsec] of sums about (ra0, dec0): inverse covariances xx, yy, xy [arcsec⁻²], and weights times offsets [arcsec⁻¹].';


CREATE OR REPLACE FUNCTION hven.flux_summary(
    fluxes integer, origin real, sum_weight float8, sum_weight_flux float8, sum_weight_flux2 float8, sum_flux float8, sum_flux2 float8)
RETURNS TABLE (mean_flux real, mean_flux_err real, variance real, chi2 real)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
AS $$
    SELECT ($2 + $4 / $3)::real, (1 / sqrt($3))::real, (greatest($7 - $6 * $6 / $1, 0) / nullif($1 - 1, 0))::real,
           greatest($5 - $4 * $4 / $3, 0)::real
$$;

COMMENT ON FUNCTION hven.flux_summary(integer, real, float8, float8, float8, float8, float8) IS
'Weighted mean and its error, unweighted variance (NULL for one flux) and chi squared about the weighted mean, of sums about a flux.';


CREATE OR REPLACE FUNCTION hven.sum_positions(object_ids bigint[])
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    WITH sums AS MATERIALIZED (
        SELECT o.object_id, s.*
        FROM unnest(object_ids) AS wanted (object_id)
        JOIN :catalogue.object o USING (object_id)
        CROSS JOIN LATERAL (
            SELECT count(*) AS rows, min(d.midpoint_tai) AS first, max(d.midpoint_tai) AS last,
                   coalesce(o.prior_weight, 0) + sum(w.xx ORDER BY d.dia_source_id) AS xx,
                   coalesce(o.prior_weight, 0) + sum(w.yy ORDER BY d.dia_source_id) AS yy,
                   sum(w.xy ORDER BY d.dia_source_id) AS xy,
                   sum(w.xx * w.x + w.xy * w.y ORDER BY d.dia_source_id) AS x,
                   sum(w.yy * w.y + w.xy * w.x ORDER BY d.dia_source_id) AS y
            FROM :catalogue.dia_source d
            CROSS JOIN LATERAL hven.position_weight(d.ra, d.dec, d.ra_err, d.dec_err, d.ra_dec_cov, o.ra, o.dec) w
            WHERE d.object_id = o.object_id AND d.time_withdrawn IS NULL
        ) s
    )
    UPDATE :catalogue.object o
    SET (mean_ra, mean_dec, ra_err, dec_err, ra_dec_cov) = (
            SELECT coalesce(m.mean_ra, o.ra), coalesce(m.mean_dec, o.dec),
                   coalesce(m.ra_err, 1 / sqrt(nullif(o.prior_weight, 0))), coalesce(m.dec_err, 1 / sqrt(nullif(o.prior_weight, 0))),
                   coalesce(m.ra_dec_cov, 0 * nullif(o.prior_weight, 0))
            FROM hven.mean_position(o.ra, o.dec, s.xx, s.yy, s.xy, s.x, s.y) m),
        weight_xx = s.xx, weight_yy = s.yy, weight_xy = s.xy, weighted_x = s.x, weighted_y = s.y,
        dia_sources = s.rows, first_tai = s.first, last_tai = s.last
    FROM sums s
    WHERE o.object_id = s.object_id AND (s.rows > 0 OR o.prior_weight IS NOT NULL);
    PERFORM hven.mark_moved(object_ids);
END
$$;

COMMENT ON FUNCTION hven.sum_positions(bigint[]) IS
'Makes count, times, mean position and its sums of Objects anew from their DiaSources that hold, in the order of ids. One without DiaSources returns to its indexed place.';


CREATE OR REPLACE FUNCTION hven.drift_arcsec()
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 0.3::float8;

COMMENT ON FUNCTION hven.drift_arcsec() IS
'How far a mean position may lie from the indexed one before the Object is indexed a second time, in object_moved.';


CREATE OR REPLACE FUNCTION hven.mark_moved(object_ids bigint[])
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    DELETE FROM :catalogue.object_moved m USING :catalogue.object o
    WHERE m.object_id = ANY (object_ids) AND o.object_id = m.object_id
      AND hven.sky_separation_arcsec(o.ra, o.dec, o.mean_ra, o.mean_dec) <= hven.drift_arcsec();
    INSERT INTO :catalogue.object_moved AS m (object_id, healpix29)
    SELECT o.object_id, hven.healpix29(o.mean_ra, o.mean_dec)
    FROM unnest(object_ids) AS wanted (object_id) JOIN :catalogue.object o USING (object_id)
    WHERE hven.sky_separation_arcsec(o.ra, o.dec, o.mean_ra, o.mean_dec) > hven.drift_arcsec()
    ON CONFLICT (object_id) DO UPDATE SET healpix29 = excluded.healpix29;
END
$$;

COMMENT ON FUNCTION hven.mark_moved(bigint[]) IS
'Keeps object_moved complete: those of the Objects given whose mean position is beyond the drift stand there, indexed at it.';


CREATE OR REPLACE FUNCTION hven.sum_fluxes(object_ids bigint[])
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    UPDATE :catalogue.object_flux
    SET mean_dia_flux = NULL, mean_dia_flux_err = NULL, dia_sources = 0, dia_flux_origin = NULL, sum_weight = NULL,
        sum_weight_flux = NULL, sum_weight_flux2 = NULL, sum_flux = NULL, sum_flux2 = NULL, variance = NULL, chi2 = NULL,
        stetson_j = NULL, amplitude = NULL, min_flux = NULL, max_flux = NULL, first_tai = NULL, last_tai = NULL
    WHERE object_id = ANY (object_ids);
    UPDATE :catalogue.object_variability SET welch_stetson_i = NULL, pairs = NULL, points = NULL
    WHERE object_id = ANY (object_ids);
    DELETE FROM :catalogue.object_variability WHERE object_id = ANY (object_ids) AND period IS NULL;
    WITH rows AS (
        SELECT d.*, first_value(d.psf_flux) OVER (PARTITION BY d.object_id, d.filter_id ORDER BY d.dia_source_id) AS origin,
               1 / d.psf_flux_err::float8 ^ 2 AS weight
        FROM unnest(object_ids) AS wanted (object_id) JOIN :catalogue.dia_source d USING (object_id)
        WHERE d.time_withdrawn IS NULL AND d.psf_flux_err > 0 AND d.psf_flux IS NOT NULL
    ), sums AS (
        SELECT object_id, filter_id, count(*)::integer AS fluxes, min(origin) AS origin, sum(weight ORDER BY dia_source_id) AS w,
               sum(weight * (psf_flux::float8 - origin) ORDER BY dia_source_id) AS wf,
               sum(weight * (psf_flux::float8 - origin) ^ 2 ORDER BY dia_source_id) AS wf2,
               sum(psf_flux::float8 - origin ORDER BY dia_source_id) AS f,
               sum((psf_flux::float8 - origin) ^ 2 ORDER BY dia_source_id) AS f2,
               min(psf_flux) AS least, max(psf_flux) AS most, min(midpoint_tai) AS first, max(midpoint_tai) AS last
        FROM rows GROUP BY object_id, filter_id
    )
    INSERT INTO :catalogue.object_flux AS o (
        object_id, filter_id, mean_dia_flux, mean_dia_flux_err, variance, chi2, dia_sources, dia_flux_origin, sum_weight,
        sum_weight_flux, sum_weight_flux2, sum_flux, sum_flux2, amplitude, min_flux, max_flux, first_tai, last_tai)
    SELECT s.object_id, s.filter_id, a.*, s.fluxes, s.origin, s.w, s.wf, s.wf2, s.f, s.f2, (s.most - s.least) / 2, s.least, s.most,
           s.first, s.last
    FROM sums s CROSS JOIN LATERAL hven.flux_summary(s.fluxes, s.origin, s.w, s.wf, s.wf2, s.f, s.f2) a
    ON CONFLICT (object_id, filter_id) DO UPDATE
    SET mean_dia_flux = excluded.mean_dia_flux, mean_dia_flux_err = excluded.mean_dia_flux_err, variance = excluded.variance,
        chi2 = excluded.chi2, dia_sources = excluded.dia_sources, dia_flux_origin = excluded.dia_flux_origin,
        sum_weight = excluded.sum_weight, sum_weight_flux = excluded.sum_weight_flux,
        sum_weight_flux2 = excluded.sum_weight_flux2, sum_flux = excluded.sum_flux, sum_flux2 = excluded.sum_flux2,
        amplitude = excluded.amplitude, min_flux = excluded.min_flux, max_flux = excluded.max_flux,
        first_tai = excluded.first_tai, last_tai = excluded.last_tai;
    DELETE FROM :catalogue.object_flux
    WHERE object_id = ANY (object_ids) AND dia_sources = 0 AND mean_flux IS NULL AND coadd_flux IS NULL;
END
$$;

COMMENT ON FUNCTION hven.sum_fluxes(bigint[]) IS
'Makes counts, sums and statistics of the fluxes of Objects anew from their DiaSources that hold, in the order of ids, about each band''s first flux; without Stetson''s J.';


CREATE OR REPLACE FUNCTION hven.set_stetson_j(object_ids bigint[], filters smallint[], scores real[])
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE :catalogue.object_flux f SET stetson_j = v.score
    FROM unnest(object_ids, filters, scores) AS v (object_id, filter_id, score)
    WHERE f.object_id = v.object_id AND f.filter_id = v.filter_id;
END
$$;

COMMENT ON FUNCTION hven.set_stetson_j(bigint[], smallint[], real[]) IS
'Writes Stetson''s J for Objects and filters that have fluxes.';


CREATE OR REPLACE FUNCTION hven.set_welch_stetson_i(object_ids bigint[], welch_stetson_i real[], pair_counts integer[])
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE :catalogue.object_variability o SET welch_stetson_i = v.i, pairs = v.pairs
    FROM unnest(object_ids, set_welch_stetson_i.welch_stetson_i, pair_counts) AS v (object_id, i, pairs)
    WHERE o.object_id = v.object_id;
END
$$;

COMMENT ON FUNCTION hven.set_welch_stetson_i(bigint[], real[], integer[]) IS
'Writes Welch and Stetson''s I and its number of pairs for Objects whose light curves are kept.';


CREATE OR REPLACE FUNCTION hven.recompute_objects(object_ids bigint[])
RETURNS jsonb
LANGUAGE plpython3u
AS $python$
-- include: steps.py
-- include: variability.py
call = Steps(plpy, SD)
call("sum_positions(bigint[])", object_ids)
call("sum_fluxes(bigint[])", object_ids)
curves = LightCurves.of(*kept(call.arrays("keep_points(bigint[], integer, bigint, bigint)", "84p", object_ids, 2, 1, 0)))
call("set_stetson_j(bigint[], smallint[], real[])", *stetson_j(curves))
call("set_welch_stetson_i(bigint[], real[], integer[])", *welch_stetson_i(curves))
return call.report(objects=len(object_ids))
$python$;

COMMENT ON FUNCTION hven.recompute_objects(bigint[]) IS
'Makes all summaries of Objects anew from their DiaSources that hold: what association keeps by adding, and what must be done when DiaSources were withdrawn or linked elsewhere.';
