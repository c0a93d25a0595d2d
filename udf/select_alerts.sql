-- Alert selection: which DiaSources of a Visit are sent, and what is force-photometered from now on.
-- minimum revision: science_0001
-- databases: level1
-- requires: associate time
-- execute: hven_worker hven_operator

CREATE OR REPLACE FUNCTION hven.alerts_insert(visit bigint, p jsonb, OUT alerts bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    v :catalogue.visit;
BEGIN
    SELECT * INTO v FROM :catalogue.visit x WHERE x.visit_id = visit;
    IF v.state IS DISTINCT FROM 'associated' AND v.state IS DISTINCT FROM 'closed' THEN
        RAISE EXCEPTION USING ERRCODE = 'VN020',
            MESSAGE = format('select_alerts: Visit %s is %s, allowed is associated', visit, coalesce(v.state, 'unknown')),
            HINT = 'Call associate_visit first.';
    END IF;
    WITH measured AS (
        SELECT d.*, s.*
        FROM hven.visit_ids(visit) i JOIN :catalogue.dia_source d ON d.dia_source_id BETWEEN i.first AND i.last
        CROSS JOIN LATERAL (
            SELECT count(*) AS snaps, array_agg(s.exposure_id ORDER BY s.snap) AS exposures,
                   min(s.snr * sign(d.psf_flux)) AS least_snr, coalesce(bool_or(s.cosmic_ray_like), false) AS is_ray,
                   max(s.psf_flux) - min(s.psf_flux) AS difference, sqrt(sum(s.psf_flux_err::float8 ^ 2)) AS difference_err
            FROM :catalogue.dia_source_snap s
            WHERE s.dia_source_id = d.dia_source_id AND NOT coalesce(s.psf_flux_flag, false)
        ) s
        WHERE num_nonnulls(d.object_id, d.moving_object_id) = 1 AND d.time_withdrawn IS NULL
    ), chosen AS (
        SELECT m.* FROM measured m
        WHERE CASE WHEN v.snaps = 1 OR p ->> 'rule' = 'visit' THEN m.snr >= (p ->> 'threshold')::float8
                   WHEN p ->> 'rule' = 'each_snap' THEN m.least_snr >= (p ->> 'threshold')::float8
                   ELSE m.snr >= (p ->> 'threshold')::float8 AND m.least_snr >= (p ->> 'snap_threshold')::float8 END
          AND (v.snaps = 1 OR p ->> 'rule' = 'visit' OR m.snaps = v.snaps)
          AND NOT m.is_ray
          AND coalesce(m.difference <= (p ->> 'snap_sigma')::float8 * m.difference_err
                                       + (p ->> 'snap_fraction')::float8 * abs(m.psf_flux), true)
    ), alerted AS (
        INSERT INTO :catalogue.alert (dia_source_id, ivorn, object_id, moving_object_id, visit_id, exposure_id, rule, is_moving, selected_tai)
        SELECT c.dia_source_id, (p ->> 'ivorn_prefix') || c.dia_source_id, c.object_id, c.moving_object_id, visit,
               coalesce(c.exposures, ARRAY[c.exposure_id]), p ->> 'rule', c.moving_object_id IS NOT NULL,
               hven.tai_mjd(clock_timestamp())
        FROM chosen c ORDER BY c.dia_source_id
        ON CONFLICT DO NOTHING
        RETURNING dia_source_id, version, object_id
    ), sent AS (
        INSERT INTO :catalogue.outbox (dia_source_id, version, stream)
        SELECT dia_source_id, version, p ->> 'stream' FROM alerted ORDER BY dia_source_id
    ), forced AS (
        INSERT INTO :catalogue.force_list AS f (object_id, since_visit_id, expires_tai, priority)
        SELECT a.object_id, visit, v.midpoint_tai + (p ->> 'force_days')::float8, d.snr
        FROM alerted a JOIN chosen d USING (dia_source_id)
        WHERE a.object_id IS NOT NULL AND v.midpoint_tai IS NOT NULL
        ORDER BY a.object_id
        ON CONFLICT (object_id) DO UPDATE
        SET expires_tai = greatest(f.expires_tai, excluded.expires_tai), priority = greatest(f.priority, excluded.priority)
    )
    SELECT count(*) INTO alerts FROM alerted;
END
$$;

COMMENT ON FUNCTION hven.alerts_insert(bigint, jsonb) IS
'Writes the Alerts of an associated Visit, hands them to the outbox and puts their Objects on the list to be force-photometered; those that are there already stay as they are. Returns how many are new.';


CREATE OR REPLACE FUNCTION hven.alerts_trim_list(visit bigint, most bigint, OUT expired bigint, OUT dropped bigint)
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM :catalogue.force_list USING :catalogue.visit v WHERE v.visit_id = visit AND expires_tai < v.midpoint_tai;
    GET DIAGNOSTICS expired = ROW_COUNT;
    DELETE FROM :catalogue.force_list
    WHERE object_id IN (SELECT object_id FROM :catalogue.force_list ORDER BY priority DESC, object_id OFFSET most);
    GET DIAGNOSTICS dropped = ROW_COUNT;
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
-- include: select_alerts.py
call = Steps(plpy, SD)
try:
    p = Parameters.of(parameters)
except RefusedError as refused:
    plpy.error(str(refused), hint=refused.remedy, sqlstate=refused.code)
alerts = call("alerts_insert(bigint, jsonb)", visit_id, p.json())
trimmed = call("alerts_trim_list(bigint, bigint)", visit_id, p.most_forced)
return call.report(**alerts, **trimmed)
$python$;

COMMENT ON FUNCTION hven.select_alerts(bigint, jsonb) IS
'Selects the Alerts of an associated Visit and hands them to the outbox, in the caller''s transaction. Returns counts and the milliseconds of each step; VN020 before association, VN023 for a parameter that is unknown or impossible.';
