-- plan: what a release is to be made from, in place of a plan that came to nothing
INSERT INTO hub.data_release (release, name, cutoff_tai, parameters)
VALUES (%(release)s, %(name)s, %(cutoff_tai)s, %(parameters)s)
ON CONFLICT (release) DO UPDATE SET name = excluded.name, cutoff_tai = excluded.cutoff_tai, parameters = excluded.parameters
WHERE data_release.published IS NULL

-- planned: what a release is to be made from
SELECT parameters FROM hub.data_release WHERE name = %(name)s

-- next_mini: the first number that no mini-DR has
SELECT min(n) FROM generate_series(48, 63) AS n WHERE n NOT IN (SELECT release FROM hub.science_database)

-- first_raw: when the first raw exposure was taken, and how many there are in a time and a region
SELECT min(e.midpoint_tai),
       count(*) FILTER (WHERE v.midpoint_tai BETWEEN %(from_tai)s AND %(cutoff_tai)s AND (
           %(reach_arcsec)s::float8 IS NULL OR hven.sky_separation_arcsec(v.ra, v.dec, %(ra)s, %(dec)s) <= %(reach_arcsec)s))
FROM exposure AS e JOIN visit AS v USING (visit_id) WHERE e.kind = 'raw'

-- visits: Visits in a time and a region, for COPY
SELECT {columns} FROM visit AS v
WHERE midpoint_tai BETWEEN %(from_tai)s AND %(cutoff_tai)s
  AND (%(reach_arcsec)s::float8 IS NULL OR hven.sky_separation_arcsec(v.ra, v.dec, %(ra)s, %(dec)s) <= %(reach_arcsec)s)
  AND EXISTS (SELECT FROM exposure AS e WHERE e.visit_id = v.visit_id AND e.kind = 'raw')

-- raws: raw exposures of Visits in a time and a region with their files, for COPY
SELECT {columns}, f.sha256, f.size, f.media_type, f.name
FROM exposure AS e JOIN queue.file AS f USING (file_id) JOIN visit AS v USING (visit_id)
WHERE e.kind = 'raw' AND v.midpoint_tai BETWEEN %(from_tai)s AND %(cutoff_tai)s
  AND (%(reach_arcsec)s::float8 IS NULL OR hven.sky_separation_arcsec(v.ra, v.dec, %(ra)s, %(dec)s) <= %(reach_arcsec)s)

-- expect_raws: a table for raw exposures and their files
CREATE TEMP TABLE raw (LIKE exposure) ON COMMIT DROP;
ALTER TABLE raw ADD file_sha256 bytea, ADD file_size bigint, ADD file_media_type text, ADD file_name text

-- adopt_raws: the files become ours, then the raw exposures
INSERT INTO queue.file (sha256, size, media_type, name)
SELECT DISTINCT ON (file_sha256) file_sha256, file_size, file_media_type, file_name FROM raw ORDER BY file_sha256, exposure_id
ON CONFLICT (sha256) DO NOTHING;
UPDATE raw SET job_id = NULL, stamps_file_id = NULL, condition = NULL, file_id = f.file_id
FROM queue.file AS f WHERE f.sha256 = file_sha256;
INSERT INTO exposure ({columns}) SELECT {columns} FROM raw ORDER BY exposure_id

-- places: what is to be calibrated: each detector of each Visit, in order
SELECT DISTINCT e.visit_id, e.detector_id, f.name AS band, v.midpoint_tai
FROM exposure AS e JOIN visit AS v USING (visit_id) JOIN filter AS f ON f.filter_id = v.filter_id
WHERE e.kind = 'raw' ORDER BY 1, 2

-- files: checksums and lengths of all raw frames
SELECT DISTINCT f.sha256, f.size, f.name FROM exposure AS e JOIN queue.file AS f USING (file_id) WHERE e.kind = 'raw'

-- masters: certified calibration products of an instrument, the best first
SELECT kind, detector_id, filter AS band, valid_from_tai, valid_to_tai, sha256 FROM hub.calibration_product
WHERE instrument = %(instrument)s AND state = 'certified' AND kind IN ('bias', 'dark', 'flat')
ORDER BY version DESC, calibration_id DESC

-- certify: a master calibration that may be used
INSERT INTO hub.calibration_product (kind, instrument, detector_id, filter, valid_from_tai, valid_to_tai, version, state, sha256)
SELECT %(kind)s, %(instrument)s, %(detector_id)s, %(filter)s, %(valid_from_tai)s, %(valid_to_tai)s,
       1 + coalesce(max(version), 0), 'certified', %(sha256)s
FROM hub.calibration_product
WHERE kind = %(kind)s AND instrument = %(instrument)s AND detector_id = %(detector_id)s AND filter = %(filter)s

-- calibrated: calibrated exposures with what their use in coadds depends on
SELECT e.exposure_id, e.visit_id, e.detector_id, e.filter_id, e.wcs, d.height, d.width
FROM exposure AS e JOIN detector AS d USING (detector_id)
WHERE e.kind = 'calibrated' ORDER BY e.exposure_id

-- save_patches: pieces of sky with their grids
INSERT INTO patch (patch_id, ra, dec, healpix29, inner_size, overlap, inner_region, outer_region, wcs)
VALUES (%(patch_id)s, %(ra)s, %(dec)s, %(healpix29)s, %(inner_size)s, %(overlap)s, %(inner_region)s, %(outer_region)s, %(wcs)s)
ON CONFLICT (patch_id) DO NOTHING

-- inputs: calibrated exposures that go into a coadd, the finest images first
SELECT e.exposure_id, f.sha256, e.wcs
FROM exposure AS e JOIN queue.file AS f USING (file_id)
WHERE e.exposure_id = ANY (%(exposures)s)
ORDER BY e.psf_fwhm * e.photo_calib * e.sky_noise, e.exposure_id

-- coadds: the coadds of a kind over some patches
SELECT c.patch_id, c.filter_id, c.coadd_id, f.sha256
FROM coadd AS c JOIN queue.file AS f USING (file_id)
WHERE c.kind = %(kind)s AND c.is_current AND c.patch_id = ANY (%(patches)s)
  AND (%(filter_id)s IS NULL OR c.filter_id = %(filter_id)s)
ORDER BY c.patch_id, c.filter_id

-- bands: filters by their numbers
SELECT filter_id, name FROM filter

-- image: an exposure of a detector of a Visit, of one kind
SELECT e.exposure_id, f.sha256, e.wcs
FROM exposure AS e JOIN queue.file AS f USING (file_id)
WHERE e.visit_id = %(visit_id)s AND e.detector_id = %(detector_id)s AND e.kind = %(kind)s AND e.snap = 0

-- staged: DiaSources that have no Object yet
SELECT dia_source_id, ra, dec, ra_err, dec_err, ra_dec_cov FROM staging.dia_source ORDER BY dia_source_id

-- objects: where all Objects are
SELECT object_id, ra, dec FROM object ORDER BY object_id

-- link: the staged DiaSources become rows of the catalogue
SELECT hven.link_dia_sources(%(dia_sources)s, %(objects)s)

-- sky_of: Objects in a cone, and whether each has DiaSources
SELECT object_id, ra, dec, dia_sources FROM hven.sky_cone(NULL::object, %(ra)s, %(dec)s, %(radius_arcsec)s) ORDER BY object_id

-- mean_fluxes: mean flux of every Object in each filter, over its Sources; summed in order, so that it is the same each time
INSERT INTO object_flux AS f (object_id, filter_id, mean_flux, mean_flux_err, measurements)
SELECT object_id, filter_id, sum(psf_flux / psf_flux_err::float8 ^ 2 ORDER BY source_id) / sum(1 / psf_flux_err::float8 ^ 2 ORDER BY source_id),
       1 / sqrt(sum(1 / psf_flux_err::float8 ^ 2 ORDER BY source_id)), count(*)
FROM source
WHERE object_id IS NOT NULL AND psf_flux IS NOT NULL AND psf_flux_err > 0 AND NOT psf_flux_flag
GROUP BY object_id, filter_id
ON CONFLICT (object_id, filter_id) DO UPDATE
SET mean_flux = excluded.mean_flux, mean_flux_err = excluded.mean_flux_err, measurements = excluded.measurements

-- measure: repeatability of the whole release
SELECT hven.measure_release(%(release)s, %(job_id)s)

-- progress: jobs of a production by kind: how many, how many are done, and how long each takes
SELECT kind, count(*), count(*) FILTER (WHERE state = 'done'),
       coalesce(avg(extract(epoch FROM finished - started)) FILTER (WHERE state = 'done'), 0)::float8
FROM queue.job WHERE production_id = %(production_id)s GROUP BY kind ORDER BY min(job_id)

-- production: the production that builds a release
SELECT production_id FROM queue.production WHERE kind = 'release' ORDER BY production_id DESC LIMIT 1

-- dead: jobs that gave up, with the line of their reasons that names the error
SELECT j.job_id, j.key, coalesce(e.line, j.error) AS reason
FROM queue.job AS j LEFT JOIN LATERAL (
    SELECT line FROM regexp_split_to_table(j.error, E'\n') WITH ORDINALITY AS lines (line, number)
    WHERE line ~ '^[A-Za-z0-9_.]+: ' AND line !~ '^(DETAIL|HINT|CONTEXT): ' ORDER BY number DESC LIMIT 1) AS e ON true
WHERE j.production_id = %(production_id)s AND j.state = 'dead' ORDER BY j.job_id LIMIT 5

-- count: what a release holds
SELECT (SELECT count(*) FROM object) AS objects, (SELECT count(*) FROM source) AS sources,
       (SELECT count(*) FROM dia_source) AS dia_sources, (SELECT count(*) FROM forced_source) AS forced_sources,
       (SELECT count(*) FROM exposure WHERE kind = 'calibrated') AS exposures, (SELECT count(*) FROM coadd) AS coadds

-- drop_indexes: let a table be loaded without indexes
SELECT hven.drop_indexes(%(table)s)

-- open_sources: check what is staged of all Sources, and let it be read by place
SELECT hven.open_sources()

-- fill_sources: write the Sources of a partition, with their Objects, in the order of the sky
SELECT hven.fill_sources(%(part)s, %(association)s)

-- close_sources: clear what was staged of all Sources
SELECT hven.close_sources()

-- order_partition: put a partition into the order of the sky
SELECT hven.order_partition(%(table)s, %(part)s)

-- index_partition: index a partition
SELECT hven.index_partition(%(table)s, %(part)s)
