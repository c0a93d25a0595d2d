-- Alerts as their consumers ask for them, streams of them, and how far each consumer has read.
-- minimum revision: science_0002
-- databases: level1
-- requires: alert_filter
-- execute: hven_scientist hven_worker hven_operator

CREATE OR REPLACE FUNCTION hven.register_alert_stream(name text, predicate text, target text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF target IS NOT NULL AND NOT pg_has_role(session_user, 'hven_operator', 'MEMBER') THEN
        RAISE EXCEPTION USING ERRCODE = 'VN031',
            MESSAGE = format('register_alert_stream: %s asks to send to %s, allowed to operators alone', session_user, target),
            HINT = 'Register it without target and fetch it over HTTP.';
    END IF;
    PERFORM hven.check_alert_filter(predicate);
    INSERT INTO :catalogue.alert_stream (name, predicate, target, cursor)
    SELECT $1, $2, $3, coalesce(max(o.place), 0) FROM :catalogue.outbox AS o WHERE o.stream = 'full';
END
$$;

COMMENT ON FUNCTION hven.register_alert_stream(text, text, text) IS
'Registers a filtered stream of Alerts, from now on; VN030 for a predicate that is none, VN031 for a target that the caller may not name.';


CREATE OR REPLACE FUNCTION hven.drop_alert_stream(name text)
RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM :catalogue.alert_stream AS s
        WHERE s.name = $1 AND (s.registered_by = session_user OR pg_has_role(session_user, 'hven_operator', 'MEMBER'))
        RETURNING s.name
    ), unsent AS (
        DELETE FROM :catalogue.outbox AS o USING gone WHERE o.stream = gone.name
    )
    SELECT EXISTS (SELECT FROM gone)
$$;

COMMENT ON FUNCTION hven.drop_alert_stream(text) IS
'Ends a filtered stream and forgets what it carried; false if there is none, or if it is another''s.';


CREATE OR REPLACE FUNCTION hven.acknowledge_alerts(consumer text, stream text, place bigint)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO :catalogue.alert_consumer AS c (name, stream, cursor)
    VALUES (session_user || '/' || $1 || '@' || $2, $2, coalesce($3, 0))
    ON CONFLICT (name) DO UPDATE SET cursor = coalesce($3, c.cursor), seen = now()
    RETURNING cursor
$$;

COMMENT ON FUNCTION hven.acknowledge_alerts(text, text, bigint) IS
'Keeps up to which place a consumer of the caller''s has read a stream, unless the place is NULL; returns that place.';


CREATE OR REPLACE VIEW :catalogue.alert_wide WITH (security_invoker) AS
SELECT a.dia_source_id, a.version, a.ivorn, a.cites, a.cites_as, a.object_id, a.moving_object_id, a.visit_id, a.rule,
       a.host_object_id, a.is_moving, a.selected_tai, d.midpoint_tai, d.filter_id, f.name AS band, d.detector_id, d.ra,
       d.dec, d.healpix29, d.snr, d.psf_flux, d.psf_flux_err, d.ap_flux, d.ap_flux_err, d.science_flux,
       d.science_flux_err, d.template_flux, d.template_flux_err, d.psf_chi2, d.extendedness, d.reliability, d.is_dipole,
       d.is_trail, d.trail_length, d.dipole_separation, o.extendedness AS object_extendedness,
       o.dia_sources AS object_dia_sources, o.first_tai AS object_first_tai, o.last_tai AS object_last_tai,
       o.pm_ra AS object_pm_ra, o.pm_dec AS object_pm_dec
  FROM :catalogue.alert AS a
  JOIN :catalogue.dia_source AS d ON d.dia_source_id = a.dia_source_id
  JOIN :catalogue.filter AS f ON f.filter_id = d.filter_id
  LEFT JOIN :catalogue.object AS o ON o.object_id = a.object_id;

COMMENT ON VIEW :catalogue.alert_wide IS
'Alerts with their DiaSources and Objects: what a stream''s predicate may ask about';

ALTER VIEW :catalogue.alert_wide OWNER TO hven_owner;
