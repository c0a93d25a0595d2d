-- De-duplication: Objects that are one are merged, day by day.
-- minimum revision: science_0001
-- databases: level1
-- requires: association/open association/read summaries
-- execute: hven_worker hven_operator

CREATE OR REPLACE FUNCTION hven.deduplicate_suspects(
    since_tai float8, after_id bigint, most bigint, OUT ids bytea, OUT ra bytea, OUT "dec" bytea)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    SELECT string_agg(int8send(s.object_id), ''), string_agg(float8send(s.mean_ra), ''), string_agg(float8send(s.mean_dec), '')
    INTO ids, ra, "dec"
    FROM (SELECT o.object_id, o.mean_ra, o.mean_dec FROM :catalogue.object o
          WHERE o.object_id > after_id AND o.prior_weight = 0 AND o.time_withdrawn IS NULL AND o.first_tai >= since_tai
          ORDER BY o.object_id LIMIT most) s;
END
$$;

COMMENT ON FUNCTION hven.deduplicate_suspects(float8, bigint, bigint) IS
'The next so many Objects, by id, that were first seen at night since a time [TAI, MJD], as columns of big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.merge_objects(firsts bigint[], seconds bigint[], OUT merged bigint)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    kept bigint[];
    dropped bigint[];
    now_tai CONSTANT float8 := hven.tai_mjd(clock_timestamp());
BEGIN
    PERFORM hven.association_lock(1, 0, ARRAY(
        SELECT DISTINCT o.healpix29 >> 46 FROM unnest(firsts || seconds) i JOIN :catalogue.object o ON o.object_id = i));
    SELECT array_agg(CASE WHEN p.first_stays THEN p.one ELSE p.two END ORDER BY p.one),
           array_agg(CASE WHEN p.first_stays THEN p.two ELSE p.one END ORDER BY p.one)
    INTO kept, dropped
    FROM (
        SELECT one, two, CASE WHEN (a.prior_weight = 0) <> (b.prior_weight = 0) THEN b.prior_weight = 0
                              WHEN a.dia_sources <> b.dia_sources THEN a.dia_sources > b.dia_sources
                              ELSE one < two END AS first_stays
        FROM unnest(firsts, seconds) AS p (one, two)
        JOIN :catalogue.object a ON a.object_id = one JOIN :catalogue.object b ON b.object_id = two
        WHERE a.time_withdrawn IS NULL AND b.time_withdrawn IS NULL AND coalesce(a.extendedness, 0) < 0.5 AND coalesce(b.extendedness, 0) < 0.5
          -- What one Visit saw as two are two.
          AND NOT EXISTS (
            SELECT d.visit_id FROM :catalogue.dia_source d WHERE d.object_id = one AND d.time_withdrawn IS NULL
            INTERSECT
            SELECT d.visit_id FROM :catalogue.dia_source d WHERE d.object_id = two AND d.time_withdrawn IS NULL)
        OFFSET 0
    ) p;
    merged := coalesce(cardinality(kept), 0);
    IF merged = 0 THEN
        RETURN;
    END IF;
    UPDATE :catalogue.dia_source d SET object_id = m.kept FROM unnest(kept, dropped) AS m (kept, dropped) WHERE d.object_id = m.dropped;
    UPDATE :catalogue.forced_dia_source d SET object_id = m.kept FROM unnest(kept, dropped) AS m (kept, dropped) WHERE d.object_id = m.dropped;
    UPDATE :catalogue.source d SET object_id = m.kept FROM unnest(kept, dropped) AS m (kept, dropped) WHERE d.object_id = m.dropped;
    PERFORM hven.recompute_objects(kept || dropped);
    UPDATE :catalogue.object SET time_withdrawn = now_tai WHERE object_id = ANY (dropped);
    INSERT INTO :catalogue.force_list AS f (object_id, since_visit_id, expires_tai, priority)
    SELECT m.kept, l.since_visit_id, l.expires_tai, l.priority
    FROM unnest(kept, dropped) AS m (kept, dropped) JOIN :catalogue.force_list l ON l.object_id = m.dropped
    ON CONFLICT (object_id) DO UPDATE
    SET expires_tai = greatest(f.expires_tai, excluded.expires_tai), priority = greatest(f.priority, excluded.priority);
    DELETE FROM :catalogue.force_list WHERE object_id = ANY (dropped);
END
$$;

COMMENT ON FUNCTION hven.merge_objects(bigint[], bigint[]) IS
'Merges pairs of Objects that no Visit saw both of: measurements go to the release''s one, else to that of more DiaSources, else to that of the lower id; the other is withdrawn, and keeps the id that its Alerts were sent with. Extended Objects are left alone. Returns how many pairs were merged.';


CREATE OR REPLACE FUNCTION hven.deduplicate_objects(
    since_tai float8 DEFAULT 0, radius_arcsec float8 DEFAULT 1, most_sigma float8 DEFAULT 3, batch integer DEFAULT 100000)
RETURNS jsonb
LANGUAGE plpython3u SECURITY DEFINER  -- workers write no catalogue themselves
SET search_path = pg_catalog, pg_temp
AS $python$
-- include: steps.py
-- include: sky/healpix.py
-- include: sky/cover.py
-- include: plane.py
-- include: refused.py
-- include: association/parameters.py
-- include: association/rows.py
-- include: association/near.py
-- include: deduplicate.py
call, p = Steps(plpy, SD), Parameters(radius_arcsec=radius_arcsec)
suspects, merged, last = 0, 0, -1
while last is not None:
    ids, ra, dec = call.arrays("deduplicate_suspects(float8, bigint, bigint)", "8ff", since_tai, last, batch)
    last, suspects = int(ids[-1]) if ids.size == batch else None, suspects + ids.size
    which, lowest, highest = cover_cones(ra, dec, np.full(ids.size, (radius_arcsec + DRIFT_ARCSEC) * ARCSEC), coarser=1)
    near = call.arrays("association_candidates(bigint[], bigint[], bigint[])", "48ffeeeeeee4", lowest, highest, tiles(lowest, highest))
    found, number, row = objects(near, {"freed": None, "linked": None}, p)
    ranged = number >= 0  # the moved ones were merged, if at all, when they were new
    own = np.searchsorted(found.ids, ids[which[number[ranged]]])
    first, second = mutual(found.places, own, row[ranged], radius_arcsec, most_sigma)
    merged += call("merge_objects(bigint[], bigint[])", found.ids[first], found.ids[second])["merged"]
return call.report(suspects=suspects, merged=merged)
$python$;

COMMENT ON FUNCTION hven.deduplicate_objects(float8, float8, float8, integer) IS
'Merges Objects first seen at night since a time [TAI, MJD] with their doubles: those that are each other''s nearest within a radius [arcsec] and so many sigma of their positions, and that no Visit saw both of. Returns counts and milliseconds.';
