-- Telemetry of the observatory at a moment, such as an Exposure's.
-- minimum revision: science_0001
-- databases: level1
-- execute: public

CREATE OR REPLACE FUNCTION hven.telemetry(topic text, tai double precision, tolerance_s double precision DEFAULT 60)
RETURNS TABLE (time_tai double precision, value double precision[])
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
-- Two steps along the primary key, one to each side: no sort of what lies around.
AS $$
    SELECT near.time_tai, near.value
    FROM (
        (SELECT s.time_tai, s.value FROM efd.sample AS s
         WHERE s.topic_id = (SELECT t.topic_id FROM efd.topic AS t WHERE t.name = topic)
           AND s.time_tai <= tai AND s.time_tai >= tai - tolerance_s / 86400
         ORDER BY s.time_tai DESC LIMIT 1)
        UNION ALL
        (SELECT s.time_tai, s.value FROM efd.sample AS s
         WHERE s.topic_id = (SELECT t.topic_id FROM efd.topic AS t WHERE t.name = topic)
           AND s.time_tai > tai AND s.time_tai <= tai + tolerance_s / 86400
         ORDER BY s.time_tai LIMIT 1)
    ) AS near
    ORDER BY abs(near.time_tai - tai), near.time_tai
    LIMIT 1
$$;

COMMENT ON FUNCTION hven.telemetry(text, double precision, double precision) IS
'The sample of a topic of the Engineering and Facility Database that is nearest in time to a moment [TAI, MJD], the earlier of two that are as near; no row if none lies within the tolerance [s]. The values stand in the order of the topic''s fields.';

CREATE OR REPLACE FUNCTION hven.telemetry_field(
    topic text, field text, tai double precision, tolerance_s double precision DEFAULT 60
)
RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT s.value[(SELECT array_position(t.field, telemetry_field.field) FROM efd.topic AS t WHERE t.name = topic)]
    FROM hven.telemetry(topic, tai, tolerance_s) AS s
$$;

COMMENT ON FUNCTION hven.telemetry_field(text, text, double precision, double precision) IS
'One field of the sample of a topic that is nearest in time to a moment [TAI, MJD], in the field''s own unit (efd.topic.field_unit); NULL if no sample lies within the tolerance [s].';
