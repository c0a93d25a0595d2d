-- Periods of stars whose light curves have one shape in all filters.
-- minimum revision: science_0001
-- databases: level1 release
-- requires: harmonics
-- execute: public

CREATE OR REPLACE FUNCTION hven.pulsation_periods(
    tai float8[], filters integer[], fluxes float8[], errors float8[], min_period float8 DEFAULT 0.2, max_period float8 DEFAULT 1,
    peak_count integer DEFAULT 3)
RETURNS TABLE (period float8, criterion float8)
LANGUAGE plpython3u IMMUTABLE STRICT ROWS 3
AS $python$
-- include: refused.py
-- include: lomb_scargle.py
-- include: harmonics.py
-- include: pulsation.py
try:
    arrays = measurements(tai, filters, fluxes, errors)
    frequency = grid(arrays[0], min_period, max_period)
except RefusedError as refused:
    plpy.error(f"pulsation_periods: {refused}", hint=refused.remedy, sqlstate=refused.code)
found, criterion = pulsation_periods(*arrays, frequency, peak_count)
return list(zip(found.tolist(), criterion.tolist()))
$python$;

COMMENT ON FUNCTION hven.pulsation_periods(float8[], integer[], float8[], float8[], float8, float8, integer) IS
'Best periods [d] of a pulsating star, whose light curve has one shape in all filters, and the Bayesian information criterion of each relative to no variation: the lower, the better. Outliers count less. Times [d], filters, fluxes or magnitudes and errors of one unit, one of each for each measurement.';


CREATE OR REPLACE FUNCTION hven.pulsation_periods(
    object_id bigint, min_period float8 DEFAULT 0.2, max_period float8 DEFAULT 1, peak_count integer DEFAULT 3)
RETURNS TABLE (period float8, criterion float8)
LANGUAGE sql STABLE ROWS 3
AS $$
    SELECT p.* FROM hven.light_curve_arrays($1) a
    CROSS JOIN LATERAL hven.pulsation_periods(a.tai, a.filters, a.fluxes, a.errors, $2, $3, $4) p
$$;

COMMENT ON FUNCTION hven.pulsation_periods(bigint, float8, float8, integer) IS
'Best periods [d] of an Object''s light curve on difference images, as of a pulsating star.';
