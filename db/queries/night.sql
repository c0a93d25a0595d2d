-- register_filter: the number of a band, given one unless it has one
WITH known AS (
    SELECT filter_id FROM filter WHERE name = %(band)s
), made AS (
    INSERT INTO filter (filter_id, name)
    SELECT (SELECT coalesce(max(filter_id), 0) + 1 FROM filter), %(band)s WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT (name) DO NOTHING
    RETURNING filter_id
)
SELECT filter_id FROM known UNION ALL SELECT filter_id FROM made

-- register_detector: a detector of the instrument
INSERT INTO detector (detector_id, instrument, name, width, height, pixel_scale)
VALUES (%(detector_id)s, %(instrument)s, %(name)s, %(width)s, %(height)s, %(pixel_scale)s)
ON CONFLICT (detector_id) DO NOTHING

-- register_visit: the Visit that a raw exposure belongs to
INSERT INTO visit (visit_id, night, sequence, filter_id, snaps, detectors, ra, dec, midpoint_tai, shutter_close_tai,
                   exposure_time)
VALUES (%(visit_id)s, %(night)s, %(sequence)s, %(filter_id)s, %(snaps)s, %(detectors)s, %(ra)s, %(dec)s,
        %(midpoint_tai)s, %(shutter_close_tai)s, %(exposure_time)s)
ON CONFLICT (visit_id) DO NOTHING

-- register_raw: a raw exposure, once
INSERT INTO exposure (exposure_id, visit_id, detector_id, snap, kind, filter_id, midpoint_tai, exposure_time, ra, dec,
                      file_id)
VALUES (%(exposure_id)s, %(visit_id)s, %(detector_id)s, %(snap)s, 'raw', %(filter_id)s, %(midpoint_tai)s,
        %(exposure_time)s, %(ra)s, %(dec)s, %(file_id)s)
ON CONFLICT (exposure_id) DO NOTHING

-- count_raw: one raw exposure more; whoever completes the Visit is told so, however many arrive at once
UPDATE visit
SET raw_arrived = raw_arrived + 1,
    state = CASE WHEN raw_arrived + 1 = snaps * detectors THEN 'ready' ELSE state END
WHERE visit_id = %(visit_id)s
RETURNING raw_arrived = snaps * detectors

-- summarise_visit: times of a complete Visit from its Snaps
UPDATE visit
SET midpoint_tai = raw.midpoint, shutter_close_tai = raw.closed, exposure_time = raw.seconds
FROM (
    SELECT sum(midpoint_tai * exposure_time) / sum(exposure_time) AS midpoint,
           max(midpoint_tai + exposure_time / 2 / 86400) AS closed,
           sum(exposure_time) / count(DISTINCT detector_id) AS seconds
    FROM exposure WHERE visit_id = %(visit_id)s AND kind = 'raw'
) AS raw
WHERE visit_id = %(visit_id)s

-- raw_files: checksums of a detector's raw frames, Snap by Snap
SELECT e.snap, f.sha256, e.midpoint_tai
FROM exposure AS e JOIN queue.file AS f USING (file_id)
WHERE e.visit_id = %(visit_id)s AND e.detector_id = %(detector_id)s AND e.kind = 'raw'
ORDER BY e.snap

-- visit: what a detector's job needs to know of its Visit
SELECT visit_id, filter_id, midpoint_tai, exposure_time, snaps FROM visit WHERE visit_id = %(visit_id)s

-- save_exposure: a calibrated or difference exposure, replacing that of an earlier attempt
INSERT INTO exposure (exposure_id, visit_id, detector_id, snap, kind, filter_id, midpoint_tai, exposure_time, ra, dec,
                      healpix29, wcs, footprint, psf_model, psf_fwhm, photo_calib, photo_calib_err, zeropoint,
                      sky_noise, file_id, job_id)
VALUES (%(exposure_id)s, %(visit_id)s, %(detector_id)s, %(snap)s, %(kind)s, %(filter_id)s, %(midpoint_tai)s,
        %(exposure_time)s, %(ra)s, %(dec)s, %(healpix29)s, %(wcs)s, %(footprint)s, %(psf_model)s, %(psf_fwhm)s,
        %(photo_calib)s, %(photo_calib_err)s, %(zeropoint)s, %(sky_noise)s, %(file_id)s, %(job_id)s)
ON CONFLICT (exposure_id) DO UPDATE SET
    midpoint_tai = excluded.midpoint_tai, exposure_time = excluded.exposure_time, ra = excluded.ra, dec = excluded.dec,
    healpix29 = excluded.healpix29, wcs = excluded.wcs, footprint = excluded.footprint, psf_model = excluded.psf_model,
    psf_fwhm = excluded.psf_fwhm, photo_calib = excluded.photo_calib, photo_calib_err = excluded.photo_calib_err,
    zeropoint = excluded.zeropoint, sky_noise = excluded.sky_noise, file_id = excluded.file_id, job_id = excluded.job_id

-- to_force: Objects on the list to be force-photometered, within a circle
SELECT o.object_id, o.mean_ra, o.mean_dec
FROM force_list AS f JOIN object AS o USING (object_id)
WHERE f.expires_tai > %(midpoint_tai)s AND hven.sky_within(o.ra, o.dec, %(ra)s, %(dec)s, %(radius_arcsec)s)

-- production_parameters: parameters of a production
SELECT parameters FROM queue.production WHERE production_id = %(production_id)s

-- clear_dia_source: what an earlier attempt at a detector left
DELETE FROM staging.dia_source WHERE visit_id = %(visit_id)s AND detector_id = %(detector_id)s

-- clear_dia_source_snap: what an earlier attempt at a detector left
DELETE FROM staging.dia_source_snap AS s
WHERE s.visit_id = %(visit_id)s AND (s.exposure_id >> 4) & 255 = %(detector_id)s

-- clear_forced_dia_source: what an earlier attempt at a detector left
DELETE FROM staging.forced_dia_source WHERE visit_id = %(visit_id)s AND detector_id = %(detector_id)s

-- associate: match the staged rows of a Visit with Objects
SELECT hven.associate_visit(%(visit_id)s, parameters => %(parameters)s)

-- select_alerts: choose what goes out
SELECT hven.select_alerts(%(visit_id)s, %(parameters)s)

-- save_stamps: where the stamps of an Exposure's DiaSources lie
UPDATE exposure SET stamps_file_id = %(file_id)s WHERE exposure_id = %(exposure_id)s

-- stamps_of: the file of stamps that a DiaSource is in
SELECT f.sha256
FROM dia_source AS d JOIN exposure AS e USING (exposure_id) JOIN queue.file AS f ON f.file_id = e.stamps_file_id
WHERE d.dia_source_id = %(dia_source_id)s

-- clear_refcat: forget a reference catalogue, which is to be imported anew
DELETE FROM refcat WHERE catalogue = %(catalogue)s

-- reference_stars: a catalogue's stars in a cone, where they are at an epoch
SELECT ra + (%(epoch)s - epoch) * coalesce(pm_ra, 0) / 3.6e6 / cos(radians(dec)),
       dec + (%(epoch)s - epoch) * coalesce(pm_dec, 0) / 3.6e6, magnitude
FROM hven.sky_cone(NULL::refcat, %(ra)s, %(dec)s, %(radius_arcsec)s)
WHERE catalogue = %(catalogue)s
ORDER BY refcat_id
