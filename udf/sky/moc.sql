-- Multi-order coverage maps (IVOA MOC 2.0), as pgSphere's smoc.
-- minimum revision: base
-- databases: hub level1 release
-- requires: fail sky/select
-- execute: public

CREATE OR REPLACE FUNCTION hven.cover_moc(moc text)
RETURNS TABLE (lowest bigint, highest bigint, inside boolean)
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 100
AS $python$
-- include: healpix.py
-- include: cover.py
return zip(*(column.tolist() for column in moc_ranges(moc)))
$python$;

COMMENT ON FUNCTION hven.cover_moc(text) IS 'healpix_ranges_moc without checks.';


CREATE OR REPLACE FUNCTION hven.healpix_ranges_moc(moc text)
RETURNS TABLE (lowest bigint, highest bigint, inside boolean)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 100
AS $$ SELECT r.* FROM hven.cover_moc(moc::public.smoc::text) r $$;

COMMENT ON FUNCTION hven.healpix_ranges_moc(text) IS
'Ascending ranges of healpix29, both ends included, of a coverage map in ASCII form (3/1-4 5/17).';


CREATE OR REPLACE FUNCTION hven.sky_moc_pixels(moc public.smoc)
RETURNS int8multirange
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
RETURN (SELECT range_agg(int8range(lowest, highest, '[]')) FROM hven.healpix_ranges_moc(moc::text));

COMMENT ON FUNCTION hven.sky_moc_pixels(public.smoc) IS
'The order-29 pixels of a coverage map, for healpix29 <@ sky_moc_pixels(moc).';


CREATE OR REPLACE FUNCTION hven.sky_in_moc(healpix29 bigint, moc public.smoc)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000
RETURN healpix29 <@ hven.sky_moc_pixels(moc);

COMMENT ON FUNCTION hven.sky_in_moc(bigint, public.smoc) IS
'Whether a pixel of order 29 lies in a coverage map. No index serves it: use sky_moc for a large table.';


CREATE OR REPLACE FUNCTION hven.sky_moc(table_row anyelement, moc public.smoc)
RETURNS SETOF anyelement
LANGUAGE plpgsql
STABLE PARALLEL SAFE COST 1000 ROWS 1000
AS $$
BEGIN
    RETURN QUERY EXECUTE hven.sky_query('sky_moc', pg_typeof(table_row),
        'hven.healpix_ranges_moc($1)', 'false',
        'hven.healpix29(t.ra, t.dec) <@ $2', false)
    USING moc::text, hven.sky_moc_pixels(moc);
END
$$;

COMMENT ON FUNCTION hven.sky_moc(anyelement, public.smoc) IS
'The rows of a table (NULL::dr1.object) within a coverage map.';
