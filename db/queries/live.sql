-- production: the running production of a name, the latest
SELECT production_id, parameters FROM queue.production
WHERE kind = 'alert' AND name = %(name)s AND state = 'running' ORDER BY production_id DESC LIMIT 1

-- lock_visit: the state of a Visit, which association can't change before we commit
SELECT state FROM visit WHERE visit_id = %(visit_id)s FOR KEY SHARE

-- band: the name of a Visit's filter
SELECT f.name FROM visit JOIN filter AS f USING (filter_id) WHERE visit_id = %(visit_id)s

-- await: keys of the associations that a Visit's should come after, less those that another of them awaits
WITH earlier AS (
    SELECT j.job_id, j.key FROM hven.visits_to_await(%(visit_id)s, %(radius_arcsec)s) AS e (visit_id)
    JOIN queue.job AS j ON j.production_id = %(production_id)s AND j.key = 'visit ' || e.visit_id || ' associate'
    WHERE j.state IN ('waiting', 'ready', 'running')
)
SELECT key FROM earlier AS e
WHERE NOT EXISTS (SELECT FROM earlier AS other JOIN queue.job_dependency AS d USING (job_id)
                  WHERE d.requires_job_id = e.job_id)

-- deadline: when a Visit's association goes on without what is late; NULL if it closed too long ago for that
SELECT CASE WHEN age < %(live)s THEN now() + (%(patience)s - age) * interval '1 second' END
FROM (SELECT 86400 * (hven.tai_mjd(now()) - shutter_close_tai) AS age FROM visit WHERE visit_id = %(visit_id)s) AS v

-- ready_to_follow: which of some Visits have all their frames, and their detectors here
SELECT visit_id FROM visit WHERE visit_id = ANY (%(visit_ids)s) AND state <> 'arriving'

-- followed: keys of the associations that a production has
SELECT key FROM queue.job WHERE production_id = %(production_id)s AND kind = 'associate'

-- orbits: MovingObjects whose orbits are known, with the epochs of their elements
SELECT moving_object_id, perihelion_distance, eccentricity, inclination, node, perihelion_argument, perihelion_tai, residual
FROM moving_object
WHERE perihelion_distance IS NOT NULL AND eccentricity IS NOT NULL AND inclination IS NOT NULL AND node IS NOT NULL
  AND perihelion_argument IS NOT NULL AND perihelion_tai IS NOT NULL AND time_withdrawn IS NULL
ORDER BY moving_object_id

-- pointing: where and when a Visit looks
SELECT ra, dec, midpoint_tai FROM visit WHERE visit_id = %(visit_id)s

-- save_predictions: where MovingObjects are in a Visit
INSERT INTO predicted_position (visit_id, moving_object_id, ra, dec, ra_err, dec_err, ra_dec_cov, ra_rate, dec_rate)
SELECT %(visit_id)s, p.id, p.ra, p.dec, p.err, p.err, CASE WHEN p.err IS NOT NULL THEN 0 END, p.ra_rate, p.dec_rate
FROM unnest(%(ids)s::bigint[], %(ra)s::float8[], %(dec)s::float8[], %(err)s::real[], %(ra_rate)s::real[],
            %(dec_rate)s::real[]) AS p (id, ra, dec, err, ra_rate, dec_rate)
ON CONFLICT (visit_id, moving_object_id) DO UPDATE SET
    ra = excluded.ra, dec = excluded.dec, ra_err = excluded.ra_err, dec_err = excluded.dec_err,
    ra_dec_cov = excluded.ra_dec_cov, ra_rate = excluded.ra_rate, dec_rate = excluded.dec_rate

-- predicted: MovingObjects predicted in a Visit
SELECT moving_object_id, ra, dec FROM predicted_position WHERE visit_id = %(visit_id)s ORDER BY moving_object_id

-- save_orbits: MovingObjects with their orbits
INSERT INTO moving_object (moving_object_id, name, epoch_tai, perihelion_distance, eccentricity, inclination, node,
                           perihelion_argument, perihelion_tai)
SELECT * FROM unnest(%(ids)s::bigint[], %(names)s::text[], %(epoch_tai)s::float8[], %(perihelion_distance)s::float8[],
                     %(eccentricity)s::float8[], %(inclination)s::float8[], %(node)s::float8[],
                     %(perihelion_argument)s::float8[], %(perihelion_tai)s::float8[])
ON CONFLICT (moving_object_id) DO NOTHING

-- judge_visit: what became of a Visit's detectors; it failed if none gave a difference
WITH lost AS (
    SELECT count(DISTINCT detector_id) AS detectors, string_agg(DISTINCT condition, ', ') AS conditions
    FROM exposure WHERE visit_id = %(visit_id)s AND kind = 'raw' AND condition IS NOT NULL
)
UPDATE visit AS v
SET condition = CASE WHEN l.detectors > 0 THEN format('%%s of %%s detectors: %%s', l.detectors, v.detectors, l.conditions) END,
    state = CASE WHEN l.detectors < v.detectors THEN v.state ELSE 'failed' END
FROM lost AS l
WHERE v.visit_id = %(visit_id)s AND (l.detectors > 0 OR v.condition IS NOT NULL)

-- overdue: let Visits whose frames don't come fail with that condition, and tell the control system
WITH failed AS (
    UPDATE visit
    SET state = 'failed',
        condition = format('missing_frames: %%s of %%s raw exposures arrived', raw_arrived, snaps * detectors)
    WHERE state = 'arriving' AND shutter_close_tai < hven.tai_mjd(clock_timestamp()) - %(patience)s / 86400.0
      AND (%(night)s::integer IS NULL OR night = %(night)s)
    RETURNING visit_id, condition)
INSERT INTO ocs_feedback (visit_id, topic, message)
SELECT visit_id, 'assessment failed', jsonb_build_object('subject', visit_id, 'reason', condition) FROM failed
RETURNING visit_id

-- give_up: let Visits fail whose association died, with its reason
UPDATE visit AS v
SET state = 'failed', condition = 'association: ' || left(coalesce(j.error, j.state), 200)
FROM queue.job AS j
WHERE v.night = %(night)s AND v.state = 'ready' AND j.production_id = %(production_id)s
  AND j.key = 'visit ' || v.visit_id || ' associate' AND j.state IN ('dead', 'cancelled')
RETURNING v.visit_id

-- blame_detectors: say on raw exposures that their detector's job died
UPDATE exposure AS e SET condition = 'job died: ' || left(regexp_replace(rtrim(j.error, E'\n'), '^.*\n', ''), 200)
FROM queue.job AS j
WHERE j.production_id = %(production_id)s AND j.kind = 'detector' AND j.state = 'dead'
  AND e.visit_id = (j.parameters ->> 'visit_id')::bigint AND e.detector_id = (j.parameters ->> 'detector_id')::smallint
  AND e.kind = 'raw' AND e.visit_id >> 12 = %(night)s
RETURNING e.visit_id

-- left_over: Visits of a night with staged rows, or with detectors that no association has seen
SELECT visit_id FROM visit
WHERE night = %(night)s AND state = 'associated' AND EXISTS (
    SELECT FROM staging.dia_source AS s WHERE s.visit_id = visit.visit_id
    UNION ALL SELECT FROM staging.forced_dia_source AS s WHERE s.visit_id = visit.visit_id)
ORDER BY visit_id

-- stop_waiting: let associations that wait for a dead job go on without it
UPDATE queue.job AS j SET run_by = now()
WHERE j.production_id = %(production_id)s AND j.kind = 'associate' AND j.state = 'waiting' AND EXISTS (
    SELECT FROM queue.job_dependency AS d JOIN queue.job AS r ON r.job_id = d.requires_job_id
    WHERE d.job_id = j.job_id AND r.state IN ('dead', 'cancelled'))
RETURNING j.job_id

-- left_to_do: jobs of a production that can still be done
SELECT count(*) FROM queue.job AS j
WHERE j.production_id = %(production_id)s
  AND (j.state IN ('ready', 'running') OR j.state = 'waiting' AND (j.unmet = 0 OR j.run_by IS NOT NULL))

-- close_visits: Visits that are done with
UPDATE visit SET state = 'closed' WHERE night = %(night)s AND state = 'associated' RETURNING visit_id

-- begin_of_night: when the first Visit of a night was
SELECT min(midpoint_tai) FROM visit WHERE night = %(night)s

-- deduplicate: merge doubles of Objects that were found since
SELECT hven.deduplicate_objects(%(since_tai)s)

-- reindex_moved: let Objects that have moved be indexed where they are now; sums about the mean position are 0
WITH moved AS (
    DELETE FROM object_moved RETURNING object_id
)
UPDATE object AS o
SET ra = o.mean_ra, dec = o.mean_dec, healpix29 = hven.healpix29(o.mean_ra, o.mean_dec), weighted_x = 0, weighted_y = 0
FROM moved WHERE o.object_id = moved.object_id
RETURNING o.object_id

-- years_over: years before a night's of which there are monthly partitions, by release
SELECT DISTINCT parts[1]::integer AS release, parts[2]::integer AS year
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
CROSS JOIN LATERAL regexp_match(c.relname, '_r([0-9]{2})_([0-9]{4})_[0-9]{2}$') AS parts
WHERE i.inhparent = 'dia_source'::regclass AND parts[2]::integer < extract(year FROM date '1858-11-17' + 50000 + %(night)s::integer)
ORDER BY 1, 2

-- merge_year: make one partition of a year's months, of each table of measurements
SELECT hven.merge_year(%(release)s, %(year)s)

-- dangling: measurements and Alerts of a night whose parents are missing
SELECT c.relation || '.' || c.reference, count(*), min(c.missing)
FROM hven.visit_ids(%(night)s::bigint << 12) AS v CROSS JOIN hven.visit_ids((%(night)s + 1)::bigint << 12) AS next
CROSS JOIN hven.check_references(v.first, next.first - 1) AS c
GROUP BY 1 ORDER BY 1

-- states: Visits of a night by state
SELECT state, count(*) AS visits FROM visit WHERE night = %(night)s GROUP BY state ORDER BY state

-- backlog: complete Visits that wait for their Alerts, and how long the oldest has waited
SELECT count(*) AS visits,
       round((86400 * (hven.tai_mjd(clock_timestamp()) - min(shutter_close_tai)))::numeric, 1) AS oldest_s
FROM visit WHERE night = %(night)s AND state = 'ready'

-- latency: seconds from shutter close to the outbox, over Alerts
SELECT count(*) AS alerts,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)::numeric, 1) AS p50_s,
       round(percentile_cont(0.98) WITHIN GROUP (ORDER BY seconds)::numeric, 1) AS p98_s,
       round(100.0 * count(*) FILTER (WHERE seconds < 60) / nullif(count(*), 0), 1) AS under_60_s_percent
FROM (
    SELECT 86400 * (a.selected_tai - v.shutter_close_tai) AS seconds
    FROM visit AS v JOIN alert AS a USING (visit_id) WHERE v.night = %(night)s AND a.version = 1
) AS l

-- troubles: Visits of a night that something is wrong with, the latest first
SELECT visit_id, state, condition FROM visit WHERE night = %(night)s AND condition IS NOT NULL
ORDER BY visit_id DESC LIMIT 10

-- late_telemetry: topics of the telemetry that are not copied up to a night's end
SELECT t.name, max(y.to_tai) AS complete_to_mjd
FROM efd.topic AS t LEFT JOIN efd.sync AS y USING (topic_id)
GROUP BY t.name
HAVING coalesce(max(y.to_tai), 0) < (SELECT max(shutter_close_tai) FROM visit WHERE night = %(night)s)
ORDER BY t.name

-- live_release: the number in the ids of what is measured now
SELECT hven.live_release()

-- templates_under: templates in use of a Visit's band whose patches an outline meets
SELECT f.sha256
FROM visit AS v JOIN coadd AS c ON c.filter_id = v.filter_id AND c.kind = 'template' AND c.is_current
JOIN patch AS p USING (patch_id) JOIN queue.file AS f ON f.file_id = c.file_id
WHERE v.visit_id = %(visit_id)s AND p.outer_region OPERATOR(public.&&) %(outline)s
ORDER BY p.patch_id

-- prepare_night: partitions for the measurements of a night
SELECT hven.ensure_partitions(hven.live_release(), %(night)s, %(night)s)
