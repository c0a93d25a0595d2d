-- Pairs of rows of two tables within a radius: a hash join of HEALPix pixels whose cover is exact.
-- minimum revision: base
-- databases: hub level1 release
-- requires: fail sky/shapes sky/separation sky/healpix
-- execute: public
--
-- At the order chosen, a disc reaches at most a quarter of a pixel in x and in y. So it touches its own pixel, and that
-- beside it where x or y is that close to a side. x and y are the even and odd bits of healpix29: comparing and
-- counting on masked bits needs no unpacking. Only discs that leave their base pixel need the table of its
-- neighbours.

CREATE OR REPLACE FUNCTION hven.sky_at_epoch(
    ra_deg float8, dec_deg float8, pm_ra float8, pm_dec float8, years float8)
RETURNS TABLE (ra float8, "dec" float8)
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 20 ROWS 1
AS $$
    SELECT a - 360 * floor(a / 360),
           degrees(atan2(sin(radians(d)) + y * cos(radians(d)), sqrt(x ^ 2 + (cos(radians(d)) - y * sin(radians(d))) ^ 2)))
    FROM (SELECT dec_deg, radians(coalesce(pm_ra * years, 0) / 3.6e6), radians(coalesce(pm_dec * years, 0) / 3.6e6)
         ) moved (d, x, y),
         LATERAL (SELECT ra_deg + degrees(atan2(x, cos(radians(d)) - y * sin(radians(d))))) turned (a)
    WHERE hven.sky_is_position(ra_deg, dec_deg)
$$;

COMMENT ON FUNCTION hven.sky_at_epoch(float8, float8, float8, float8, float8) IS
'Position [deg] after so many years of proper motion [mas/yr; pm_ra times cos(dec)] along a straight line in space, without parallax and perspective; NULL motion is none.';


CREATE OR REPLACE FUNCTION hven.touched_across_faces(healpix29 bigint[], reach bigint, pixel_order integer)
RETURNS TABLE (number integer, pixel bigint)
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 10000 ROWS 1000
AS $python$
-- include: healpix.py
-- include: cover.py
which, pixel = touched_from(*split(np.array(healpix29, np.int64), 29), np.full(len(healpix29), reach), pixel_order)
return zip((which + 1).tolist(), pixel.tolist())
$python$;

COMMENT ON FUNCTION hven.touched_across_faces(bigint[], bigint, integer) IS
'For each order-29 pixel, by its number from 1, the pixels of an order within reach of it in x and y, on whatever base pixels.';


CREATE OR REPLACE FUNCTION hven.sky_crossmatch_side(
    side regclass, names text[], epoch float8)
RETURNS text
LANGUAGE plpgsql
STABLE PARALLEL SAFE COST 1000
AS $$
DECLARE
    wanted constant text[] := coalesce(names, ARRAY[
        (SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = side AND i.indisprimary AND i.indnatts = 1), 'ra', 'dec']);
    known constant text[] := ARRAY(
        SELECT attname::text FROM pg_attribute
        WHERE attrelid = side AND attnum > 0 AND NOT attisdropped);
    missing constant text := (SELECT string_agg(coalesce(n, 'primary key'), ', ') FROM unnest(wanted) n
                              WHERE n IS NULL OR n <> ALL (known));
    -- With its schema, since the query has names of its own, such as a and k.
    whole_name constant text := (SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n
                                 ON n.oid = c.relnamespace WHERE c.oid = side);
BEGIN
    IF missing IS NOT NULL OR cardinality(wanted) NOT IN (3, 6) THEN
        RETURN hven.fail(''::text, 'VN013',
            'sky_crossmatch: ' || side || coalesce(' has no column ' || missing, ': got ' || cardinality(wanted) || ' columns')
            || ', needed are id, ra and dec, and for motion pm_ra, pm_dec and epoch',
            'name the columns as an array, such as ARRAY[''source_id'', ''ra'', ''dec'']');
    END IF;
    IF cardinality(wanted) = 3 AND wanted[2:3] = ARRAY['ra', 'dec'] AND 'healpix29' = ANY (known) THEN
        RETURN format('SELECT t.%I::bigint AS id, t.ra::float8, t.dec::float8, t.healpix29 AS h FROM %s t', wanted[1], whole_name);
    END IF;
    -- Pixels are computed in lots: arrays cost half of what a call for each row does.
    RETURN format('SELECT u.* FROM (SELECT array_agg(id) AS ids, array_agg(ra) AS ras, array_agg(dec) AS decs FROM ('
        'SELECT t.%I::bigint AS id, p.ra, p.dec, row_number() OVER () / 100000 AS lot FROM %s t, LATERAL %s p (ra, dec)'
        ' WHERE hven.sky_is_position(p.ra, p.dec)) q GROUP BY lot) l,'
        ' LATERAL unnest(ids, ras, decs, hven.pixels_of(ras, decs)) u (id, ra, dec, h)', wanted[1], whole_name,
        CASE WHEN cardinality(wanted) = 6 AND epoch IS NOT NULL THEN
            format('hven.sky_at_epoch(t.%I, t.%I, t.%I, t.%I, $1 - t.%I)',
                   wanted[2], wanted[3], wanted[4], wanted[5], wanted[6])
        ELSE format('(SELECT t.%I::float8, t.%I::float8)', wanted[2], wanted[3]) END);
END
$$;

COMMENT ON FUNCTION hven.sky_crossmatch_side(regclass, text[], float8) IS
'Query for id, ra, dec and h (healpix29) of one side of a cross-match, at an epoch if columns of motion are named; VN013 if a column is missing.';


CREATE OR REPLACE FUNCTION hven.sky_crossmatch_query(
    left_side text, right_side text, left_has_pixels boolean, by_index boolean, radius_arcsec float8)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$
DECLARE
    -- 1.4520 is cover.py's REACH, 1e-12 rad its GUARD.
    reach constant bigint := ceil((hven.sky_radians(radius_arcsec, 35000) + 1e-12) * 1.4520 * 2 ^ 29) + 1;
    -- Small discs are worth larger pixels: fewer lie near a side, and few rows share one.
    shift constant integer := ceil(log(2, ((CASE WHEN radius_arcsec <= 5 THEN 8 ELSE 4 END) * reach)::numeric));
    all_x constant bigint := 96076792050570581;  -- the 29 even bits
    own_x constant bigint := all_x & ((1::bigint << (2 * shift)) - 1);
    face_x constant bigint := (all_x >> (2 * shift));
    low constant bigint := hven.healpix_spread(reach);
    high constant bigint := hven.healpix_spread((1 << shift) - reach);
    last constant bigint := hven.healpix_spread((1::bigint << 29) - reach);
    side constant text := '((h & %s) < %s OR (h & %s) >= %s)';
    at_x constant text := format(side, own_x, low, own_x, high);
    at_y constant text := format(side, own_x << 1, low << 1, own_x << 1, high << 1);
    at_face constant text := '(' || format(side, all_x, low, all_x, last) || ' OR '
        || format(side, all_x << 1, low << 1, all_x << 1, last << 1) || ')';
    own constant text := format('(h >> %s)', 2 * shift);
    -- One to the left or right along the masked bits: the other bits are set, or not, to pass the carry on.
    beside constant text := '(CASE WHEN (h & %1$s) < %2$s THEN ((%3$s & %4$s) - 1) & %4$s'
        || ' ELSE ((%3$s | ~%4$s) + 1) & %4$s END)';
    beside_x constant text := format(beside, own_x, low, own, face_x);
    beside_y constant text := format(beside, own_x << 1, low << 1, own, face_x << 1);
BEGIN
    RETURN format(
        'WITH a AS %s MATERIALIZED (%s), k AS ('
        ' SELECT id, ra, dec, %s AS pixel FROM a'
        ' UNION ALL SELECT id, ra, dec, %s | (%s & ~%s::bigint) FROM a WHERE %s AND NOT %s'
        ' UNION ALL SELECT id, ra, dec, %s | (%s & ~%s::bigint) FROM a WHERE %s AND NOT %s'
        ' UNION ALL SELECT id, ra, dec, %s | %s | (%s & ~%s::bigint) FROM a WHERE %s AND %s AND NOT %s'
        ' UNION ALL SELECT ids[number], ras[number], decs[number], pixel FROM (SELECT array_agg(id) AS ids,'
        ' array_agg(ra) AS ras, array_agg(dec) AS decs, array_agg(h) AS hs FROM a WHERE %s) f,'
        ' hven.touched_across_faces(hs, %s, %s) WHERE pixel <> hs[number] >> %s)',
        CASE WHEN left_has_pixels THEN 'NOT' ELSE '' END, left_side, own,
        beside_x, own, face_x, at_x, at_face,
        beside_y, own, face_x << 1, at_y, at_face,
        beside_x, beside_y, own, face_x * 3, at_x, at_y, at_face,
        at_face, reach, 29 - shift, 2 * shift)
    -- The difference in declination spares most haversines; OFFSET 0 has the others computed once.
    || ' SELECT left_id, right_id, degrees(2 * asin(sqrt(h))) * 3600 AS separation_arcsec FROM ('
    || ' SELECT k.id AS left_id, r.id AS right_id, hven.sky_haversine(k.ra, k.dec, r.ra, r.dec) AS h'
    || CASE WHEN by_index THEN format(
        ' FROM k CROSS JOIN LATERAL (SELECT * FROM (%s) r WHERE r.h BETWEEN k.pixel << %s AND ((k.pixel + 1) << %s) - 1 OFFSET 0) r'
        ' WHERE', right_side, 2 * shift, 2 * shift)
       ELSE format(' FROM k JOIN (%s) r ON r.h >> %s = k.pixel WHERE', right_side, 2 * shift) END
    || ' abs(k.dec - r.dec) <= $3 OFFSET 0) p WHERE h <= $2';
END
$$;

COMMENT ON FUNCTION hven.sky_crossmatch_query(text, text, boolean, boolean, float8) IS
'Text of the query that finds the pairs of sky_crossmatch.';


CREATE OR REPLACE FUNCTION hven.sky_crossmatch(
    left_table regclass, right_table regclass, radius_arcsec float8, only_nearest boolean DEFAULT false,
    left_columns text[] DEFAULT NULL, right_columns text[] DEFAULT NULL, epoch float8 DEFAULT NULL)
RETURNS TABLE (left_id bigint, right_id bigint, separation_arcsec float8)
LANGUAGE plpgsql
STABLE PARALLEL RESTRICTED COST 100000 ROWS 100000
SET enable_mergejoin = off  -- the planner can't know how few rows share a pixel
AS $$
DECLARE
    left_side constant text := hven.sky_crossmatch_side(left_table, left_columns, epoch);
    right_side constant text := hven.sky_crossmatch_side(right_table, right_columns, epoch);
    left_size constant bigint := coalesce((SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(left_table)),
                                          pg_relation_size(left_table));
    right_size constant bigint := coalesce((SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(right_table)),
                                           pg_relation_size(right_table));
    -- A probe of the index costs about as much as fifty rows of a scan.
    by_index constant boolean := left_size * 50 < right_size AND right_side LIKE '%t.healpix29 AS h%' AND EXISTS (
        SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = right_table AND a.attname = 'healpix29' AND i.indpred IS NULL);
    pairs constant text := hven.sky_crossmatch_query(
        left_side, right_side, left_side LIKE '%t.healpix29 AS h%', by_index, radius_arcsec);
BEGIN
    IF pairs IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE CASE WHEN only_nearest THEN
        'SELECT DISTINCT ON (left_id) p.* FROM (' || pairs || ') p ORDER BY left_id, separation_arcsec, right_id'
        ELSE pairs END
    USING epoch, sin(radians(radius_arcsec / 7200)) ^ 2, radius_arcsec / 3600 + 1e-12;
END
$$;

COMMENT ON FUNCTION hven.sky_crossmatch(regclass, regclass, float8, boolean, text[], text[], float8) IS
'Pairs of rows of two tables within a radius [arcsec, up to 35000], each pair once; only_nearest: the nearest on the right for each on the left. Put the smaller table first. Columns: names of id, ra, dec [deg] (default: the primary key, ra, dec), and for proper motion also pm_ra, pm_dec [mas/yr], epoch [yr], which are then brought to the epoch asked for.';
