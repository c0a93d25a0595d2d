-- Cones of Objects: sky_cone for the one table that most are asked of, which the planner can inline. A set form for
-- any table is PL/pgSQL, and its rows are stored before they are read: for 300,000 rows as long as finding them.
-- minimum revision: science_0001
-- databases: release
-- requires: sky/cone
-- execute: public
--
-- A release's Objects have a GiST index, which is best for small cones. The branch that does not apply is left out
-- where the radius is a constant, and else not executed.

CREATE OR REPLACE FUNCTION hven.sky_cone(
    object_row :catalogue.object, ra_deg float8, dec_deg float8, radius_arcsec float8)
RETURNS SETOF :catalogue.object
LANGUAGE sql STABLE PARALLEL SAFE COST 1000 ROWS 100
AS $$
    SELECT o.* FROM :catalogue.object o
    WHERE radius_arcsec <= 300 AND hven.sky_within(o.ra, o.dec, ra_deg, dec_deg, radius_arcsec)
    UNION ALL
    SELECT o.* FROM hven.healpix_ranges_cone(ra_deg, dec_deg, radius_arcsec, hven.cover_depth(radius_arcsec)) r,
        LATERAL (SELECT * FROM :catalogue.object o WHERE o.healpix29 BETWEEN r.lowest AND r.highest OFFSET 0) o
    WHERE NOT radius_arcsec <= 300 AND (
        r.inside OR hven.sky_haversine(o.ra, o.dec, ra_deg, dec_deg) <= sin(radians(radius_arcsec / 7200)) ^ 2)
$$;

COMMENT ON FUNCTION hven.sky_cone(:catalogue.object, float8, float8, float8) IS
'The Objects within a radius [arcsec] of a position [deg]: sky_cone(NULL::object, …) as part of the query that calls it.';
