-- How SQL and PL/pgSQL functions of ours refuse bad input.
-- minimum revision: base
-- databases: hub level1 release
-- execute: public
--
-- Our SQLSTATEs are the class VN. Those of ids and of the sky; others are listed where they are raised:
--   VN001  a part of an id, or an id, is out of range
--   VN010  a position is not on the sky (latitude beyond ±90°, NaN or infinite coordinate)
--   VN011  a radius, axis or angle is out of range
--   VN012  a polygon is empty, crosses itself or is larger than a hemisphere
--   VN013  a table or column does not exist or has another type than needed
--   VN014  arrays that belong together differ in length
--   VN015  a HEALPix order or pixel is out of range

CREATE OR REPLACE FUNCTION hven.fail(result anyelement, code text, problem text, remedy text)
RETURNS anyelement
LANGUAGE plpgsql
-- Immutable so that callers can be inlined. It is only reached in a CASE branch whose condition depends on
-- the same arguments, so that early evaluation of constants can't raise it before its time.
IMMUTABLE PARALLEL SAFE COST 1
AS $$
BEGIN
    IF problem IS NULL THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = problem, HINT = remedy;
END
$$;

COMMENT ON FUNCTION hven.fail(anyelement, text, text, text) IS
'Raises the SQLSTATE code with a message and a hint; the first argument only gives the type of the expression. A message that is NULL is none: NULL is returned.';
