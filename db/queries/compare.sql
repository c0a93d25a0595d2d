-- columns: tables of a catalogue with their columns and types
SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, 2

-- counts: rows of each table
SELECT c.relname AS table,
       (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I', c.relname), true, true, '')))[1]::text::bigint
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY 1

-- objects_out: what of Objects is compared, one row an Object and filter
COPY (
    SELECT o.object_id, o.mean_ra, o.mean_dec, o.extendedness, f.name, coalesce(x.coadd_flux, x.mean_flux)
    FROM object AS o LEFT JOIN object_flux AS x USING (object_id) LEFT JOIN filter AS f USING (filter_id)
    WHERE o.time_withdrawn IS NULL
) TO STDOUT

-- begin: tables for the Objects of the other release
CREATE TEMP TABLE other_flux (object_id bigint, ra float8, dec float8, extendedness real, filter text, flux real);
CREATE TEMP TABLE own_flux (LIKE other_flux);

-- place: one row an Object, with what the match needs
CREATE TEMP TABLE other_object AS
SELECT object_id, min(ra) AS ra, min(dec) AS dec, hven.healpix29(min(ra), min(dec)) AS healpix29, max(flux) AS flux
FROM other_flux GROUP BY object_id;
CREATE TEMP TABLE own_object AS
SELECT object_id, min(ra) AS ra, min(dec) AS dec, hven.healpix29(min(ra), min(dec)) AS healpix29, max(flux) AS flux
FROM own_flux GROUP BY object_id;
ALTER TABLE other_object ADD PRIMARY KEY (object_id);
ALTER TABLE own_object ADD PRIMARY KEY (object_id);
ANALYZE other_object; ANALYZE own_object; ANALYZE other_flux; ANALYZE own_flux

-- match: Objects of both releases within a radius, with each one's place among the neighbours of the other
CREATE TEMP TABLE pair AS
SELECT left_id AS object_id, right_id AS other_object_id, separation_arcsec,
       row_number() OVER (PARTITION BY left_id ORDER BY separation_arcsec, right_id) AS rank,
       row_number() OVER (PARTITION BY right_id ORDER BY separation_arcsec, left_id) AS back_rank
FROM hven.sky_crossmatch('own_object', 'other_object', %(radius)s);
ANALYZE pair

-- keep: the match becomes part of this release
INSERT INTO object_match (object_id, other_release, other_object_id, separation, rank)
SELECT object_id, %(release)s, other_object_id, separation_arcsec, rank FROM pair
ON CONFLICT (object_id, other_release, other_object_id) DO UPDATE
SET separation = excluded.separation, rank = excluded.rank

-- matched: Objects in both
SELECT (SELECT count(*) FROM other_object) AS objects_before, (SELECT count(*) FROM own_object) AS objects_now,
       count(*) AS matched_one_to_one,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY separation_arcsec)::numeric * 1000, 1) AS median_separation_mas,
       round(percentile_cont(0.95) WITHIN GROUP (ORDER BY separation_arcsec)::numeric * 1000, 1) AS separation_95_percent_mas
FROM pair WHERE rank = 1 AND back_rank = 1

-- shift: Astrometric differences, now minus before
SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY (mod((o.ra - b.ra + 540)::numeric, 360) - 180)::float8 * cos(radians(o.dec)))::numeric * 3600000, 2) AS median_ra_mas,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY o.dec - b.dec)::numeric * 3600000, 2) AS median_dec_mas
FROM pair AS p JOIN own_object AS o USING (object_id) JOIN other_object AS b ON b.object_id = p.other_object_id
WHERE p.rank = 1 AND p.back_rank = 1

-- separations: Separations of matched Objects
SELECT round(separation_arcsec::numeric * 1000, 2) AS separation_mas FROM pair
WHERE rank = 1 AND back_rank = 1 ORDER BY object_id LIMIT 20000

-- completeness: Objects of one release that the other has, by magnitude
SELECT m.magnitude, count(*) FILTER (WHERE m.side = 'before') AS before,
       round(100.0 * count(*) FILTER (WHERE m.side = 'before' AND m.found) / nullif(count(*) FILTER (WHERE m.side = 'before'), 0), 2)
           AS before_found_now_percent,
       count(*) FILTER (WHERE m.side = 'now') AS now,
       round(100.0 * count(*) FILTER (WHERE m.side = 'now' AND m.found) / nullif(count(*) FILTER (WHERE m.side = 'now'), 0), 2)
           AS now_found_before_percent
FROM (
    SELECT 'before' AS side, floor(hven.ab_magnitude(flux)) AS magnitude, EXISTS (SELECT FROM pair WHERE other_object_id = o.object_id) AS found
    FROM other_object AS o
    UNION ALL
    SELECT 'now', floor(hven.ab_magnitude(flux)), EXISTS (SELECT FROM pair AS p WHERE p.object_id = o.object_id) FROM own_object AS o
) AS m
GROUP BY m.magnitude ORDER BY m.magnitude NULLS LAST

-- photometry: Photometric differences by filter, now minus before
SELECT n.filter, count(*) AS objects,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY -2.5 * log((n.flux / b.flux)::float8))::numeric * 1000, 2) AS median_mmag,
       round((0.7413 * (percentile_cont(0.75) WITHIN GROUP (ORDER BY -2.5 * log((n.flux / b.flux)::float8))
                        - percentile_cont(0.25) WITHIN GROUP (ORDER BY -2.5 * log((n.flux / b.flux)::float8))))::numeric * 1000, 2)
           AS scatter_mmag
FROM pair AS p JOIN own_flux AS n USING (object_id)
JOIN other_flux AS b ON b.object_id = p.other_object_id AND b.filter = n.filter
WHERE p.rank = 1 AND p.back_rank = 1 AND n.flux > 0 AND b.flux > 0
GROUP BY n.filter ORDER BY n.filter

-- magnitudes: Photometric difference of each matched Object
SELECT n.filter, round(hven.ab_magnitude(n.flux)::numeric, 3) AS magnitude,
       round((-2500 * log((n.flux / b.flux)::float8))::numeric, 2) AS difference_mmag
FROM pair AS p JOIN own_flux AS n USING (object_id)
JOIN other_flux AS b ON b.object_id = p.other_object_id AND b.filter = n.filter
WHERE p.rank = 1 AND p.back_rank = 1 AND n.flux > 0 AND b.flux > 0
ORDER BY p.object_id, n.filter LIMIT 20000

-- light_curves: how much the light curves of point-like Objects scatter, less what is common to an Exposure [mmag]
WITH measured AS (
    SELECT 'Source' AS kind, object_id, filter_id, exposure_id, -2.5 * log(psf_flux) AS m FROM source
    WHERE psf_flux > 0 AND time_withdrawn IS NULL
      AND NOT coalesce(psf_flux_flag OR centroid_flag OR pixel_flag_saturated_center OR pixel_flag_edge, false)
    UNION ALL
    SELECT 'ForcedSource', object_id, filter_id, exposure_id, -2.5 * log(psf_flux) FROM forced_source
    WHERE psf_flux > 0 AND time_withdrawn IS NULL
      AND NOT coalesce(psf_flux_flag OR pixel_flag_saturated OR pixel_flag_edge, false)
), sample AS (  -- which a second site chooses too
    SELECT object_id FROM object WHERE coalesce(extendedness, 0) < 0.5 AND time_withdrawn IS NULL
    ORDER BY hashint8extended(object_id, 0) LIMIT 5000
), star AS (
    SELECT kind, object_id, filter_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY m) AS middle
    FROM measured JOIN sample USING (object_id) GROUP BY 1, 2, 3 HAVING count(*) >= 5
), zero AS (
    SELECT kind, exposure_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY m - middle) AS zero
    FROM measured JOIN star USING (kind, object_id, filter_id) GROUP BY 1, 2
)
SELECT kind, f.name AS filter, round((31.4 + middle)::numeric, 3)::float8 AS magnitude,
       500 * (percentile_cont(0.84) WITHIN GROUP (ORDER BY m - zero) - percentile_cont(0.16) WITHIN GROUP (ORDER BY m - zero)) AS scatter_mmag
FROM measured JOIN star USING (kind, object_id, filter_id) JOIN zero USING (kind, exposure_id) JOIN filter AS f USING (filter_id)
GROUP BY kind, object_id, f.name, middle ORDER BY kind, object_id, f.name
