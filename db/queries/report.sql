-- overview: The night
SELECT count(*) AS visits,
       count(*) FILTER (WHERE state IN ('associated', 'closed')) AS associated,
       count(*) FILTER (WHERE state = 'failed') AS failed,
       count(*) FILTER (WHERE state IN ('arriving', 'ready')) AS unfinished,
       round(sum(exposure_time)::numeric / 3600, 2) AS open_shutter_hours,
       round(min(midpoint_tai)::numeric, 5) AS first_mjd, round(max(midpoint_tai)::numeric, 5) AS last_mjd
FROM visit WHERE night = :night

-- found: What was found
SELECT sum(o.dia_sources)::bigint AS dia_sources_associated, count(*) AS associations,
       count(*) FILTER (WHERE o.pass > 1) AS late_or_repeated,
       (SELECT count(*) FROM object AS n WHERE n.first_tai >= span.first - 0.01 AND n.first_tai <= span.last + 0.01
        AND n.dia_sources > 0) AS objects_first_detected,
       (SELECT count(*) FROM alert AS a JOIN visit AS v USING (visit_id) WHERE v.night = :night) AS alerts,
       (SELECT count(*) FROM alert AS a JOIN visit AS v USING (visit_id) WHERE v.night = :night AND a.is_moving) AS moving
FROM order_log AS o JOIN visit AS v USING (visit_id)
CROSS JOIN (SELECT min(midpoint_tai) AS first, max(midpoint_tai) AS last FROM visit WHERE night = :night) AS span
WHERE v.night = :night
GROUP BY span.first, span.last

-- latency: From the close of the shutter to the selection of Alerts
SELECT count(*) AS visits,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)::numeric, 1) AS p50_s,
       round(percentile_cont(0.98) WITHIN GROUP (ORDER BY seconds)::numeric, 1) AS p98_s,
       round(max(seconds)::numeric, 1) AS worst_s,
       round(100.0 * count(*) FILTER (WHERE seconds < 60) / nullif(count(*), 0), 1) AS under_60_s_percent
FROM (
    SELECT 86400 * (max(a.selected_tai) - v.shutter_close_tai) AS seconds
    FROM visit AS v JOIN alert AS a USING (visit_id)
    WHERE v.night = :night AND a.version = 1 GROUP BY v.visit_id
) AS l
WHERE seconds BETWEEN 0 AND 86400

-- latencies: Latency of each Visit
SELECT v.visit_id, round((86400 * (max(a.selected_tai) - v.shutter_close_tai))::numeric, 2) AS seconds
FROM visit AS v JOIN alert AS a USING (visit_id)
WHERE v.night = :night AND a.version = 1
GROUP BY v.visit_id HAVING 86400 * (max(a.selected_tai) - v.shutter_close_tai) BETWEEN 0 AND 86400
ORDER BY v.visit_id

-- visits: Visits on the sky
SELECT v.visit_id, f.name AS filter, round(v.ra::numeric, 5) AS ra, round(v.dec::numeric, 5) AS dec, v.state, v.condition
FROM visit AS v JOIN filter AS f USING (filter_id)
WHERE v.night = :night AND v.ra IS NOT NULL
ORDER BY v.visit_id

-- conditions: Seeing, zeropoint and depth
SELECT v.visit_id, f.name AS filter, round(v.midpoint_tai::numeric, 5) AS mjd,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY e.psf_fwhm)::numeric, 3) AS fwhm_arcsec,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY e.zeropoint)::numeric, 3) AS zeropoint_mag,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY coalesce(e.depth, d.value))::numeric, 3) AS depth_mag
FROM visit AS v JOIN exposure AS e USING (visit_id) JOIN filter AS f ON f.filter_id = v.filter_id
LEFT JOIN sdqa_measurement AS d ON d.metric = 'detector.depth' AND d.subject_id = e.exposure_id
WHERE v.night = :night AND e.kind = 'calibrated' AND e.snap = 0
GROUP BY v.visit_id, f.name, v.midpoint_tai
ORDER BY v.visit_id

-- filters: Conditions by filter
SELECT f.name AS filter, count(DISTINCT v.visit_id) AS visits,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY e.psf_fwhm)::numeric, 2) AS fwhm_arcsec,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY e.zeropoint)::numeric, 2) AS zeropoint_mag,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY e.sky_noise)::numeric, 2) AS sky_noise
FROM visit AS v JOIN filter AS f USING (filter_id)
LEFT JOIN exposure AS e ON e.visit_id = v.visit_id AND e.kind = 'calibrated' AND e.snap = 0
WHERE v.night = :night
GROUP BY f.name ORDER BY f.name

-- yield: DiaSources and Alerts of each Visit
SELECT v.visit_id, round(v.midpoint_tai::numeric, 5) AS mjd,
       (SELECT coalesce(sum(o.dia_sources), 0)::bigint FROM order_log AS o WHERE o.visit_id = v.visit_id) AS dia_sources,
       (SELECT count(*) FROM alert AS a WHERE a.visit_id = v.visit_id AND a.version = 1) AS alerts
FROM visit AS v
WHERE v.night = :night
ORDER BY v.visit_id

-- outliers: Visits with an unusual number of Alerts
WITH yield AS (
    SELECT v.visit_id, (SELECT count(*) FROM alert AS a WHERE a.visit_id = v.visit_id AND a.version = 1) AS alerts
    FROM visit AS v WHERE v.night = :night
), middle AS (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY alerts) AS median,
           greatest(0.7413 * (percentile_cont(0.75) WITHIN GROUP (ORDER BY alerts)
                              - percentile_cont(0.25) WITHIN GROUP (ORDER BY alerts)), 1) AS sigma
    FROM yield
)
SELECT visit_id, alerts, median, round(((alerts - median) / sigma)::numeric, 1) AS sigmas
FROM yield CROSS JOIN middle
WHERE abs(alerts - median) > 4 * sigma
ORDER BY abs(alerts - median) DESC, visit_id LIMIT 20

-- health: Health of association, over Visits
SELECT h.metric, h.unit, count(h.value) AS visits,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY h.value)::numeric, 4) AS median,
       round(min(h.value)::numeric, 4) AS smallest, round(max(h.value)::numeric, 4) AS largest, min(h.expected) AS expected
FROM (SELECT visit_id FROM visit WHERE night = :night AND state IN ('associated', 'closed') ORDER BY visit_id
      LIMIT 100) AS v
CROSS JOIN LATERAL hven.association_health(v.visit_id) AS h
GROUP BY h.metric, h.unit ORDER BY h.metric

-- failures: Jobs that failed, for good or once
SELECT j.job_id, j.kind, j.key, j.state, j.attempts, left(j.error, 200) AS error, j.finished
FROM queue.job AS j JOIN visit AS v ON v.visit_id = (j.parameters ->> 'visit_id')::bigint
WHERE v.night = :night AND (j.error IS NOT NULL OR j.state = 'dead')
ORDER BY j.state <> 'dead', j.job_id DESC LIMIT 50

-- jobs: Jobs of the night
SELECT j.kind, j.state, count(*) AS jobs, sum(j.attempts) AS attempts,
       round(avg(extract(epoch FROM j.finished - j.started)) FILTER (WHERE j.state = 'done'), 2) AS mean_s
FROM queue.job AS j JOIN visit AS v ON v.visit_id = (j.parameters ->> 'visit_id')::bigint
WHERE v.night = :night
GROUP BY j.kind, j.state ORDER BY j.kind, j.state

-- worst: Metrics that failed most
SELECT s.metric, m.unit, m.minimum, count(*) AS measured, count(*) FILTER (WHERE s.verdict = 'fail') AS failed,
       CASE m.better WHEN 'higher' THEN min(s.value) ELSE max(s.value) END AS worst,
       (array_agg(s.subject_id ORDER BY CASE m.better WHEN 'higher' THEN s.value ELSE -s.value END NULLS FIRST))[1] AS worst_subject
FROM sdqa_metric AS m JOIN sdqa_measurement AS s USING (metric)
CROSS JOIN (VALUES ('detector', 24), ('visit', 12)) AS l (level, bits)
WHERE m.level = l.level AND s.subject_id >= :night::bigint << l.bits AND s.subject_id < (:night + 1)::bigint << l.bits
GROUP BY s.metric, m.unit, m.minimum, m.better
HAVING count(*) FILTER (WHERE s.verdict = 'fail') > 0
ORDER BY failed DESC, s.metric LIMIT 20

-- failing: Rows of the metrics that failed
SELECT s.metric, s.subject_id, s.subject_id >> CASE m.level WHEN 'detector' THEN 12 ELSE 0 END AS visit_id,
       CASE m.level WHEN 'detector' THEN s.subject_id >> 4 & 255 END AS detector_id, s.value, m.unit, m.minimum, s.job_id
FROM sdqa_metric AS m JOIN sdqa_measurement AS s USING (metric)
CROSS JOIN (VALUES ('detector', 24), ('visit', 12)) AS l (level, bits)
WHERE m.level = l.level AND s.subject_id >= :night::bigint << l.bits AND s.subject_id < (:night + 1)::bigint << l.bits
  AND s.verdict = 'fail'
ORDER BY s.metric, abs(s.value - m.minimum) DESC NULLS FIRST, s.subject_id LIMIT 300

-- verdicts: Verdicts on all metrics
SELECT m.level, count(*) AS measured, count(*) FILTER (WHERE s.verdict = 'stretch') AS stretch,
       count(*) FILTER (WHERE s.verdict = 'design') AS design, count(*) FILTER (WHERE s.verdict = 'minimum') AS minimum,
       count(*) FILTER (WHERE s.verdict = 'fail') AS fail, count(*) FILTER (WHERE s.verdict = 'unspecified') AS unspecified
FROM sdqa_metric AS m JOIN sdqa_measurement AS s USING (metric)
CROSS JOIN (VALUES ('detector', 24), ('visit', 12)) AS l (level, bits)
WHERE m.level = l.level AND s.subject_id >= :night::bigint << l.bits AND s.subject_id < (:night + 1)::bigint << l.bits
GROUP BY m.level ORDER BY m.level

-- feedback: What the control system was told
SELECT f.topic, count(*) AS messages, count(f.acknowledged) AS acknowledged, max(f.written) AS last
FROM ocs_feedback AS f JOIN visit AS v USING (visit_id)
WHERE v.night = :night
GROUP BY f.topic ORDER BY f.topic

-- telemetry: How far the telemetry reaches
SELECT count(DISTINCT t.topic_id) AS topics, round(min(s.to_tai)::numeric, 4) AS complete_to_mjd, max(s.finished) AS last_copied
FROM efd.topic AS t
LEFT JOIN LATERAL (SELECT max(to_tai) AS to_tai, max(finished) AS finished FROM efd.sync AS y WHERE y.topic_id = t.topic_id) AS s ON true
