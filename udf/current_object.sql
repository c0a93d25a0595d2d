-- Which Object an id of any release means here.
-- minimum revision: science_0001
-- databases: level1 release
-- execute: public

CREATE OR REPLACE FUNCTION hven.current_object(object_id bigint)
RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    (SELECT o.object_id FROM :catalogue.object AS o WHERE o.object_id = $1),
    (SELECT m.object_id FROM :catalogue.object_match AS m WHERE m.other_object_id = $1
     ORDER BY m.separation NULLS LAST, m.rank, m.object_id LIMIT 1));

COMMENT ON FUNCTION hven.current_object(bigint) IS
'The Object of this database that an object_id of any release means: itself, or the nearest that object_match names; NULL if there is none.';
