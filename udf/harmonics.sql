-- Periods of variables whose light curves are no sinusoids.
-- minimum revision: science_0001
-- databases: level1 release
-- requires: variability
-- execute: public

CREATE OR REPLACE FUNCTION hven.harmonic_periods(
    tai float8[], filters integer[], fluxes float8[], errors float8[], min_period float8 DEFAULT 0.2, max_period float8 DEFAULT 1,
    harmonics integer DEFAULT 3, peak_count integer DEFAULT 3)
RETURNS TABLE (period float8, power float8)
LANGUAGE plpython3u IMMUTABLE STRICT ROWS 3
AS $python$
-- include: refused.py
-- include: lomb_scargle.py
-- include: harmonics.py
try:
    arrays = measurements(tai, filters, fluxes, errors)
    if not 1 <= harmonics <= 10:
        raise RefusedError("VN023", f"{harmonics} harmonics, allowed are 1 to 10", "3 do for RR Lyrae")
    frequency = grid(arrays[0], min_period, max_period)
except RefusedError as refused:
    plpy.error(f"harmonic_periods: {refused}", hint=refused.remedy, sqlstate=refused.code)
found, power = best_periods(*arrays, frequency, harmonics, peak_count)
return list(zip(found.tolist(), power.tolist()))
$python$;

COMMENT ON FUNCTION hven.harmonic_periods(float8[], integer[], float8[], float8[], float8, float8, integer, integer) IS
'Best periods [d] of a light curve by a Fourier series of some harmonics in each filter, and the share of chi squared that each explains. Times [d], filters, fluxes and errors of one unit, one of each for each measurement; 3 harmonics suit RR Lyrae, whose periods lie between 0.2 and 1 d.';


CREATE OR REPLACE FUNCTION hven.light_curve_arrays(object_id bigint)
RETURNS TABLE (tai float8[], filters integer[], fluxes float8[], errors float8[])
LANGUAGE sql STABLE ROWS 1
AS $$
    SELECT array_agg(l.midpoint_tai), array_agg(l.filter_id::integer), array_agg(l.psf_flux::float8), array_agg(l.psf_flux_err::float8)
    FROM (SELECT DISTINCT ON (c.midpoint_tai, c.filter_id) c.* FROM hven.light_curve($1) c
          WHERE c.psf_flux_err > 0 AND c.psf_flux IS NOT NULL ORDER BY c.midpoint_tai, c.filter_id, c.kind) l
$$;

COMMENT ON FUNCTION hven.light_curve_arrays(bigint) IS
'An Object''s light curve on difference images as arrays, one measurement of each time and filter: TAI [MJD], filters, fluxes and errors [nJy]; NULL where there is none.';


CREATE OR REPLACE FUNCTION hven.harmonic_periods(
    object_id bigint, min_period float8 DEFAULT 0.2, max_period float8 DEFAULT 1, harmonics integer DEFAULT 3, peak_count integer DEFAULT 3)
RETURNS TABLE (period float8, power float8)
LANGUAGE sql STABLE ROWS 3
AS $$
    SELECT p.* FROM hven.light_curve_arrays($1) a
    CROSS JOIN LATERAL hven.harmonic_periods(a.tai, a.filters, a.fluxes, a.errors, $2, $3, $4, $5) p
$$;

COMMENT ON FUNCTION hven.harmonic_periods(bigint, float8, float8, integer, integer) IS
'Best periods [d] of an Object''s light curve on difference images by a Fourier series of some harmonics in each filter.';
