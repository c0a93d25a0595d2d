-- unarchived: Visits with Alerts that no gate of quality holds and that may be archived now, the oldest first
SELECT a.visit_id, count(*) AS alerts
FROM outbox AS o JOIN alert AS a USING (dia_source_id, version)
WHERE o.stream = 'full' AND o.state = 'waiting' AND o.next_attempt <= now()
  AND o.outbox_id NOT IN (SELECT h.outbox_id FROM hven.held_alerts() AS h)
GROUP BY a.visit_id ORDER BY min(o.outbox_id)

-- to_archive: the Alerts of a Visit without place in the full stream that no gate holds
SELECT a.*
FROM outbox AS o JOIN alert AS a USING (dia_source_id, version)
WHERE o.stream = 'full' AND o.state = 'waiting' AND a.visit_id = %(visit_id)s
  AND o.outbox_id NOT IN (SELECT h.outbox_id FROM hven.held_alerts() AS h)
ORDER BY o.outbox_id

-- alert: some Alerts, all their versions
SELECT * FROM alert WHERE dia_source_id = ANY (%(ids)s) ORDER BY dia_source_id, version

-- visit: a Visit with the name of its band, and its instrument
SELECT v.*, f.name AS band,
       (SELECT min(d.instrument) FROM detector AS d JOIN exposure AS e USING (detector_id) WHERE e.visit_id = v.visit_id) AS instrument
FROM visit AS v JOIN filter AS f USING (filter_id)
WHERE v.visit_id = %(visit_id)s

-- exposures: Difference Exposures of a Visit
SELECT * FROM exposure WHERE visit_id = %(visit_id)s AND kind = 'difference'

-- stamps: the files of stamps of a Visit, by detector
SELECT e.detector_id, f.sha256
FROM exposure AS e JOIN queue.file AS f ON f.file_id = e.stamps_file_id
WHERE e.visit_id = %(visit_id)s AND e.kind = 'difference' AND e.snap = 0

-- dia_source: some DiaSources
SELECT * FROM dia_source WHERE dia_source_id = ANY (%(ids)s)

-- dia_source_snap: some DiaSources as measured on each Snap
SELECT * FROM dia_source_snap WHERE dia_source_id = ANY (%(ids)s) ORDER BY dia_source_id, snap

-- object: some Objects
SELECT * FROM object WHERE object_id = ANY (%(ids)s)

-- object_flux: fluxes of some Objects in each filter
SELECT x.*, f.name AS band FROM object_flux AS x JOIN filter AS f USING (filter_id)
WHERE x.object_id = ANY (%(ids)s) ORDER BY x.object_id, f.effective_wavelength, x.filter_id

-- moving_object: some MovingObjects
SELECT * FROM moving_object WHERE moving_object_id = ANY (%(ids)s)

-- object_history: detections and forced fluxes of some Objects in a time before a Visit, the latest first, and how many there are
SELECT o.object_id AS parent, h.*
FROM unnest(%(ids)s::bigint[]) AS o (object_id) CROSS JOIN LATERAL (
    SELECT h.*, count(*) OVER () AS total
    FROM (
        SELECT 0 AS forced, d.dia_source_id AS id, d.midpoint_tai, d.filter_id, d.ra, d.dec, d.x, d.y, d.psf_flux,
               d.psf_flux_err, d.snr
        FROM dia_source AS d
        WHERE d.object_id = o.object_id AND d.dia_source_id >= %(since)s AND d.dia_source_id < %(first)s
          AND d.time_withdrawn IS NULL
        UNION ALL
        SELECT 1, s.forced_dia_source_id, s.midpoint_tai, s.filter_id, s.ra, s.dec, s.x, s.y, s.psf_flux,
               s.psf_flux_err, NULL
        FROM forced_dia_source AS s
        WHERE s.object_id = o.object_id AND s.forced_dia_source_id >= %(since)s AND s.forced_dia_source_id < %(first)s
          AND s.time_withdrawn IS NULL
    ) AS h
    ORDER BY h.midpoint_tai DESC, h.forced, h.id DESC LIMIT %(most)s
) AS h

-- moving_object_history: detections of some MovingObjects in a time before a Visit, the latest first, and how many there are
SELECT o.object_id AS parent, h.*
FROM unnest(%(ids)s::bigint[]) AS o (object_id) CROSS JOIN LATERAL (
    SELECT 0 AS forced, d.dia_source_id AS id, d.midpoint_tai, d.filter_id, d.ra, d.dec, d.x, d.y, d.psf_flux,
           d.psf_flux_err, d.snr, count(*) OVER () AS total
    FROM dia_source AS d
    WHERE d.moving_object_id = o.object_id AND d.dia_source_id >= %(since)s AND d.dia_source_id < %(first)s
      AND d.time_withdrawn IS NULL
    ORDER BY d.dia_source_id DESC LIMIT %(most)s
) AS h

-- bands: names of the filters
SELECT filter_id, name FROM filter

-- lock: let nobody else give places until this transaction ends
SELECT pg_advisory_xact_lock(hashtext('hven alerts'), hashtext(%(stream)s))

-- offer: give Alerts of a Visit the next places in the full stream
WITH here AS (
    SELECT o.outbox_id, row_number() OVER (ORDER BY o.outbox_id) AS number
    FROM outbox AS o JOIN unnest(%(ids)s::bigint[], %(versions)s::smallint[]) AS p (dia_source_id, version) USING (dia_source_id, version)
    WHERE o.stream = 'full' AND o.place IS NULL
), last AS (
    SELECT coalesce(max(place), 0) AS place FROM outbox WHERE stream = 'full'
)
UPDATE outbox AS o
SET place = last.place + here.number, state = 'sent', sent = clock_timestamp(), attempts = o.attempts + 1, last_error = NULL
FROM here, last WHERE o.outbox_id = here.outbox_id

-- postpone: what keeps a Visit's Alerts from the archive; tried again later
UPDATE outbox AS o
SET attempts = least(o.attempts + 1, 32767), last_error = %(error)s,
    next_attempt = now() + least(%(first)s * 2 ^ least(o.attempts, 20), %(longest)s) * interval '1 second'
FROM alert AS a
WHERE a.dia_source_id = o.dia_source_id AND a.version = o.version AND a.visit_id = %(visit_id)s AND o.stream = 'full'
  AND o.state = 'waiting'

-- streams: filtered streams that may go on
SELECT name, predicate, target, cursor FROM alert_stream WHERE state = 'active' ORDER BY name

-- all_streams: filtered streams and what waits in them
SELECT s.name, s.state, s.predicate, s.target, s.cursor, s.registered_by, s.last_error,
       count(o.outbox_id) AS alerts, count(*) FILTER (WHERE o.state = 'waiting') AS waiting,
       count(*) FILTER (WHERE o.state = 'dead') AS dead
FROM alert_stream AS s LEFT JOIN outbox AS o ON o.stream = s.name
GROUP BY s.name ORDER BY s.name

-- last_place: the last place in the full stream
SELECT coalesce(max(place), 0) FROM outbox WHERE stream = 'full'

-- filter: places that a predicate lets pass
SELECT hven.filter_alerts(%(predicate)s, %(after)s, %(upto)s)

-- advance: a stream is filtered up to a place; nothing if somebody else did it
UPDATE alert_stream SET cursor = %(upto)s WHERE name = %(name)s AND cursor = %(after)s AND state = 'active'

-- admit: give Alerts by their places in the full stream the next places in another
INSERT INTO outbox (dia_source_id, version, stream, place, state, sent)
SELECT o.dia_source_id, o.version, %(name)s, last.place + row_number() OVER (ORDER BY o.place),
       CASE WHEN %(target)s::text IS NULL THEN 'sent' ELSE 'waiting' END,
       CASE WHEN %(target)s::text IS NULL THEN clock_timestamp() END
FROM outbox AS o, (SELECT coalesce(max(place), 0) AS place FROM outbox WHERE stream = %(name)s) AS last
WHERE o.stream = 'full' AND o.place = ANY (%(places)s)
ON CONFLICT (dia_source_id, version, stream) DO NOTHING

-- stop: a stream that can't go on
UPDATE alert_stream SET state = 'stopped', last_error = %(error)s WHERE name = %(name)s

-- next: the next Alert to be sent, held until the transaction ends
WITH ready AS MATERIALIZED (  -- by the small index of what waits, not by place through all that was ever sent
    SELECT outbox_id FROM outbox WHERE stream = %(stream)s AND state = 'waiting' AND next_attempt <= now()
)
SELECT o.outbox_id, o.attempts, o.last_error, a.ivorn, p.byte_offset, p.byte_length, f.sha256
FROM ready JOIN outbox AS o USING (outbox_id)
JOIN alert AS a USING (dia_source_id, version)
JOIN alert_packet AS p ON p.dia_source_id = o.dia_source_id AND p.version = o.version AND p.encoding = 'voevent'
JOIN queue.file AS f USING (file_id)
WHERE o.state = 'waiting'
ORDER BY o.place LIMIT 1 FOR UPDATE OF o SKIP LOCKED

-- sent: the receiver has it
UPDATE outbox SET state = 'sent', sent = clock_timestamp(), attempts = attempts + 1, last_error = NULL
WHERE outbox_id = %(outbox_id)s

-- not_sent: what an attempt met; dead if the receiver refused it too often
UPDATE outbox
SET attempts = least(attempts + 1, 32767), last_error = %(error)s, state = CASE WHEN %(dead)s THEN 'dead' ELSE state END,
    next_attempt = clock_timestamp() + %(delay)s * interval '1 second'
WHERE outbox_id = %(outbox_id)s

-- retry: let dead Alerts of a stream wait again
UPDATE outbox SET state = 'waiting', attempts = 0, next_attempt = now() WHERE stream = %(stream)s AND state = 'dead' RETURNING outbox_id

-- resume: let a stopped stream go on
UPDATE alert_stream SET state = 'active', last_error = NULL WHERE name = %(name)s AND state = 'stopped' RETURNING name

-- read: packets of a stream after a place
SELECT o.place, a.ivorn, p.byte_offset, p.byte_length, f.sha256
FROM outbox AS o
JOIN alert AS a USING (dia_source_id, version)
JOIN alert_packet AS p ON p.dia_source_id = o.dia_source_id AND p.version = o.version AND p.encoding = 'voevent'
JOIN queue.file AS f USING (file_id)
WHERE o.stream = %(stream)s AND o.place > %(after)s
ORDER BY o.place LIMIT %(limit)s

-- stream_exists: whether a stream is registered
SELECT %(stream)s = 'full' OR EXISTS (SELECT FROM alert_stream WHERE name = %(stream)s)

-- acknowledge: keep a consumer's place; return it
SELECT hven.acknowledge_alerts(%(consumer)s, %(stream)s, %(place)s)

-- packets: where packets of some Alerts lie
SELECT a.ivorn, a.dia_source_id, a.version, p.encoding, p.byte_offset, p.byte_length, f.sha256
FROM (
    SELECT * FROM alert
    WHERE dia_source_id = %(id)s OR object_id = %(id)s OR visit_id = %(id)s OR ivorn = %(ivorn)s
    UNION
    SELECT m.* FROM dia_source AS d JOIN alert AS m USING (dia_source_id) WHERE d.moving_object_id = %(id)s
) AS a JOIN alert_packet AS p USING (dia_source_id, version) JOIN queue.file AS f USING (file_id)
WHERE p.encoding = %(encoding)s
ORDER BY a.dia_source_id, a.version

-- list: Alerts by what is asked for, the latest first
SELECT w.ivorn, w.visit_id, w.midpoint_tai, w.ra, w.dec, w.band, w.snr, w.psf_flux, w.reliability, w.object_id,
       w.is_moving, w.cites_as, o.place, o.state
FROM alert_wide AS w JOIN outbox AS o USING (dia_source_id, version)
WHERE o.stream = %(stream)s
  AND (%(visit_id)s::bigint IS NULL OR w.visit_id = %(visit_id)s)
  AND (%(object_id)s::bigint IS NULL OR w.object_id = %(object_id)s)
  AND (%(since)s::float8 IS NULL OR w.midpoint_tai >= %(since)s)
  AND (%(until)s::float8 IS NULL OR w.midpoint_tai < %(until)s)
  AND (%(radius)s::float8 IS NULL OR w.dia_source_id IN (
      SELECT c.dia_source_id FROM hven.sky_cone(NULL::dia_source, %(ra)s, %(dec)s, %(radius)s) AS c))
ORDER BY o.place DESC NULLS FIRST LIMIT %(limit)s

-- latency: seconds from the close of the shutter to selection and to sending, by stream
SELECT o.stream, o.state, count(*) AS alerts,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY late.selected) AS selected_p50,
       percentile_cont(0.98) WITHIN GROUP (ORDER BY late.selected) AS selected_p98,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY late.sent) AS sent_p50,
       percentile_cont(0.98) WITHIN GROUP (ORDER BY late.sent) AS sent_p98
FROM outbox AS o JOIN alert AS a USING (dia_source_id, version) JOIN visit AS v USING (visit_id)
CROSS JOIN LATERAL (SELECT 86400 * (a.selected_tai - v.shutter_close_tai) AS selected,
                           86400 * (hven.tai_mjd(o.sent) - v.shutter_close_tai) AS sent) AS late
WHERE v.midpoint_tai >= %(since)s
GROUP BY o.stream, o.state ORDER BY o.stream, o.state

-- register: a filtered stream
SELECT hven.register_alert_stream(%(name)s, %(predicate)s, %(target)s)

-- drop: end a filtered stream
SELECT hven.drop_alert_stream(%(name)s)
