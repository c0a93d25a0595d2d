-- raw_files: checksums of at most so many raw frames of a detector, spread over all
SELECT sha256
FROM (SELECT f.sha256, e.exposure_id, row_number() OVER (ORDER BY e.exposure_id) AS place, count(*) OVER () AS frames
      FROM exposure AS e JOIN queue.file AS f USING (file_id)
      WHERE e.kind = 'raw' AND e.detector_id = %(detector_id)s) AS raw
WHERE place %% ((frames + %(frames)s - 1) / %(frames)s) = 0
ORDER BY exposure_id

-- dark: the checksum of a detector's dark, NULL if there is none
SELECT result ->> 'dark' FROM queue.job
WHERE kind = 'dark' AND (parameters ->> 'detector_id')::integer = %(detector_id)s AND state = 'done'
ORDER BY job_id DESC LIMIT 1

-- flat: the checksum of the star flat of a Visit's band and a detector, NULL if there is none
SELECT j.result -> 'flats' ->> (f.name || ' ' || %(detector_id)s)
FROM queue.job AS j, visit AS v JOIN filter AS f USING (filter_id)
WHERE j.kind = 'join' AND j.state = 'done' AND v.visit_id = %(visit_id)s
ORDER BY j.job_id DESC LIMIT 1

-- flats: the star flats of a release, by band and detector
SELECT result -> 'flats' FROM queue.job WHERE kind = 'join' AND state = 'done' ORDER BY job_id DESC LIMIT 1

-- pixels: the checksum of an exposure's file
SELECT f.sha256 FROM exposure AS e JOIN queue.file AS f USING (file_id) WHERE e.exposure_id = %(exposure_id)s

-- exposures: the calibrated exposures of the first frames, with their shapes and "band detector"
SELECT e.exposure_id, e.wcs, d.height, d.width, e.ra, e.dec, e.midpoint_tai, f.name || ' ' || e.detector_id
FROM exposure AS e JOIN detector AS d USING (detector_id) JOIN filter AS f USING (filter_id)
WHERE e.kind = 'calibrated'
ORDER BY e.exposure_id

-- stars: the staged Sources that are bright enough to fit exposures to each other
SELECT exposure_id, x, y, sqrt((ra_err ^ 2 + dec_err ^ 2) / 2), psf_flux, ap_flux, ap_flux_err
FROM staging.source
WHERE psf_flux > %(min_snr)s * psf_flux_err AND ra_err > 0 AND dec_err > 0
ORDER BY exposure_id, source_id

-- set_wcs: a better WCS of many exposures
UPDATE exposure AS e SET wcs = n.cards
FROM unnest(%(exposures)s::bigint[], %(cards)s::text[]) AS n (exposure_id, cards)
WHERE e.exposure_id = n.exposure_id

-- calibrated: the pixels and the WCS of a detector's calibrated exposure
SELECT f.sha256, e.wcs
FROM exposure AS e JOIN queue.file AS f USING (file_id)
WHERE e.visit_id = %(visit_id)s AND e.detector_id = %(detector_id)s AND e.kind = 'calibrated'

-- calibrated_files: checksums of all calibrated exposures, in their order
SELECT f.sha256 FROM exposure AS e JOIN queue.file AS f USING (file_id) WHERE e.kind = 'calibrated' ORDER BY e.exposure_id

-- set_condition: why a detector's raw frames can't be processed
UPDATE exposure SET condition = %(condition)s
WHERE visit_id = %(visit_id)s AND detector_id = %(detector_id)s AND kind = 'raw'

-- clear_source: what an earlier attempt at a detector left
DELETE FROM staging.source WHERE visit_id = %(visit_id)s AND detector_id = %(detector_id)s

-- associate_sources: match the staged Sources of a Visit with Objects
SELECT hven.associate_sources(%(visit_id)s, NULL, %(parameters)s)

-- best: the exposures in which a faint star stands out most, from all parts of the night: a field that drifts is covered
SELECT exposure_id, sha256, filter_id
FROM (SELECT p.*, row_number() OVER (PARTITION BY p.part ORDER BY p.depth, p.exposure_id) AS rank
      FROM (SELECT e.exposure_id, f.sha256, e.filter_id, e.psf_fwhm * e.photo_calib * e.sky_noise AS depth,
                   ntile(%(parts)s) OVER (ORDER BY e.midpoint_tai, e.exposure_id) AS part
            FROM exposure AS e JOIN queue.file AS f USING (file_id)
            WHERE e.kind = 'calibrated') AS p) AS ranked
WHERE rank <= %(inputs)s / %(parts)s
ORDER BY depth, exposure_id

-- objects: places of all Objects
SELECT object_id, ra, dec FROM object ORDER BY object_id

-- set_shapes: what the template tells of the shape of Objects; NaN is what could not be measured
UPDATE object AS o SET extendedness = nullif(n.extendedness, 'NaN'), ixx = nullif(n.ixx, 'NaN'),
                       iyy = nullif(n.iyy, 'NaN'), ixy = nullif(n.ixy, 'NaN')
FROM unnest(%(objects)s::bigint[], %(extendedness)s::real[], %(ixx)s::real[], %(iyy)s::real[], %(ixy)s::real[])
     AS n (object_id, extendedness, ixx, iyy, ixy)
WHERE o.object_id = n.object_id

-- save_patch: a piece of sky with a grid
INSERT INTO patch (patch_id, ra, dec, healpix29, inner_size, overlap, inner_region, outer_region, wcs)
VALUES (%(patch_id)s, %(ra)s, %(dec)s, %(healpix29)s, %(inner_size)s, %(overlap)s, %(outline)s, %(outline)s, %(wcs)s)
ON CONFLICT (patch_id) DO NOTHING

-- save_coadd: a coadd in use, in place of an earlier attempt's
INSERT INTO coadd (coadd_id, patch_id, kind, filter_id, inputs, first_tai, last_tai, exposure_time, photo_calib,
                   psf_model, psf_fwhm, depth, file_id, job_id)
VALUES (%(coadd_id)s, %(patch_id)s, %(kind)s, %(filter_id)s, %(inputs)s, %(first_tai)s, %(last_tai)s,
        %(exposure_time)s, %(photo_calib)s, 'pixel', %(psf_fwhm)s, %(depth)s, %(file_id)s, %(job_id)s)
ON CONFLICT (coadd_id) DO UPDATE SET
    inputs = excluded.inputs, first_tai = excluded.first_tai, last_tai = excluded.last_tai,
    exposure_time = excluded.exposure_time, photo_calib = excluded.photo_calib, psf_fwhm = excluded.psf_fwhm,
    depth = excluded.depth, file_id = excluded.file_id, job_id = excluded.job_id

-- save_inputs: what went into a coadd
INSERT INTO coadd_input (coadd_id, exposure_id, weight)
SELECT %(coadd_id)s, i.exposure_id, i.weight
FROM unnest(%(exposures)s::bigint[], %(weights)s::real[]) AS i (exposure_id, weight)
ON CONFLICT DO NOTHING

-- template: the checksum of the template in use
SELECT f.sha256 FROM coadd JOIN queue.file AS f USING (file_id) WHERE kind = 'template' AND is_current
ORDER BY coadd_id LIMIT 1

-- watch: force-photometer the Objects nearest to some places in all Visits to come
INSERT INTO force_list (object_id, since_visit_id, expires_tai, priority)
SELECT DISTINCT n.object_id, (SELECT min(visit_id) FROM visit), 'Infinity'::float8, 1e6
FROM unnest(%(ra)s::float8[], %(dec)s::float8[]) AS p (ra, "dec")
CROSS JOIN LATERAL hven.sky_nearest(NULL::object, p.ra, p.dec, %(radius_arcsec)s) AS n
ON CONFLICT (object_id) DO NOTHING

-- count_release: what the first frames gave
SELECT (SELECT count(*) FROM source WHERE object_id IS NOT NULL) AS sources, (SELECT count(*) FROM object) AS objects,
       (SELECT count(*) FROM exposure WHERE kind = 'calibrated') AS exposures

-- count_night: what the night gave
SELECT (SELECT count(*) FROM dia_source) AS dia_sources, (SELECT count(*) FROM alert) AS alerts
