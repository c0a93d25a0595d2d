-- How well a Visit was associated.
-- minimum revision: science_0001
-- databases: level1
-- requires: association/open summaries sky/separation
-- execute: hven_worker hven_operator hven_scientist

CREATE OR REPLACE FUNCTION hven.association_health(visit_id bigint)
RETURNS TABLE (metric text, value float8, unit text, expected text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
-- A scientist may read the rows, but not run the steps of association that are used here.
AS $$
    WITH own AS (
        SELECT d.ra, d.dec, d.object_id, d.moving_object_id, d.rejected, o.dia_sources, o.mean_ra, o.mean_dec,
               o.time_processed = d.time_processed AS is_new,
               sqrt(w.x * w.x * w.xx + 2 * w.x * w.y * w.xy + w.y * w.y * w.yy) AS pull
        FROM hven.visit_ids($1) i
        JOIN :catalogue.dia_source d ON d.dia_source_id BETWEEN i.first AND i.last
        LEFT JOIN :catalogue.object o USING (object_id)
        LEFT JOIN LATERAL hven.position_weight(d.ra, d.dec, d.ra_err, d.dec_err, d.ra_dec_cov, o.mean_ra, o.mean_dec) w
            ON o.dia_sources > 2 AND d.ra_err IS NOT NULL
        WHERE d.time_withdrawn IS NULL
    ), counted AS (
        SELECT count(*)::float8 AS dia_sources, count(object_id) FILTER (WHERE is_new IS NOT TRUE) AS matched,
               count(*) FILTER (WHERE is_new) AS new, count(*) FILTER (WHERE rejected) AS rejected,
               count(moving_object_id) AS moving, count(*) FILTER (WHERE dia_sources > 1 AND is_new) AS seen_since,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY hven.sky_separation_arcsec(ra, dec, mean_ra, mean_dec))
                   FILTER (WHERE dia_sources > 2) AS separation,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY pull) AS pull
        FROM own
    )
    SELECT m.* FROM counted c CROSS JOIN LATERAL (VALUES
        ('dia_sources', c.dia_sources, '', 'the field''s usual number'),
        ('matched', c.matched / nullif(c.dia_sources, 0), '', 'near 1 in a field seen often'),
        ('new', c.new / nullif(c.dia_sources, 0), '', 'falls as the field is seen more often'),
        ('rejected', c.rejected / nullif(c.dia_sources, 0), '', 'as in other Visits'),
        ('moving', c.moving / nullif(c.dia_sources, 0), '', 'as the ecliptic latitude lets expect'),
        ('new_seen_since', c.seen_since / nullif(c.new, 0)::float8, '', 'rises with time: lone Objects are noise or movers'),
        ('separation', c.separation, 'arcsec', 'the astrometric error'),
        ('pull', c.pull, '', '1.18, if errors are what they say')
    ) AS m (metric, value, unit, expected)
$$;

COMMENT ON FUNCTION hven.association_health(bigint) IS
'Health of a Visit''s association: shares of its DiaSources that were matched, new, rejected or moving, the share of its new Objects that were seen since, the median distance from mean positions of Objects with three DiaSources or more [arcsec], and the same in units of the reported errors.';
