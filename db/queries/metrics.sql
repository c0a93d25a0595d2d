-- load: the list of metrics, as JSON
INSERT INTO sdqa_metric AS known (metric, level, unit, description, reference, better, minimum, design, stretch, gate)
SELECT metric, level, unit, description, reference, better, minimum, design, stretch, gate
FROM jsonb_to_recordset(%(metrics)s::jsonb) AS m (metric text, level text, unit text, description text, reference text,
                                           better text, minimum float8, design float8, stretch float8, gate text)
ON CONFLICT (metric) DO UPDATE
SET level = excluded.level, unit = excluded.unit, description = excluded.description, reference = excluded.reference,
    better = excluded.better, minimum = excluded.minimum, design = excluded.design, stretch = excluded.stretch,
    gate = excluded.gate
WHERE known IS DISTINCT FROM excluded

-- measure: values of one subject with their verdicts, replacing earlier ones
INSERT INTO sdqa_measurement (metric, subject_id, value, verdict, job_id)
SELECT v.metric, %(subject_id)s, v.value, hven.sdqa_verdict(v.value, m.better, m.minimum, m.design, m.stretch), %(job_id)s
FROM unnest(%(metrics)s::text[], %(values)s::float8[]) AS v (metric, value) JOIN sdqa_metric AS m USING (metric)
ON CONFLICT (metric, subject_id) DO UPDATE
SET value = excluded.value, verdict = excluded.verdict, job_id = excluded.job_id, measured = now()

-- measure_visit: metrics of a Visit that follow from its rows
SELECT hven.measure_visit(%(visit_id)s, %(job_id)s)

-- holds: failing values that hold something, and that nobody has accepted
SELECT gate, metric, subject_id, value, unit FROM quality_hold
WHERE %(gate)s IS NULL OR gate = %(gate)s ORDER BY gate, metric, subject_id LIMIT %(limit)s

-- failing: what shuts a gate for some subjects
SELECT metric, subject_id, value, unit FROM quality_hold
WHERE gate = %(gate)s AND subject_id = ANY (%(subjects)s)
ORDER BY metric, subject_id

-- unmeasured: metrics of a gate that were neither measured nor accepted for any of the subjects
SELECT m.metric FROM sdqa_metric AS m
WHERE m.gate = %(gate)s
  AND NOT EXISTS (SELECT FROM sdqa_measurement AS s WHERE s.metric = m.metric AND s.subject_id = ANY (%(subjects)s))
  AND NOT EXISTS (SELECT FROM sdqa_waiver AS w WHERE w.metric = m.metric AND w.subject_id = ANY (%(subjects)s))
ORDER BY m.metric

-- accept: let a failing or unmeasured value pass its gate
INSERT INTO sdqa_waiver (metric, subject_id, reason)
SELECT metric, %(subject_id)s, %(reason)s FROM sdqa_metric WHERE metric = %(metric)s AND gate IS NOT NULL
ON CONFLICT (metric, subject_id) DO NOTHING
RETURNING metric

-- held_alerts: how many Alerts wait in the outbox and are held
SELECT count(DISTINCT outbox_id) FROM hven.held_alerts()

-- rollup: metrics put together over a Visit, a night, a field or all
SELECT metric, unit, measurements, median, smallest, largest, failed FROM sdqa_rollup
WHERE visit_id IS NOT DISTINCT FROM %(visit_id)s AND night IS NOT DISTINCT FROM %(night)s
  AND field IS NOT DISTINCT FROM %(field)s
ORDER BY metric

-- tell_ocs: what quality assessment tells the control system of a Visit
INSERT INTO ocs_feedback (visit_id, topic, message)
SELECT %(visit_id)s, 'quality', jsonb_build_object('metric', s.metric, 'subject', s.subject_id, 'value', s.value, 'unit', m.unit)
FROM sdqa_measurement AS s JOIN sdqa_metric AS m USING (metric)
WHERE s.verdict = 'fail' AND (s.subject_id = %(visit_id)s OR s.subject_id IN (SELECT exposure_id FROM exposure WHERE visit_id = %(visit_id)s))
  AND NOT EXISTS (SELECT FROM ocs_feedback AS o WHERE o.visit_id = %(visit_id)s AND o.topic = 'quality'
                  AND o.message ->> 'metric' = s.metric AND o.message ->> 'subject' = s.subject_id::text)
RETURNING feedback_id

-- tell_failure: the quality of something could not be assessed
INSERT INTO ocs_feedback (visit_id, topic, message) VALUES (%(visit_id)s, 'assessment failed', %(message)s)

-- unread: what the control system has not acknowledged, the oldest first
SELECT feedback_id, visit_id, topic, message, written FROM ocs_feedback WHERE acknowledged IS NULL ORDER BY feedback_id

-- acknowledge: the control system has read these
UPDATE ocs_feedback SET acknowledged = now(), acknowledged_by = session_user
WHERE feedback_id = ANY (%(feedback)s) AND acknowledged IS NULL
RETURNING feedback_id
