-- Variability of Objects: the statistics that are kept, and a periodogram.
-- minimum revision: science_0001
-- databases: level1 release
-- execute: public

CREATE OR REPLACE FUNCTION hven.variability(object_ids bigint[])
RETURNS TABLE (
    object_id bigint, filter_id smallint, dia_sources integer, mean_dia_flux real, mean_dia_flux_err real, variance real, chi2 real,
    stetson_j real, amplitude real, min_flux real, max_flux real, first_tai float8, last_tai float8, welch_stetson_i real, pairs integer)
LANGUAGE sql STABLE PARALLEL SAFE COST 100 ROWS 600
AS $$
    SELECT f.object_id, f.filter_id, f.dia_sources, f.mean_dia_flux, f.mean_dia_flux_err, f.variance, f.chi2, f.stetson_j,
           f.amplitude, f.min_flux, f.max_flux, f.first_tai, f.last_tai, v.welch_stetson_i, v.pairs
    FROM unnest($1) AS wanted (object_id)
    JOIN :catalogue.object_flux f USING (object_id)
    LEFT JOIN :catalogue.object_variability v USING (object_id)
    WHERE f.dia_sources > 0
$$;

COMMENT ON FUNCTION hven.variability(bigint[]) IS
'Variability of a set of Objects on difference images, one row an Object and filter: number, mean, variance and chi squared about the mean, Stetson''s J, half the range, and Welch and Stetson''s I over all filters [nJy; TAI, MJD].';


CREATE OR REPLACE FUNCTION hven.light_curve_points(
    object_id bigint, OUT tai bytea, OUT filters bytea, OUT fluxes bytea, OUT errors bytea)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000
AS $$
BEGIN
    SELECT string_agg(float8send(p.midpoint_tai), ''), string_agg(int4send(p.filter_id), ''),
           string_agg(float4send(p.psf_flux), ''), string_agg(float4send(p.psf_flux_err), '')
    INTO tai, filters, fluxes, errors
    FROM (
        SELECT DISTINCT ON (c.midpoint_tai, c.filter_id) c.*
        FROM hven.light_curve(object_id) c WHERE c.psf_flux_err > 0 AND c.psf_flux IS NOT NULL
        ORDER BY c.midpoint_tai, c.filter_id, c.kind  -- a DiaSource before what was forced at the same time
    ) p;
END
$$;

COMMENT ON FUNCTION hven.light_curve_points(bigint) IS
'The light curve of an Object with one flux a Visit, by time, as columns of big-endian bytes.';


CREATE OR REPLACE FUNCTION hven.lomb_scargle(
    object_id bigint, min_period float8 DEFAULT 0.1, max_period float8 DEFAULT 1000, peak_count integer DEFAULT 5)
RETURNS TABLE (period float8, power float8, false_alarm float8)
-- Queries of PL/Python run in subtransactions, which a parallel query does not allow.
LANGUAGE plpython3u STABLE PARALLEL UNSAFE COST 100000 ROWS 5
AS $python$
-- include: steps.py
-- include: refused.py
-- include: lomb_scargle.py
call = Steps(plpy, SD)
tai, band, flux, error = call.arrays("light_curve_points(bigint)", "f4ee", object_id)
try:
    frequency = grid(tai, min_period, max_period)
except RefusedError as refused:
    plpy.error(f"lomb_scargle: {refused}", hint=refused.remedy, sqlstate=refused.code)
reduction, chi2, bands = periodogram(tai, band, flux, error, frequency)
found = peaks(frequency, reduction, peak_count) if bands else []
chances = false_alarm(reduction[found], bands, frequency.size / OVERSAMPLING)
return [(float(1 / frequency[n]), float(reduction[n] / chi2), float(p)) for n, p in zip(found, chances)]
$python$;

COMMENT ON FUNCTION hven.lomb_scargle(bigint, float8, float8, integer) IS
'Highest peaks of the periodogram of an Object''s light curve on difference images: period [d], share of chi squared that a sinusoid in each filter explains, and the probability that noise alone would do as much at some frequency.';
