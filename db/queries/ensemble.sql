-- object_at: the Object nearest to a place
SELECT object_id FROM hven.sky_nearest(NULL::object, %(ra)s, %(dec)s, %(radius_arcsec)s)

-- light_curve: normalised light curve of the Object at a place by ensemble photometry of all stars beside it
WITH target AS (
    SELECT object_id FROM hven.sky_nearest(NULL::object, :ra, :dec, :radius_arcsec)
), measured AS (
    SELECT s.object_id, s.exposure_id, s.midpoint_tai, s.ap_flux_err / s.ap_flux AS noise, -2.5 * log(s.ap_flux::float8) AS m
    FROM source AS s
    WHERE s.object_id IS NOT NULL AND s.time_withdrawn IS NULL AND s.ap_flux > 0 AND NOT s.ap_flux_flag
      AND NOT s.pixel_flag_saturated_center AND NOT s.pixel_flag_edge
), star AS (  -- brightness of each that is there nearly always
    SELECT object_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY m) AS middle
    FROM measured GROUP BY object_id
    HAVING count(*) > 0.85 * (SELECT count(DISTINCT exposure_id) FROM measured)
), rough AS (  -- zero of each exposure: the median of the brightest, since faint ones feel an error of the sky
    SELECT exposure_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY m - middle) AS zero
    FROM measured JOIN (SELECT * FROM star ORDER BY middle LIMIT 80) AS bright USING (object_id) GROUP BY exposure_id
), scatter AS (  -- how steady each star is by that zero
    SELECT object_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY m - zero) AS middle,
           (percentile_cont(0.84) WITHIN GROUP (ORDER BY m - zero)
            - percentile_cont(0.16) WITHIN GROUP (ORDER BY m - zero)) / 2 AS sigma
    FROM measured JOIN star USING (object_id) JOIN rough USING (exposure_id) GROUP BY object_id
), zero AS (  -- the mean of the steady ones, weighted by it; the target has no say
    SELECT exposure_id, sum((m - middle) / (sigma ^ 2 + 9e-6)) / sum(1 / (sigma ^ 2 + 9e-6)) AS zero,
           1 / sqrt(sum(1 / (sigma ^ 2 + 9e-6))) AS zero_err
    FROM measured JOIN scatter USING (object_id) JOIN rough USING (exposure_id)
    WHERE sigma < 0.012 AND abs(m - middle - rough.zero) < 4 * sigma AND object_id NOT IN (SELECT object_id FROM target)
    GROUP BY exposure_id
), corrected AS (
    SELECT exposure_id, midpoint_tai, m - zero AS m, sqrt(noise ^ 2 + zero_err ^ 2) AS err
    FROM measured JOIN target USING (object_id) JOIN zero USING (exposure_id)
)
SELECT exposure_id, midpoint_tai,
       10 ^ (-0.4 * (m - (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY m) FROM corrected))) AS flux,
       err AS flux_err
FROM corrected
ORDER BY midpoint_tai

-- all_light_curves: every steady star of the ensemble, exposure by exposure: magnitude less the exposure's zero
WITH measured AS (
    SELECT s.object_id, s.exposure_id, s.midpoint_tai, s.x, s.y, s.ap_flux_err / s.ap_flux AS noise,
           -2.5 * log(s.ap_flux::float8) AS m
    FROM source AS s
    WHERE s.object_id IS NOT NULL AND s.time_withdrawn IS NULL AND s.ap_flux > 0 AND NOT s.ap_flux_flag
      AND NOT s.pixel_flag_saturated_center AND NOT s.pixel_flag_edge
), star AS (
    SELECT object_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY m) AS middle
    FROM measured GROUP BY object_id
    HAVING count(*) > 0.85 * (SELECT count(DISTINCT exposure_id) FROM measured)
), rough AS (
    SELECT exposure_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY m - middle) AS zero
    FROM measured JOIN (SELECT * FROM star ORDER BY middle LIMIT 80) AS bright USING (object_id) GROUP BY exposure_id
), scatter AS (
    SELECT object_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY m - zero) AS middle,
           (percentile_cont(0.84) WITHIN GROUP (ORDER BY m - zero)
            - percentile_cont(0.16) WITHIN GROUP (ORDER BY m - zero)) / 2 AS sigma
    FROM measured JOIN star USING (object_id) JOIN rough USING (exposure_id) GROUP BY object_id
), zero AS (
    SELECT exposure_id, sum((m - middle) / (sigma ^ 2 + 9e-6)) / sum(1 / (sigma ^ 2 + 9e-6)) AS zero
    FROM measured JOIN scatter USING (object_id) JOIN rough USING (exposure_id)
    WHERE sigma < 0.012 AND abs(m - middle - rough.zero) < 4 * sigma
    GROUP BY exposure_id
)
SELECT object_id, exposure_id, midpoint_tai, x, y, m - zero AS m, noise
FROM measured JOIN scatter USING (object_id) JOIN zero USING (exposure_id)
WHERE sigma < %(steady)s
ORDER BY object_id, midpoint_tai

-- forced: mean forced flux, on differences, of the Object at a place within a span of time less that outside [% of its flux]
SELECT 100 * (avg(part) FILTER (WHERE away < :half) - avg(part) FILTER (WHERE away > :half)) AS percent,
       100 * sqrt(var_samp(part) FILTER (WHERE away < :half) / count(*) FILTER (WHERE away < :half)
                  + var_samp(part) FILTER (WHERE away > :half) / count(*) FILTER (WHERE away > :half)) AS percent_err,
       count(*) AS measurements
FROM (
    SELECT f.psf_flux / 10 ^ (0.4 * (31.4 - r.magnitude)) AS part, abs(f.midpoint_tai - :middle_tai) AS away
    FROM hven.sky_nearest(NULL::object, :ra, :dec, 8) AS o
    JOIN refcat AS r ON r.healpix29 = o.healpix29 AND r.catalogue = 'bootstrap'
    JOIN forced_dia_source AS f USING (object_id)
    WHERE f.time_withdrawn IS NULL AND NOT f.psf_flux_flag
) AS forced
