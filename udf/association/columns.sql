-- Association: the columns that a staging table has in common with the table that its rows go to.
-- minimum revision: science_0001
-- databases: level1 release
-- execute: hven_worker hven_release_admin hven_operator

CREATE OR REPLACE FUNCTION hven.common_columns(source regclass, target regclass)
RETURNS text
LANGUAGE sql STABLE
RETURN (
    SELECT string_agg(quote_ident(t.attname), ', ' ORDER BY t.attnum)
    FROM pg_attribute t JOIN pg_attribute s ON s.attname = t.attname
    WHERE t.attrelid = target AND s.attrelid = source AND t.attnum > 0 AND s.attnum > 0
      AND NOT t.attisdropped AND NOT s.attisdropped
);

COMMENT ON FUNCTION hven.common_columns(regclass, regclass) IS
'The columns that two tables share, in the order of the second, as SQL writes them.';
