-- Light curves of Objects in the live database, and what is made of them.
-- minimum revision: science_0001
-- databases: level1
-- execute: public

CREATE OR REPLACE FUNCTION hven.light_curve(object_id bigint)
RETURNS TABLE (kind text, id bigint, midpoint_tai float8, filter_id smallint, psf_flux real, psf_flux_err real)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000 ROWS 200
-- Not inlined: the plan over all partitions is made once a session.
AS $$
BEGIN
    RETURN QUERY
    SELECT 'dia_source', d.dia_source_id, d.midpoint_tai, d.filter_id, d.psf_flux, d.psf_flux_err
    FROM :catalogue.dia_source d WHERE d.object_id = light_curve.object_id AND d.time_withdrawn IS NULL
    UNION ALL
    SELECT 'forced_dia_source', f.forced_dia_source_id, f.midpoint_tai, f.filter_id, f.psf_flux, f.psf_flux_err
    FROM :catalogue.forced_dia_source f WHERE f.object_id = light_curve.object_id AND f.time_withdrawn IS NULL
    ORDER BY 3, 2;
END
$$;

COMMENT ON FUNCTION hven.light_curve(bigint) IS
'The whole light curve of an Object on difference images, by time [TAI, MJD]: its DiaSources, and the fluxes forced where it was below the threshold [nJy]; withdrawn measurements are left out.';
