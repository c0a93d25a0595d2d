-- Predicates of users over Alerts, run with the rights of a reader.
-- minimum revision: science_0002
-- databases: level1
-- owner: hven_scientist
-- execute: hven_owner hven_scientist hven_worker hven_operator
--
-- What keeps a predicate to itself: a cursor takes one statement only, a STABLE function writes nothing, the owner
-- only reads, and inside SECURITY DEFINER no role can be changed. Time is limited by the caller's
-- statement_timeout, which starts before and can't be moved from within.

CREATE OR REPLACE FUNCTION hven.check_alert_filter(predicate text)
RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = :catalogue, hven, public, pg_temp
AS $$
DECLARE
    line record;
    said text;
BEGIN
    -- No text that closes the first bracket and opens another fits into both kinds.
    FOR line IN EXECUTE format('SELECT FROM alert_wide AS alert WHERE coalesce((%1$s
), false) AND (ARRAY[(%1$s
)])[1] LIMIT 0', predicate)
    LOOP
    END LOOP;
EXCEPTION WHEN query_canceled THEN
    RAISE;
WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS said = MESSAGE_TEXT;
    RAISE EXCEPTION USING ERRCODE = 'VN030',
        MESSAGE = format('alert filter: %s (%s)', left(predicate, 200), said),
        HINT = 'Give one SQL expression of type boolean over the columns of alert_wide.';
END
$$;

COMMENT ON FUNCTION hven.check_alert_filter(text) IS
'Refuses with VN030 what is not one boolean expression over the columns of alert_wide.';


CREATE OR REPLACE FUNCTION hven.filter_alerts(predicate text, after bigint, upto bigint)
RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1000
SET search_path = :catalogue, hven, public, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    PERFORM hven.check_alert_filter(predicate);
    FOR found IN EXECUTE format('
        SELECT handed.place
        FROM outbox AS handed CROSS JOIN LATERAL (
            SELECT FROM (SELECT * FROM alert_wide AS w
                         WHERE w.dia_source_id = handed.dia_source_id AND w.version = handed.version) AS alert
            WHERE (%s
)           ) AS passed
        WHERE handed.stream = ''full'' AND handed.place > $1 AND handed.place <= $2', predicate) USING after, upto
    LOOP
        RETURN NEXT found.place;
    END LOOP;
END
$$;

COMMENT ON FUNCTION hven.filter_alerts(text, bigint, bigint) IS
'Places in the full stream, after one and up to another, of the Alerts that a predicate lets pass.';
