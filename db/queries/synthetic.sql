-- hosts: extended Objects in a cone, with their moments
SELECT object_id, mean_ra, mean_dec, ixx, iyy, ixy
FROM hven.sky_cone(NULL::object, %(ra)s, %(dec)s, 3600 * %(radius_deg)s)
WHERE extendedness >= 0.5 AND ixx * iyy > ixy * ixy AND time_withdrawn IS NULL
ORDER BY object_id

-- save_objects: synthetic objects as they were drawn
INSERT INTO synthetic.synthetic_object (synthetic_object_id, object_class, parameters, ra, dec, healpix29, host_object_id)
SELECT o.id, %(object_class)s, o.parameters, o.ra, o.dec, hven.healpix29(o.ra, o.dec), o.host
FROM unnest(%(ids)s::bigint[], %(parameters)s::jsonb[], %(ra)s::float8[], %(dec)s::float8[], %(hosts)s::bigint[])
     AS o (id, parameters, ra, dec, host)

-- objects: synthetic objects in a cone
SELECT synthetic_object_id, ra, dec, parameters FROM synthetic.synthetic_object
WHERE hven.sky_separation_arcsec(ra, dec, %(ra)s, %(dec)s) <= %(radius_arcsec)s
ORDER BY synthetic_object_id

-- save_sources: synthetic objects as they were added to an exposure
INSERT INTO synthetic.synthetic_source (synthetic_object_id, exposure_id, midpoint_tai, x, y, flux, sky_surface_brightness)
SELECT s.id, %(exposure_id)s, %(midpoint_tai)s, s.x, s.y, s.flux, s.under
FROM unnest(%(ids)s::bigint[], %(x)s::real[], %(y)s::real[], %(flux)s::real[], %(under)s::real[]) AS s (id, x, y, flux, under)
ON CONFLICT (synthetic_object_id, exposure_id) DO NOTHING

-- events: each synthetic source that a difference could show, the error of a faint one there, and whether it was found
WITH faint AS (
    SELECT exposure_id, percentile_cont(0.1) WITHIN GROUP (ORDER BY psf_flux_err) AS noise
    FROM (SELECT exposure_id, psf_flux_err FROM forced_dia_source WHERE psf_flux_flag IS NOT TRUE
          UNION ALL SELECT exposure_id, psf_flux_err FROM dia_source WHERE psf_flux_flag IS NOT TRUE) AS m
    GROUP BY exposure_id
)
SELECT s.synthetic_object_id, s.flux, n.noise,
       s.sky_surface_brightness AS under, (o.parameters ->> 'separation_arcsec')::float8 AS separation,
       EXISTS (SELECT FROM dia_source AS x
               WHERE x.exposure_id = e.exposure_id + 1 AND x.time_withdrawn IS NULL AND x.psf_flux > 0
                 AND hven.sky_separation_arcsec(x.ra, x.dec, o.ra, o.dec) <= %(radius_arcsec)s) AS found
FROM synthetic.synthetic_source AS s
JOIN synthetic.synthetic_object AS o USING (synthetic_object_id)
JOIN exposure AS e ON e.exposure_id = s.exposure_id
JOIN detector AS d USING (detector_id)
JOIN faint AS n ON n.exposure_id = e.exposure_id + 1
WHERE s.x BETWEEN %(margin)s AND d.width - 1 - %(margin)s AND s.y BETWEEN %(margin)s AND d.height - 1 - %(margin)s
ORDER BY s.synthetic_object_id, s.exposure_id

-- hosted: each synthetic object that was found and has a host: how far the host is that the catalogue says from the true one
SELECT o.synthetic_object_id, (o.parameters ->> 'separation_arcsec')::float8 AS separation,
       hven.sky_separation_arcsec(h.mean_ra, h.mean_dec, (o.parameters ->> 'host_ra')::float8, (o.parameters ->> 'host_dec')::float8) AS apart
FROM synthetic.synthetic_object AS o
LEFT JOIN LATERAL (
    SELECT g.mean_ra, g.mean_dec FROM hven.sky_cone(NULL::object, o.ra, o.dec, 10) AS g
    CROSS JOIN LATERAL (SELECT 3600 * (o.ra - g.mean_ra) * cos(radians(g.mean_dec)) AS x, 3600 * (o.dec - g.mean_dec) AS y) AS p
    WHERE g.extendedness >= 0.5 AND g.ixx * g.iyy > g.ixy * g.ixy
    ORDER BY (g.iyy * p.x ^ 2 - 2 * g.ixy * p.x * p.y + g.ixx * p.y ^ 2) / (g.ixx * g.iyy - g.ixy ^ 2) LIMIT 1) AS h ON true
WHERE o.host_object_id IS NOT NULL AND EXISTS (
    SELECT FROM synthetic.synthetic_source AS s JOIN dia_source AS x ON x.exposure_id = s.exposure_id + 1
    WHERE s.synthetic_object_id = o.synthetic_object_id
      AND hven.sky_separation_arcsec(x.ra, x.dec, o.ra, o.dec) <= %(radius_arcsec)s)
ORDER BY 1
