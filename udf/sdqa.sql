-- Quality: verdicts, the metrics of a Visit that follow from its rows, and roll-ups.
-- minimum revision: science_0004
-- databases: level1 release
-- requires: time
-- execute: hven_scientist hven_worker hven_release_admin hven_operator

CREATE OR REPLACE FUNCTION hven.sdqa_verdict(value double precision, better text, minimum double precision,
                                             design double precision, stretch double precision)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN better = 'neither' OR coalesce(minimum, design, stretch) IS NULL THEN 'unspecified'
    WHEN value IS NULL THEN 'fail'
    WHEN CASE better WHEN 'lower' THEN value <= stretch ELSE value >= stretch END THEN 'stretch'
    WHEN CASE better WHEN 'lower' THEN value <= design ELSE value >= design END THEN 'design'
    WHEN minimum IS NULL THEN 'unspecified'
    WHEN CASE better WHEN 'lower' THEN value <= minimum ELSE value >= minimum END THEN 'minimum'
    ELSE 'fail'
END;

COMMENT ON FUNCTION hven.sdqa_verdict(double precision, text, double precision, double precision, double precision) IS
'The best specification that a value meets: stretch, design or minimum; fail if none or not measured; unspecified where there is none.';


CREATE OR REPLACE FUNCTION hven.measure_visit(visit_id bigint, job_id bigint)
RETURNS bigint
LANGUAGE sql
AS $$
    WITH found AS (
        SELECT count(*)::float8 AS dia_sources, count(*) FILTER (WHERE believed)::float8 AS believed,
               count(*) FILTER (WHERE believed AND num_nonnulls(object_id, moving_object_id) = 1) AS associated
        FROM (SELECT object_id, moving_object_id, coalesce(reliability, 1) >= 0.1 AS believed  -- as association does
              FROM :catalogue.dia_source WHERE visit_id = measure_visit.visit_id) AS d
    ), measured AS (
        SELECT 'visit.detectors' AS metric,
               (SELECT count(*) FROM :catalogue.exposure AS e WHERE e.visit_id = v.visit_id AND e.kind = 'calibrated' AND e.snap = 0)
               / nullif(v.detectors, 0)::float8 AS value
        FROM :catalogue.visit AS v WHERE v.visit_id = measure_visit.visit_id
        UNION ALL SELECT 'visit.dia_sources', dia_sources FROM found
        UNION ALL SELECT 'visit.dia_sources_associated', associated / believed FROM found WHERE believed > 0
        UNION ALL SELECT 'visit.dia_sources_rejected', 1 - associated / believed FROM found WHERE believed > 0
        UNION ALL
        SELECT 'visit.objects_new', count(*) / nullif(max(f.dia_sources), 0)
        FROM :catalogue.dia_source AS d JOIN :catalogue.object AS o USING (object_id) CROSS JOIN found AS f
        WHERE d.visit_id = measure_visit.visit_id AND o.dia_sources = 1
        UNION ALL
        SELECT 'visit.forced_dia_sources', count(*) FROM :catalogue.forced_dia_source WHERE visit_id = measure_visit.visit_id
        UNION ALL  -- of a night of long ago nobody waits for the Alerts
        SELECT 'visit.alert_seconds', late.seconds
        FROM :catalogue.visit AS v CROSS JOIN LATERAL (SELECT 86400 * (hven.tai_mjd(now()) - v.shutter_close_tai) AS seconds) AS late
        WHERE v.visit_id = measure_visit.visit_id AND late.seconds < 86400
        UNION ALL SELECT 'visit.alerts', count(*) FROM :catalogue.alert WHERE visit_id = measure_visit.visit_id
        UNION ALL
        SELECT 'visit.jobs_failed', count(*) FROM queue.dead_job JOIN queue.job AS j USING (job_id)
        WHERE (j.parameters ->> 'visit_id')::bigint = measure_visit.visit_id
    ), kept AS (
        INSERT INTO :catalogue.sdqa_measurement (metric, subject_id, value, verdict, job_id)
        SELECT n.metric, measure_visit.visit_id, n.value, hven.sdqa_verdict(n.value, m.better, m.minimum, m.design, m.stretch),
               measure_visit.job_id
        FROM measured AS n JOIN :catalogue.sdqa_metric AS m USING (metric)
        ON CONFLICT (metric, subject_id) DO UPDATE
        SET value = excluded.value, verdict = excluded.verdict, job_id = excluded.job_id, measured = now()
        RETURNING 1
    )
    SELECT count(*) FROM kept
$$;

COMMENT ON FUNCTION hven.measure_visit(bigint, bigint) IS
'Measures the metrics of a Visit that follow from its rows, for a job; returns how many.';


CREATE OR REPLACE VIEW :catalogue.sdqa_rollup WITH (security_invoker) AS
SELECT s.metric, m.unit, v.visit_id, v.night, v.field, count(s.value) AS measurements,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY s.value) AS median,
       min(s.value) AS smallest, max(s.value) AS largest, count(*) FILTER (WHERE s.verdict = 'fail') AS failed
  FROM :catalogue.sdqa_measurement AS s
  JOIN :catalogue.sdqa_metric AS m ON m.metric = s.metric
  JOIN :catalogue.visit AS v ON v.visit_id = CASE m.level WHEN 'detector' THEN s.subject_id >> 12 ELSE s.subject_id END
 WHERE m.level IN ('detector', 'visit')
 GROUP BY GROUPING SETS ((s.metric, m.unit, v.visit_id), (s.metric, m.unit, v.night), (s.metric, m.unit, v.field),
                         (s.metric, m.unit));

COMMENT ON VIEW :catalogue.sdqa_rollup IS
'Metrics of detectors and Visits put together by Visit, by night, by field, and (all three NULL) over the whole database: a release, or the survey';

ALTER VIEW :catalogue.sdqa_rollup OWNER TO hven_owner;


CREATE OR REPLACE VIEW :catalogue.quality_hold WITH (security_invoker) AS
SELECT m.gate, s.metric, s.subject_id, s.value, m.unit,
       CASE m.level WHEN 'visit' THEN s.subject_id WHEN 'detector' THEN s.subject_id >> 12 END AS visit_id,
       CASE m.level WHEN 'detector' THEN (s.subject_id >> 4 & 255)::smallint END AS detector_id
  FROM :catalogue.sdqa_metric AS m
  JOIN :catalogue.sdqa_measurement AS s ON s.metric = m.metric AND s.verdict = 'fail'
 WHERE m.gate IS NOT NULL
   AND NOT EXISTS (SELECT FROM :catalogue.sdqa_waiver AS w WHERE w.metric = s.metric AND w.subject_id = s.subject_id);

COMMENT ON VIEW :catalogue.quality_hold IS
'Failing metrics, not accepted by anybody, that hold the Alerts of a detector (visit_id and detector_id), those of a Visit (visit_id alone) or a release';

ALTER VIEW :catalogue.quality_hold OWNER TO hven_owner;


-- A sender takes what is not in here: WHERE state = 'waiting' AND outbox_id NOT IN (SELECT outbox_id FROM hven.held_alerts()).
CREATE OR REPLACE FUNCTION hven.held_alerts()
RETURNS TABLE (outbox_id bigint, metric text, subject_id bigint)
LANGUAGE sql STABLE
AS $$
    SELECT o.outbox_id, h.metric, h.subject_id
    FROM :catalogue.quality_hold AS h
    JOIN :catalogue.outbox AS o ON o.dia_source_id >> 31 & 67108863 = h.visit_id
     AND (h.detector_id IS NULL OR o.dia_source_id >> 23 & 255 = h.detector_id)
    WHERE h.gate = 'stream' AND o.state = 'waiting'
$$;

COMMENT ON FUNCTION hven.held_alerts() IS
'Alerts that wait in the outbox and must not be sent while a metric of their detector or Visit fails, with that metric and its subject. They go out when the value is mended, or accepted in sdqa_waiver.';
