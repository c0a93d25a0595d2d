-- Alert selection: which DiaSources of a Visit are sent, and what is force-photometered from now on.
-- minimum revision: science_0006
-- databases: level1
-- requires: association/open association/read time
-- execute: hven_worker hven_operator

CREATE OR REPLACE FUNCTION hven.alerts_chosen(visit bigint, p jsonb, OUT ids bigint[], OUT ra bytea, OUT "dec" bytea)
LANGUAGE plpgsql STABLE
SET enable_nestloop = off
AS $$
DECLARE
    v :catalogue.visit;
    rule CONSTANT text := p ->> 'rule';
    threshold CONSTANT float8 := p ->> 'threshold';
    snap_threshold CONSTANT float8 := p ->> 'snap_threshold';
    snap_sigma CONSTANT float8 := p ->> 'snap_sigma';
    snap_fraction CONSTANT float8 := p ->> 'snap_fraction';
    lowest bigint;
    highest bigint;
BEGIN
    SELECT * INTO v FROM :catalogue.visit x WHERE x.visit_id = visit;
    IF v.state IS NULL OR v.state NOT IN ('associated', 'closed') THEN
        RAISE EXCEPTION USING ERRCODE = 'VN020',
            MESSAGE = format('select_alerts: Visit %s is %s, allowed is associated', visit, coalesce(v.state, 'unknown')),
            HINT = 'Call associate_visit first.';
    END IF;
    SELECT i.first, i.last INTO lowest, highest FROM hven.visit_ids(visit) i;
    SELECT array_agg(d.dia_source_id), string_agg(float8send(d.ra), ''), string_agg(float8send(d.dec), '')
    INTO ids, ra, "dec"
    FROM (
        SELECT d.dia_source_id, d.ra, d.dec
        FROM :catalogue.dia_source d
        LEFT JOIN (
            SELECT s.dia_source_id, count(*) AS snaps, min(s.snr) AS least, max(s.snr) AS most, bool_or(s.cosmic_ray_like) AS is_ray,
                   max(s.psf_flux) - min(s.psf_flux) AS difference, sqrt(sum(s.psf_flux_err::float8 * s.psf_flux_err)) AS err
            FROM :catalogue.dia_source_snap s
            WHERE s.dia_source_id BETWEEN lowest AND highest AND s.psf_flux_flag IS NOT TRUE
            GROUP BY s.dia_source_id
        ) s USING (dia_source_id)
        WHERE d.dia_source_id BETWEEN lowest AND highest AND d.time_withdrawn IS NULL AND NOT d.rejected
          AND CASE WHEN v.snaps = 1 OR rule = 'visit' THEN d.snr >= threshold
                   WHEN s.snaps IS DISTINCT FROM v.snaps THEN false
                   WHEN rule = 'each_snap' THEN CASE WHEN d.psf_flux < 0 THEN -s.most ELSE s.least END >= threshold
                   ELSE d.snr >= threshold AND CASE WHEN d.psf_flux < 0 THEN -s.most ELSE s.least END >= snap_threshold END
          AND s.is_ray IS NOT TRUE
          AND coalesce(s.difference <= snap_sigma * s.err + snap_fraction * abs(d.psf_flux), true)
        ORDER BY d.dia_source_id
    ) d;
END
$$;

COMMENT ON FUNCTION hven.alerts_chosen(bigint, jsonb) IS
'DiaSources of an associated Visit that pass the Snap rule and that no cosmic ray explains, with their positions as big-endian bytes. A Visit of one Snap is judged by its sum.';


CREATE OR REPLACE FUNCTION hven.alerts_hosts(
    lowest bigint[], highest bigint[], OUT "range" bytea, OUT ids bytea, OUT ra bytea, OUT "dec" bytea, OUT ixx bytea,
    OUT iyy bytea, OUT ixy bytea)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    SELECT string_agg(int4send(r.number::integer - 1), ''), string_agg(int8send(o.object_id), ''),
           string_agg(float8send(o.mean_ra), ''), string_agg(float8send(o.mean_dec), ''),
           string_agg(float4send(o.ixx), ''), string_agg(float4send(o.iyy), ''), string_agg(float4send(o.ixy), '')
    INTO "range", ids, ra, "dec", ixx, iyy, ixy
    FROM unnest(lowest, highest) WITH ORDINALITY AS r (lowest, highest, number)
    JOIN :catalogue.object o ON o.healpix29 >= r.lowest AND o.healpix29 <= r.highest
    WHERE o.extendedness >= 0.5 AND o.ixx * o.iyy > o.ixy * o.ixy AND o.time_withdrawn IS NULL;
END
$$;

COMMENT ON FUNCTION hven.alerts_hosts(bigint[], bigint[]) IS
'Extended Objects with footprints in ranges of healpix29, with the number of the range from 0, as columns of big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.alerts_insert(visit bigint, p jsonb, ids bigint[], hosts bigint[], OUT alerts bigint, OUT superseding bigint)
LANGUAGE plpgsql
SET enable_nestloop = off
AS $$
DECLARE
    v :catalogue.visit;
    lowest bigint;
    highest bigint;
BEGIN
    SELECT * INTO v FROM :catalogue.visit x WHERE x.visit_id = visit;
    -- As values: a join with them would be a nested loop, and where these are off the planner may read all DiaSources.
    SELECT i.first, i.last INTO lowest, highest FROM hven.visit_ids(visit) i;
    WITH chosen AS MATERIALIZED (
        SELECT d.dia_source_id, d.object_id, d.moving_object_id, nullif(c.host, 0) AS host, d.exposure_id, d.snr
        FROM unnest(ids, hosts) AS c (dia_source_id, host)
        JOIN :catalogue.dia_source d USING (dia_source_id)
        WHERE d.dia_source_id BETWEEN lowest AND highest
    ), snaps AS (
        SELECT s.dia_source_id, array_agg(s.exposure_id ORDER BY s.snap) AS exposures
        FROM :catalogue.dia_source_snap s WHERE s.dia_source_id BETWEEN lowest AND highest
        GROUP BY s.dia_source_id
    ), latest AS (
        SELECT DISTINCT ON (a.dia_source_id) a.* FROM :catalogue.alert a JOIN unnest(ids) AS c (dia_source_id) USING (dia_source_id)
        WHERE a.visit_id = visit ORDER BY a.dia_source_id, a.version DESC
    ), earlier AS (
        SELECT a.object_id, a.moving_object_id, a.version, a.ivorn, a.is_replayed FROM hven.alerts_outdated(visit, ids) a
        UNION ALL
        SELECT a.object_id, a.moving_object_id, a.version, a.ivorn, a.is_replayed FROM latest a WHERE a.cites_as = 'retraction'
    ), alerted AS (
        INSERT INTO :catalogue.alert (dia_source_id, version, ivorn, cites, cites_as, object_id, moving_object_id, visit_id,
                                      exposure_id, rule, host_object_id, is_moving, selected_tai, is_replayed)
        SELECT c.dia_source_id, coalesce(e.version + 1, 1), hven.alert_ivorn(p ->> 'ivorn_prefix', c.dia_source_id, coalesce(e.version + 1, 1)),
               e.ivorn, CASE WHEN e.ivorn IS NOT NULL THEN 'supersedes' END, c.object_id, c.moving_object_id, visit,
               coalesce(s.exposures, ARRAY[c.exposure_id]), p ->> 'rule', c.host, c.moving_object_id IS NOT NULL,
               hven.tai_mjd(clock_timestamp()), NOT (p ->> 'send')::boolean OR coalesce(e.is_replayed, false)
        FROM chosen c LEFT JOIN snaps s USING (dia_source_id)
        LEFT JOIN earlier e ON coalesce(e.object_id, e.moving_object_id) = coalesce(c.object_id, c.moving_object_id)
        LEFT JOIN latest l USING (dia_source_id)
        WHERE l.dia_source_id IS NULL OR l.cites_as = 'retraction'
        ORDER BY c.dia_source_id
        RETURNING dia_source_id, version, object_id, cites, is_replayed
    ), sent AS (
        INSERT INTO :catalogue.outbox (dia_source_id, version, stream)
        SELECT dia_source_id, version, p ->> 'stream' FROM alerted WHERE NOT is_replayed ORDER BY dia_source_id
    ), forced AS (
        INSERT INTO :catalogue.force_list AS f (object_id, since_visit_id, expires_tai, priority)
        SELECT a.object_id, visit, v.midpoint_tai + (p ->> 'force_days')::float8, c.snr
        FROM alerted a JOIN chosen c USING (dia_source_id)
        WHERE a.object_id IS NOT NULL AND v.midpoint_tai IS NOT NULL
        ORDER BY a.object_id
        ON CONFLICT (object_id) DO UPDATE
        SET expires_tai = greatest(f.expires_tai, excluded.expires_tai), priority = greatest(f.priority, excluded.priority)
    )
    SELECT count(*), count(cites) INTO alerts, superseding FROM alerted;
END
$$;

COMMENT ON FUNCTION hven.alerts_insert(bigint, jsonb, bigint[], bigint[]) IS
'Writes Alerts for DiaSources of a Visit, with their hosts (0 = none), hands them to the outbox and puts their Objects on the list to be force-photometered. One that was sent stays as it is; one that takes the place of an outdated one cites it. Without send none goes to the outbox. Returns how many are new, and how many of these supersede others.';


CREATE OR REPLACE FUNCTION hven.alert_ivorn(prefix text, dia_source_id bigint, version integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN prefix || dia_source_id || CASE WHEN version > 1 THEN '-' || version ELSE '' END;

COMMENT ON FUNCTION hven.alert_ivorn(text, bigint, integer) IS
'Identifier of an Alert: the prefix, its DiaSource and, from the second on, its version.';


CREATE OR REPLACE FUNCTION hven.alerts_outdated(visit bigint, ids bigint[])
RETURNS SETOF :catalogue.alert
LANGUAGE sql STABLE
AS $$
    SELECT a.* FROM :catalogue.alert a
    WHERE a.visit_id = visit AND a.dia_source_id >= (SELECT i.first FROM hven.visit_ids(visit) i)
      AND a.dia_source_id <> ALL (coalesce(ids, '{}')) AND a.cites_as IS DISTINCT FROM 'retraction'
      AND NOT EXISTS (SELECT FROM :catalogue.alert later WHERE later.visit_id = visit AND later.cites = a.ivorn)
$$;

COMMENT ON FUNCTION hven.alerts_outdated(bigint, bigint[]) IS
'Alerts of a Visit, latest versions, whose DiaSources are not among those given; what was sent under ids of an earlier release is left alone.';


CREATE OR REPLACE FUNCTION hven.alerts_retract(visit bigint, p jsonb, ids bigint[], OUT retracted bigint)
LANGUAGE plpgsql
AS $$
BEGIN
    WITH gone AS (
        INSERT INTO :catalogue.alert (dia_source_id, version, ivorn, cites, cites_as, object_id, moving_object_id, visit_id,
                                      exposure_id, rule, host_object_id, is_moving, selected_tai, is_replayed)
        SELECT a.dia_source_id, a.version + 1, hven.alert_ivorn(p ->> 'ivorn_prefix', a.dia_source_id, a.version + 1), a.ivorn,
               'retraction', a.object_id, a.moving_object_id, visit, a.exposure_id, a.rule, a.host_object_id, a.is_moving,
               hven.tai_mjd(clock_timestamp()), NOT (p ->> 'send')::boolean OR a.is_replayed
        FROM hven.alerts_outdated(visit, ids) a ORDER BY a.dia_source_id
        RETURNING dia_source_id, version, is_replayed
    ), sent AS (
        INSERT INTO :catalogue.outbox (dia_source_id, version, stream)
        SELECT dia_source_id, version, p ->> 'stream' FROM gone WHERE NOT is_replayed ORDER BY dia_source_id
    )
    SELECT count(*) INTO retracted FROM gone;
END
$$;

COMMENT ON FUNCTION hven.alerts_retract(bigint, jsonb, bigint[]) IS
'Retracts what was sent of a Visit for DiaSources that are not among those given, unless it was superseded; returns how many.';


CREATE OR REPLACE FUNCTION hven.alerts_sent_before(visit bigint, OUT ra bytea, OUT "dec" bytea)
LANGUAGE sql STABLE
AS $$
    SELECT string_agg(float8send(d.ra), ''), string_agg(float8send(d.dec), '')
    FROM hven.visit_ids(visit) i JOIN :catalogue.alert a ON a.visit_id = visit AND a.dia_source_id < i.first
    JOIN :catalogue.dia_source d USING (dia_source_id)
    WHERE a.version = 1 AND NOT a.is_replayed
$$;

COMMENT ON FUNCTION hven.alerts_sent_before(bigint) IS
'Where Alerts of a Visit were sent under the ids of an earlier release, as columns of big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.alerts_force(visit bigint, p jsonb, ids bigint[])
RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO :catalogue.force_list AS f (object_id, since_visit_id, expires_tai, priority)
    SELECT d.object_id, visit, v.midpoint_tai + (p ->> 'force_days')::float8, max(d.snr)
    FROM hven.visit_ids(visit) i JOIN :catalogue.dia_source d ON d.dia_source_id BETWEEN i.first AND i.last
    JOIN :catalogue.visit v ON v.visit_id = visit
    WHERE d.dia_source_id = ANY (ids) AND d.object_id IS NOT NULL AND v.midpoint_tai IS NOT NULL
    GROUP BY d.object_id, v.midpoint_tai ORDER BY d.object_id
    ON CONFLICT (object_id) DO UPDATE
    SET expires_tai = greatest(f.expires_tai, excluded.expires_tai), priority = greatest(f.priority, excluded.priority)
$$;

COMMENT ON FUNCTION hven.alerts_force(bigint, jsonb, bigint[]) IS
'Puts the Objects of DiaSources of a Visit on the list to be force-photometered.';


CREATE OR REPLACE FUNCTION hven.alerts_trim_list(visit bigint, most bigint, OUT expired bigint, OUT dropped bigint)
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM :catalogue.force_list f USING :catalogue.visit v WHERE v.visit_id = visit AND f.expires_tai < v.midpoint_tai;
    GET DIAGNOSTICS expired = ROW_COUNT;
    dropped := 0;
    -- A row takes 56 bytes or more: rows need be counted in a list near its bound only.
    IF pg_relation_size(':catalogue.force_list') / 56 > most THEN
        DELETE FROM :catalogue.force_list
        WHERE object_id IN (SELECT f.object_id FROM :catalogue.force_list f ORDER BY f.priority DESC, f.object_id OFFSET most);
        GET DIAGNOSTICS dropped = ROW_COUNT;
    END IF;
END
$$;

COMMENT ON FUNCTION hven.alerts_trim_list(bigint, bigint) IS
'Takes off the list of force-photometered Objects what expired before a Visit, and what exceeds its bound.';


CREATE OR REPLACE FUNCTION hven.select_alerts(visit_id bigint, parameters jsonb DEFAULT '{}')
RETURNS jsonb
LANGUAGE plpython3u SECURITY DEFINER  -- workers write no catalogue themselves
SET search_path = pg_catalog, pg_temp
AS $python$
-- include: steps.py
-- include: sky/healpix.py
-- include: sky/cover.py
-- include: plane.py
-- include: refused.py
-- include: select_alerts.py
call = Steps(plpy, SD)
try:
    p = Parameters.of(parameters)
except RefusedError as refused:
    plpy.error(f"select_alerts: {refused}", hint=refused.remedy, sqlstate=refused.code)
ids, *places = call("alerts_chosen(bigint, jsonb)", visit_id, p.json()).values()
ra, dec = columns(dict(enumerate(places)), "ff")
known = sent_before(ra, dec, *call.arrays("alerts_sent_before(bigint)", "ff", visit_id), p)
fresh = np.array(ids or [], np.int64)[~known]
which, lowest, highest = ranges(ra[~known], dec[~known], p)
found = call.arrays("alerts_hosts(bigint[], bigint[])", "48ffeee", lowest, highest)
alerts = call("alerts_insert(bigint, jsonb, bigint[], bigint[])", visit_id, p.json(), fresh, hosts(ra[~known], dec[~known], which, found))
retracted = call("alerts_retract(bigint, jsonb, bigint[])", visit_id, p.json(), ids)
if known.any():
    call("alerts_force(bigint, jsonb, bigint[])", visit_id, p.json(), np.array(ids)[known])
return call.report(**alerts, sent_before=int(known.sum()), **retracted, **call("alerts_trim_list(bigint, bigint)", visit_id, p.most_forced))
$python$;

COMMENT ON FUNCTION hven.select_alerts(bigint, jsonb) IS
'Selects the Alerts of an associated Visit and hands them to the outbox, in the caller''s transaction; after a rerun of the Visit, outdated Alerts are superseded or retracted. What was alerted under the ids of an earlier release is not alerted again. Returns counts and the milliseconds of each step; VN020 before association, VN023 for a parameter that is unknown or impossible.';


CREATE OR REPLACE FUNCTION hven.exposures_with_many_alerts(sigma float8 DEFAULT 5, since_tai float8 DEFAULT 0)
RETURNS TABLE (exposure_id bigint, visit_id bigint, detector_id smallint, filter_id smallint, alerts bigint, expected float8, excess_sigma float8)
LANGUAGE sql STABLE
AS $$
    WITH counted AS (
        SELECT e.exposure_id, e.visit_id, e.detector_id, e.filter_id, count(a.dia_source_id) AS alerts
        FROM :catalogue.exposure e
        LEFT JOIN :catalogue.alert a ON a.visit_id = e.visit_id AND a.version = 1 AND a.dia_source_id >> 23 & 255 = e.detector_id
        WHERE e.kind = 'difference' AND e.snap = 0 AND e.midpoint_tai >= $2
        GROUP BY e.exposure_id
    ), usual AS (
        SELECT c.filter_id, m.median,
               greatest(1.4826 * percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(c.alerts - m.median)), sqrt(m.median), 1) AS spread
        FROM counted c
        JOIN (SELECT filter_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY alerts) AS median FROM counted GROUP BY filter_id) m
             USING (filter_id)
        GROUP BY c.filter_id, m.median
    )
    SELECT c.exposure_id, c.visit_id, c.detector_id, c.filter_id, c.alerts, u.median, (c.alerts - u.median) / u.spread
    FROM counted c JOIN usual u USING (filter_id)
    WHERE c.alerts - u.median > $1 * u.spread
    ORDER BY 7 DESC
$$;

COMMENT ON FUNCTION hven.exposures_with_many_alerts(float8, float8) IS
'Difference Exposures (of Visits'' sums, since a time TAI as MJD) with more Alerts than the median of their filter by so many sigma; sigma is the larger of the robust scatter, the square root of the median, and 1.';
