-- DiaSources that turn out to be a MovingObject's (LDM-151, 2.3).
-- minimum revision: science_0001
-- databases: level1
-- requires: association/open summaries references
-- execute: hven_worker hven_operator
--
-- Our SQLSTATE:
--   VN024  a claim names what does not exist, or arrays of different lengths

CREATE OR REPLACE FUNCTION hven.claim_dia_sources(
    dia_source_ids bigint[], moving_object_ids bigint[], predicted_ra float8[], predicted_dec float8[], OUT linked bigint, OUT retired bigint)
LANGUAGE plpgsql SECURITY DEFINER  -- workers write no catalogue themselves
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    parents bigint[];
    touched bigint[];
    lone bigint[];
    now_tai CONSTANT float8 := hven.tai_mjd(clock_timestamp());
    missing bigint;
BEGIN
    IF NOT cardinality(dia_source_ids) = ALL (ARRAY[cardinality(moving_object_ids), cardinality(predicted_ra), cardinality(predicted_dec)]) THEN
        RAISE EXCEPTION USING ERRCODE = 'VN024', MESSAGE = format(
            'claim_dia_sources: got %s DiaSources, %s MovingObjects, %s and %s coordinates; allowed are equal numbers',
            cardinality(dia_source_ids), cardinality(moving_object_ids), cardinality(predicted_ra), cardinality(predicted_dec)),
            HINT = 'Give the MovingObject and its predicted position for each DiaSource.';
    END IF;
    SELECT c INTO missing FROM unnest(dia_source_ids) c
    WHERE NOT EXISTS (SELECT FROM :catalogue.dia_source d WHERE d.dia_source_id = c) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'VN024', MESSAGE = format('claim_dia_sources: there is no DiaSource %s', missing),
            HINT = 'Claim DiaSources that were associated.';
    END IF;
    SELECT c INTO missing FROM unnest(moving_object_ids) c
    WHERE NOT EXISTS (SELECT FROM :catalogue.moving_object m WHERE m.moving_object_id = c) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'VN024', MESSAGE = format('claim_dia_sources: there is no MovingObject %s', missing),
            HINT = 'Insert the MovingObject first.';
    END IF;
    PERFORM hven.association_lock(1, 0, ARRAY(
        SELECT d.healpix29 >> 46 FROM unnest(dia_source_ids) c JOIN :catalogue.dia_source d ON d.dia_source_id = c
        UNION SELECT o.healpix29 >> 46 FROM unnest(dia_source_ids) c JOIN :catalogue.dia_source d ON d.dia_source_id = c
              JOIN :catalogue.object o USING (object_id)));
    parents := ARRAY(SELECT d.object_id FROM unnest(dia_source_ids) WITH ORDINALITY AS c (id, number)
                     JOIN :catalogue.dia_source d ON d.dia_source_id = c.id ORDER BY c.number);
    touched := ARRAY(SELECT DISTINCT p FROM unnest(parents) p WHERE p IS NOT NULL ORDER BY 1);
    UPDATE :catalogue.dia_source d
    SET object_id = NULL, moving_object_id = c.moving_object_id, ss_ra = c.ra, ss_dec = c.dec, rejected = false
    FROM unnest(dia_source_ids, moving_object_ids, predicted_ra, predicted_dec) AS c (dia_source_id, moving_object_id, ra, dec)
    WHERE d.dia_source_id = c.dia_source_id;
    GET DIAGNOSTICS linked = ROW_COUNT;
    PERFORM hven.recompute_objects(touched) WHERE touched <> '{}';
    lone := ARRAY(SELECT o.object_id FROM :catalogue.object o
                  WHERE o.object_id = ANY (touched) AND o.dia_sources = 0 AND o.prior_weight = 0 AND o.time_withdrawn IS NULL);
    UPDATE :catalogue.forced_dia_source SET object_id = NULL, time_withdrawn = now_tai WHERE object_id = ANY (lone);
    INSERT INTO :catalogue.object_retired (object_id, moving_object_id, dia_source_id, retired_tai)
    SELECT DISTINCT ON (c.object_id) c.object_id, c.moving_object_id, c.dia_source_id, now_tai
    FROM unnest(dia_source_ids, moving_object_ids, parents) AS c (dia_source_id, moving_object_id, object_id)
    WHERE c.object_id = ANY (lone) ORDER BY c.object_id, c.dia_source_id;
    DELETE FROM :catalogue.object WHERE object_id = ANY (lone);
    GET DIAGNOSTICS retired = ROW_COUNT;
END
$$;

COMMENT ON FUNCTION hven.claim_dia_sources(bigint[], bigint[], float8[], float8[]) IS
'Links DiaSources to MovingObjects, with the positions that their orbits predict [deg]. Objects found at night that are left without DiaSource are deleted; their ids stay in object_retired, what was forced at their places is withdrawn. Other Objects are summed up anew. Returns how many DiaSources were linked and how many Objects were deleted.';
