-- Hand-over: a live database is made ready to continue another one from a release.
-- minimum revision: science_0006
-- databases: level1
-- requires: association/write summaries sky/crossmatch
-- execute: hven_release_admin hven_operator
--
-- Our SQLSTATE:
--   VN040  the database was continued by another one

CREATE OR REPLACE FUNCTION hven.refuse_retired()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'VN040',
        MESSAGE = format('%s is closed: %s continues it', current_database(), TG_ARGV[0]),
        HINT = 'Remedy: connect to level1 anew.';
END
$$;

COMMENT ON FUNCTION hven.refuse_retired() IS
'Trigger, once a statement: refuses to change a database whose place another one has taken, which it names; VN040.';


CREATE OR REPLACE FUNCTION hven.count_history()
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    piece bigint[];
    counted bigint := 0;
BEGIN
    CREATE TEMP TABLE varying ON COMMIT DROP AS
    SELECT object_id, (row_number() OVER (ORDER BY object_id) - 1) / 10000 AS piece
    FROM (SELECT DISTINCT object_id FROM :catalogue.dia_source WHERE object_id IS NOT NULL AND time_withdrawn IS NULL) d;
    UPDATE :catalogue.object o SET prior_weight = hven.prior_weight(o.prior_weight, o.ra_err, o.dec_err)
    FROM varying v WHERE o.object_id = v.object_id;
    FOR piece IN SELECT array_agg(object_id ORDER BY object_id) FROM varying v GROUP BY v.piece LOOP
        PERFORM hven.recompute_objects(piece);
        counted := counted + cardinality(piece);
    END LOOP;
    RETURN counted;
END
$$;

COMMENT ON FUNCTION hven.count_history() IS
'Makes the summaries of all Objects that have DiaSources, as if the night had added these one by one to the release''s positions; returns how many.';


CREATE OR REPLACE FUNCTION hven.keep_object_ids(radius_arcsec float8)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
    matched bigint;
    unknown bigint;
BEGIN
    CREATE TEMP TABLE object_here ON COMMIT DROP AS
    SELECT o.object_id, o.mean_ra AS ra, o.mean_dec AS dec, hven.healpix29(o.mean_ra, o.mean_dec) AS healpix29
    FROM :catalogue.object o WHERE o.time_withdrawn IS NULL;
    ALTER TABLE object_here ADD PRIMARY KEY (object_id);
    ANALYZE object_here; ANALYZE object_there;
    INSERT INTO :catalogue.object_match AS m (object_id, other_release, other_object_id, separation, rank)
    SELECT x.left_id, x.right_id >> 57, x.right_id, x.separation_arcsec,
           row_number() OVER (PARTITION BY x.left_id, x.right_id >> 57 ORDER BY x.separation_arcsec, x.right_id)
    FROM hven.sky_crossmatch('object_here', 'object_there', radius_arcsec) x
    ON CONFLICT (object_id, other_release, other_object_id) DO UPDATE SET separation = excluded.separation, rank = excluded.rank;
    GET DIAGNOSTICS matched = ROW_COUNT;
    INSERT INTO :catalogue.object_match (object_id, other_release, other_object_id, rank)
    SELECT DISTINCT ON (m.object_id, t.other_release, t.other_object_id) m.object_id, t.other_release, t.other_object_id, t.rank
    FROM match_there t JOIN :catalogue.object_match m ON m.other_object_id = t.object_id
    WHERE m.rank = 1 ORDER BY m.object_id, t.other_release, t.other_object_id, t.rank
    ON CONFLICT DO NOTHING;
    CREATE TEMP TABLE renamed ON COMMIT DROP AS
    SELECT DISTINCT ON (m.other_object_id) m.other_object_id AS old_id, m.object_id
    FROM :catalogue.object_match m ORDER BY m.other_object_id, m.separation NULLS LAST, m.rank, m.object_id;
    ANALYZE renamed;
    INSERT INTO :catalogue.object_retired (object_id, retired_tai)
    SELECT DISTINCT a.object_id, hven.tai_mjd(clock_timestamp())
    FROM :catalogue.alert a LEFT JOIN renamed r ON r.old_id = a.object_id LEFT JOIN :catalogue.object o ON o.object_id = a.object_id
    WHERE a.object_id IS NOT NULL AND r.old_id IS NULL AND o.object_id IS NULL
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS unknown = ROW_COUNT;
    UPDATE :catalogue.dia_source d SET object_id = r.object_id
    FROM :catalogue.alert a JOIN renamed r ON r.old_id = a.object_id
    WHERE a.dia_source_id = d.dia_source_id AND a.version = 1 AND d.object_id IS NULL AND d.moving_object_id IS NULL
      AND d.time_withdrawn IS NOT NULL;
    INSERT INTO :catalogue.force_list AS f (object_id, since_visit_id, expires_tai, priority)
    SELECT r.object_id, min(t.since_visit_id), max(t.expires_tai), max(t.priority)
    FROM force_there t JOIN renamed r ON r.old_id = t.object_id GROUP BY r.object_id ORDER BY r.object_id
    ON CONFLICT (object_id) DO UPDATE
    SET expires_tai = greatest(f.expires_tai, excluded.expires_tai), priority = greatest(f.priority, excluded.priority);
    RETURN jsonb_build_object('matched', matched, 'unknown', unknown);
END
$$;

COMMENT ON FUNCTION hven.keep_object_ids(float8) IS
'Matches the Objects of the temporary table object_there with those here, within a radius [arcsec], into object_match, also for those that match_there says they were before; Alerts'' DiaSources under old ids and the list force_there follow. Ids of Alerts that no Object has go to object_retired. Returns how many matched, and how many ids are unknown.';
