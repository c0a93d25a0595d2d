-- References that no constraint guards, as a row-wise one would cost more than the row: checked in sets.
-- minimum revision: science_0001
-- databases: level1 release
-- execute: hven_worker hven_release_admin hven_operator
--
-- Our SQLSTATE:
--   VN025  what was to be deleted is still referred to

CREATE OR REPLACE FUNCTION hven.check_references(first bigint DEFAULT 0, last bigint DEFAULT 9223372036854775807)
RETURNS TABLE (relation text, id bigint, reference text, missing bigint)
LANGUAGE plpgsql STABLE
-- Sets, not rows: without statistics of a night just written the planner would look up each row.
SET enable_nestloop = off
AS $$
DECLARE
    link record;
BEGIN
    FOR link IN
        SELECT m.relation, m.id, k.reference, k.parent
        FROM (VALUES ('source', 'source_id'), ('dia_source', 'dia_source_id'), ('forced_source', 'forced_source_id'),
                     ('forced_dia_source', 'forced_dia_source_id')) AS m (relation, id)
        CROSS JOIN (VALUES ('object_id', 'object'), ('moving_object_id', 'moving_object'), ('exposure_id', 'exposure'),
                           ('visit_id', 'visit'), ('detector_id', 'detector'), ('filter_id', 'filter'))
                   AS k (reference, parent)
        UNION ALL
        VALUES ('dia_source_snap', 'dia_source_id', 'dia_source_id', 'dia_source'),
               ('dia_source_snap', 'dia_source_id', 'exposure_id', 'exposure'),
               ('alert', 'dia_source_id', 'dia_source_id', 'dia_source'),
               ('alert', 'dia_source_id', 'object_id', 'object'),
               ('alert', 'dia_source_id', 'moving_object_id', 'moving_object'),
               ('alert', 'dia_source_id', 'visit_id', 'visit'),
               ('predicted_position', 'dia_source_id', 'dia_source_id', 'dia_source')
    LOOP
        -- The id of a retired Object, or of one of an earlier release, lives on in Alerts: they were sent with it.
        RETURN QUERY EXECUTE format(
            'SELECT %1$L, m.%2$I, %3$L, m.%3$I::bigint FROM :catalogue.%1$I AS m'
            ' WHERE m.%2$I BETWEEN $1 AND $2 AND m.%3$I IS NOT NULL'
            ' AND NOT EXISTS (SELECT FROM :catalogue.%4$I AS p WHERE p.%5$I = m.%3$I)'
            || CASE WHEN link.relation = 'alert' AND link.reference = 'object_id'
                    THEN ' AND NOT EXISTS (SELECT FROM :catalogue.object_retired AS r WHERE r.object_id = m.object_id)'
                         ' AND NOT EXISTS (SELECT FROM :catalogue.object_match AS r WHERE r.other_object_id = m.object_id)'
                    ELSE '' END,
            link.relation, link.id, link.reference, link.parent,
            CASE link.parent WHEN 'dia_source' THEN 'dia_source_id' ELSE link.parent || '_id' END)
        USING first, last;
    END LOOP;
END
$$;

COMMENT ON FUNCTION hven.check_references(bigint, bigint) IS
'Rows of measurements and Alerts whose Object, MovingObject, Exposure, Visit, detector, filter or DiaSource is missing: table, id, column and the id that is missing. first and last bound the measurement ids, such as those of one night (first_id_of_night); by default all are checked.';


CREATE OR REPLACE FUNCTION hven.refuse_referenced()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
-- Few parents, many children: each parent is looked up in the children's indexes.
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    child text;
    more text;
    parent_id bigint;
    is_object CONSTANT boolean := TG_TABLE_NAME = 'object';
    is_tiled CONSTANT boolean := EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = ':catalogue.dia_source'::regclass AND attname = 'tile');
BEGIN
    FOREACH child IN ARRAY ARRAY['dia_source', 'forced_dia_source', 'source', 'forced_source', 'alert'] LOOP
        CONTINUE WHEN child = 'alert' AND NOT is_object;  -- no index leads there: the nightly check finds it
        more := CASE
            WHEN child = 'alert'
                THEN 'AND NOT EXISTS (SELECT FROM :catalogue.object_retired AS r WHERE r.object_id = g.object_id)'
            WHEN is_object AND is_tiled THEN 'AND m.tile = g.healpix29 >> 46'
            ELSE '' END;
        EXECUTE format('SELECT m.%1$I FROM gone AS g JOIN :catalogue.%2$I AS m ON m.%1$I = g.%1$I %3$s LIMIT 1',
                       TG_TABLE_NAME || '_id', child, more) INTO parent_id;
        IF parent_id IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'VN025',
                MESSAGE = format('%s %s can''t be deleted: rows of %s refer to it', TG_TABLE_NAME, parent_id, child),
                HINT = 'Remedy: give those rows another parent first, or withdraw it (time_withdrawn) instead; '
                       'for Alerts, enter the Object in object_retired.';
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION hven.refuse_referenced() IS
'Trigger, once a statement: refuses to delete an Object or MovingObject that measurements or Alerts refer to.';

CREATE OR REPLACE TRIGGER refuse_referenced
AFTER DELETE ON :catalogue.object REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION hven.refuse_referenced();

CREATE OR REPLACE TRIGGER refuse_referenced
AFTER DELETE ON :catalogue.moving_object REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION hven.refuse_referenced();


CREATE OR REPLACE FUNCTION hven.delete_side_rows()
RETURNS trigger
LANGUAGE plpgsql  -- with the rights of who deletes the Object: in a frozen release our owner has none
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM :catalogue.object_moved AS s USING gone WHERE s.object_id = gone.object_id;
    DELETE FROM :catalogue.object_flux AS s USING gone WHERE s.object_id = gone.object_id;
    DELETE FROM :catalogue.object_variability AS s USING gone WHERE s.object_id = gone.object_id;
    DELETE FROM :catalogue.force_list AS s USING gone WHERE s.object_id = gone.object_id;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION hven.delete_side_rows() IS
'Trigger, once a statement: deletes what side tables without a foreign key have of deleted Objects.';

CREATE OR REPLACE TRIGGER delete_side_rows
AFTER DELETE ON :catalogue.object REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION hven.delete_side_rows();
