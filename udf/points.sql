-- Light curves that are kept with Objects, so that a night makes its statistics without reading the history.
-- minimum revision: science_0008
-- databases: level1
-- execute: hven_worker hven_operator

CREATE OR REPLACE FUNCTION hven.point(tai float8, flux real, err real, filter_id smallint)
RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN float8send(tai) || float4send(flux) || float4send(err) || int2send(filter_id);

COMMENT ON FUNCTION hven.point(float8, real, real, smallint) IS
'A measurement as object_variability.points holds it: 18 bytes.';


CREATE OR REPLACE FUNCTION hven.kept_points(object_ids bigint[], OUT ids bytea, OUT counts bytea, OUT data bytea)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
BEGIN
    SELECT string_agg(int8send(v.object_id), ''), string_agg(int4send(length(v.points) / 18), ''), string_agg(v.points, '')
    INTO ids, counts, data
    FROM :catalogue.object_variability v WHERE v.object_id = ANY (object_ids) AND v.points IS NOT NULL;
END
$$;

COMMENT ON FUNCTION hven.kept_points(bigint[]) IS
'The light curves that are kept with Objects: ids, numbers of points, points, as columns of big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.keep_points(
    object_ids bigint[], fewest integer, first bigint, last bigint, OUT ids bytea, OUT counts bytea, OUT data bytea)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    WITH kept AS (
        INSERT INTO :catalogue.object_variability AS v (object_id, points)
        SELECT d.object_id, string_agg(hven.point(d.midpoint_tai, d.psf_flux, d.psf_flux_err, d.filter_id), '' ORDER BY d.dia_source_id)
        FROM :catalogue.dia_source d
        WHERE d.object_id = ANY (object_ids) AND d.dia_source_id NOT BETWEEN first AND last
          AND d.time_withdrawn IS NULL AND d.psf_flux_err > 0 AND d.psf_flux IS NOT NULL
        GROUP BY d.object_id HAVING count(*) >= fewest
        ON CONFLICT (object_id) DO UPDATE SET points = excluded.points
        RETURNING v.object_id, v.points
    )
    SELECT string_agg(int8send(k.object_id), ''), string_agg(int4send(length(k.points) / 18), ''), string_agg(k.points, '')
    INTO ids, counts, data FROM kept k;
END
$$;

COMMENT ON FUNCTION hven.keep_points(bigint[], integer, bigint, bigint) IS
'Makes the light curves that are kept with Objects anew from their DiaSources that hold, if there are enough; all but those of a range of ids. Returns them as kept_points does.';
