-- record: which files went into a product of a job, by which step
WITH made AS (
    INSERT INTO queue.provenance (job_id, step, product, product_id, inputs)
    VALUES (%(job_id)s, %(step)s, %(product)s, %(product_id)s, %(inputs)s)
    RETURNING provenance_id
)
INSERT INTO queue.provenance_file (provenance_id, file_id, role)
SELECT made.provenance_id, f.file_id, w.role
FROM made, unnest(%(sha256)s::bytea[], %(roles)s::text[]) AS w (sha256, role)
JOIN queue.file AS f ON f.sha256 = w.sha256

-- recipe: an exposure's file, and the job and software that made it
SELECT e.exposure_id, e.kind, e.visit_id, e.detector_id, f.file_id, f.sha256, f.removed IS NOT NULL AS is_removed,
       j.job_id, j.kind AS job_kind, j.parameters, j.production_id, p.software_version, p.software_commit, p.lock_sha256
FROM exposure AS e
LEFT JOIN queue.file AS f USING (file_id)
LEFT JOIN queue.job AS j ON j.job_id = e.job_id
LEFT JOIN queue.production AS p USING (production_id)
WHERE e.exposure_id = %(exposure_id)s

-- file: a file by number, checksum or name; the latest of that name
SELECT sha256, removed IS NOT NULL AS is_removed
FROM queue.file WHERE file_id = %(file_id)s OR sha256 = %(sha256)s OR name = %(name)s
ORDER BY file_id DESC LIMIT 1

-- exposure_of_file: the exposure whose pixels a file holds
SELECT e.exposure_id FROM exposure AS e JOIN queue.file AS f USING (file_id) WHERE f.sha256 = %(sha256)s LIMIT 1

-- over: calibrated or difference exposures over a position, the latest first
SELECT e.exposure_id
FROM exposure AS e JOIN filter AS b USING (filter_id)
WHERE public.spoint_deg(%(ra)s, %(dec)s) <@ e.footprint AND e.kind = %(kind)s AND (%(band)s IS NULL OR b.name = %(band)s)
ORDER BY e.midpoint_tai DESC, e.exposure_id DESC LIMIT 1
