-- A release's DiaSources find their Objects all at once: each knows its Object by then.
-- minimum revision: science_0001
-- databases: release
-- requires: time association/columns
-- execute: hven_worker hven_release_admin hven_operator

CREATE OR REPLACE FUNCTION hven.link_dia_sources(ids bigint[], objects bigint[])
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
DECLARE
    columns CONSTANT text := hven.common_columns('staging.dia_source', ':catalogue.dia_source');
    now_tai CONSTANT float8 := hven.tai_mjd(clock_timestamp());
    linked bigint;
BEGIN
    EXECUTE format('
        INSERT INTO :catalogue.dia_source (%s, object_id, time_processed, tile)
        SELECT s.%s, m.object_id, $3, o.healpix29 >> 46
        FROM staging.dia_source s
        JOIN unnest($1, $2) AS m (dia_source_id, object_id) USING (dia_source_id)
        JOIN :catalogue.object o ON o.object_id = m.object_id
        ORDER BY o.healpix29 >> 46, m.object_id, s.dia_source_id', columns, replace(columns, ', ', ', s.'))
    USING ids, objects, now_tai;
    GET DIAGNOSTICS linked = ROW_COUNT;
    IF linked <> (SELECT count(*) FROM staging.dia_source) THEN
        RAISE EXCEPTION USING ERRCODE = 'VN021',
            MESSAGE = format('link_dia_sources: %s of %s staged DiaSources have an Object', linked,
                             (SELECT count(*) FROM staging.dia_source)),
            HINT = 'Give every staged DiaSource an Object that is in the catalogue.';
    END IF;
    DELETE FROM staging.dia_source;
    UPDATE :catalogue.object o SET dia_sources = d.number, first_tai = d.first, last_tai = d.last
    FROM (SELECT object_id, count(*) AS number, min(midpoint_tai) AS first, max(midpoint_tai) AS last
          FROM :catalogue.dia_source GROUP BY object_id) d
    WHERE o.object_id = d.object_id;
    RETURN linked;
END
$$;

COMMENT ON FUNCTION hven.link_dia_sources(bigint[], bigint[]) IS
'Moves all staged DiaSources of a release into the catalogue, each with its Object, and counts them in the Objects; returns how many. VN021 if one has none.';
