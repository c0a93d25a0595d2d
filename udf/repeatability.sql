-- How well a release repeats itself: photometry of a star, and the distance between two.
-- minimum revision: science_0001
-- databases: level1 release
-- requires: sdqa
-- execute: hven_scientist hven_worker hven_release_admin hven_operator

CREATE OR REPLACE FUNCTION hven.measure_release(release bigint, job_id bigint DEFAULT NULL, least_visits int DEFAULT 5, most_stars int DEFAULT 2000)
RETURNS TABLE (metric text, value float8, verdict text)
LANGUAGE sql
AS $$
    WITH star AS MATERIALIZED (  -- a sample that a second site chooses too
        SELECT o.object_id, o.ra, o.dec FROM :catalogue.object AS o
        WHERE o.extendedness < 0.5 AND o.time_withdrawn IS NULL
          AND (SELECT count(*) FROM :catalogue.source AS s WHERE s.object_id = o.object_id AND s.psf_flux > 100 * s.psf_flux_err) >= $3
        ORDER BY hashint8extended(o.object_id, 0) LIMIT $4
    ), bright AS MATERIALIZED (
        SELECT s.object_id, s.filter_id, s.visit_id, s.ra, s.dec, -2500 * log(s.psf_flux) AS mmag
        FROM star JOIN :catalogue.source AS s ON s.object_id = star.object_id
        WHERE s.psf_flux > 100 * s.psf_flux_err AND s.time_withdrawn IS NULL
          AND NOT coalesce(s.psf_flux_flag OR s.centroid_flag OR s.deblended, false)
    ), photometric AS (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY scatter) AS value
        FROM (SELECT stddev_samp(mmag) AS scatter FROM bright GROUP BY object_id, filter_id HAVING count(*) >= $3) AS each
    ), pair AS (  -- 5 arcmin, within half an arcmin
        SELECT a.object_id AS first, b.object_id AS second
        FROM star AS a JOIN star AS b ON b.object_id > a.object_id AND b.dec BETWEEN a.dec - 0.0917 AND a.dec + 0.0917
        WHERE 60 * degrees(2 * asin(least(1, sqrt(sind((b.dec - a.dec) / 2)^2
              + cosd(a.dec) * cosd(b.dec) * sind((b.ra - a.ra) / 2)^2)))) BETWEEN 4.5 AND 5.5
    ), astrometric AS (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY scatter) AS value
        FROM (
            SELECT stddev_samp(3.6e6 * degrees(2 * asin(least(1, sqrt(sind((t.dec - s.dec) / 2)^2
                   + cosd(s.dec) * cosd(t.dec) * sind((t.ra - s.ra) / 2)^2))))) AS scatter
            FROM pair JOIN bright AS s ON s.object_id = pair.first
            JOIN bright AS t ON t.object_id = pair.second AND t.visit_id = s.visit_id
            GROUP BY pair.first, pair.second, s.filter_id HAVING count(*) >= $3
        ) AS each
    ), measured AS (
        SELECT 'release.photometric_repeatability' AS metric, value FROM photometric
        UNION ALL SELECT 'release.astrometric_repeatability', value FROM astrometric
    )
    INSERT INTO :catalogue.sdqa_measurement AS kept (metric, subject_id, value, verdict, job_id)
    SELECT n.metric, $1, n.value, hven.sdqa_verdict(n.value, m.better, m.minimum, m.design, m.stretch), $2
    FROM measured AS n JOIN :catalogue.sdqa_metric AS m USING (metric)
    ON CONFLICT (metric, subject_id) DO UPDATE
    SET value = excluded.value, verdict = excluded.verdict, job_id = excluded.job_id, measured = now()
    RETURNING kept.metric, kept.value, kept.verdict
$$;

COMMENT ON FUNCTION hven.measure_release(bigint, bigint, int, int) IS
'Measures PA1 and AM1 of LSST''s Science Requirements from a sample of point-like Objects with so many Sources above 100 sigma: the median scatter of a star''s magnitude in one filter [mmag], and of the distance of two stars 5 arcmin apart in one filter [mas]. Keeps them with verdicts under the number of the release.';
