-- by_id: the Object of an id
SELECT object_id, name FROM object_wide WHERE object_id = :what

-- by_name: the Object of a name
SELECT object_id, name FROM object_wide WHERE object_id = hven.object_by_name(:what)

-- object: The Object
SELECT object_id, name, ra, dec, mean_ra, mean_dec, ra_err, dec_err, pm_ra, pm_dec, extendedness, dia_sources,
       first_tai, last_tai, time_withdrawn, welch_stetson_i, pairs, period, false_alarm, z_peak, best_model_type,
       parent_object_id
FROM object_wide WHERE object_id = :object

-- difference: Light curve on difference images
SELECT c.kind, c.id, round(c.midpoint_tai::numeric, 6) AS mjd, f.name AS filter, c.psf_flux AS flux_njy, c.psf_flux_err AS error_njy
FROM hven.light_curve(:object) AS c JOIN filter AS f USING (filter_id)
ORDER BY c.midpoint_tai, c.id

-- sources: Light curve on single Exposures
SELECT s.source_id, round(s.midpoint_tai::numeric, 6) AS mjd, f.name AS filter, s.psf_flux AS flux_njy, s.psf_flux_err AS error_njy
FROM source AS s JOIN filter AS f USING (filter_id)
WHERE s.object_id = :object AND s.psf_flux IS NOT NULL AND s.time_withdrawn IS NULL
ORDER BY s.midpoint_tai

-- summary: What the light curve says, by filter
SELECT f.name AS filter, x.dia_sources, x.first_tai, x.last_tai, x.mean_dia_flux, x.variance, x.chi2, x.stetson_j,
       x.amplitude, x.min_flux, x.max_flux
FROM object_flux AS x JOIN filter AS f USING (filter_id)
WHERE x.object_id = :object ORDER BY f.name

-- neighbours: Neighbours within 30 arcsec
SELECT n.object_id, hven.object_name(n.object_id, n.ra, n.dec, n.name_tie) AS name,
       round(hven.sky_separation_arcsec(o.ra, o.dec, n.ra, n.dec)::numeric, 2) AS distance_arcsec,
       n.extendedness, n.dia_sources
FROM object AS o CROSS JOIN LATERAL hven.sky_cone(NULL::object, o.ra, o.dec, 30) AS n
WHERE o.object_id = :object AND n.object_id <> o.object_id
ORDER BY distance_arcsec LIMIT 50

-- alerts: Alerts
SELECT a.ivorn, a.version, v.midpoint_tai AS mjd, a.rule, a.host_object_id, a.is_moving, a.cites_as
FROM alert AS a JOIN visit AS v USING (visit_id)
WHERE a.object_id = :object ORDER BY a.selected_tai, a.version

-- exposures: Exposures that show it, the latest first
SELECT e.exposure_id, e.kind, f.name AS filter, round(e.midpoint_tai::numeric, 5) AS mjd, e.psf_fwhm
FROM object AS o CROSS JOIN LATERAL hven.exposures_covering(o.ra, o.dec) AS e JOIN filter AS f USING (filter_id)
WHERE o.object_id = :object AND e.kind IN ('calibrated', 'difference')
ORDER BY e.midpoint_tai DESC, e.kind LIMIT 20

-- moving: the MovingObject of an id or a name
SELECT moving_object_id, name FROM moving_object WHERE moving_object_id::text = :what OR name = :what

-- orbit: The orbit
SELECT * FROM moving_object WHERE moving_object_id = :object

-- observations: DiaSources of it
SELECT d.dia_source_id, round(d.midpoint_tai::numeric, 6) AS mjd, f.name AS filter, d.ra, d.dec, d.psf_flux AS flux_njy,
       d.psf_flux_err AS error_njy
FROM dia_source AS d JOIN filter AS f USING (filter_id)
WHERE d.moving_object_id = :object AND d.time_withdrawn IS NULL ORDER BY d.midpoint_tai

-- predicted: Where it was and will be
SELECT p.visit_id, round(v.midpoint_tai::numeric, 5) AS mjd, p.ra, p.dec, p.magnitude, p.dia_source_id
FROM predicted_position AS p JOIN visit AS v USING (visit_id)
WHERE p.moving_object_id = :object ORDER BY p.visit_id

-- scale: the coarsest pixels of a database, arcsec
SELECT coalesce(max(pixel_scale), 0.2) FROM detector
