-- Where a product comes from, all the way.
-- minimum revision: science_0001
-- databases: level1 release
-- execute: hven_scientist hven_worker hven_release_admin hven_operator

CREATE OR REPLACE FUNCTION hven.origins(exposure_id bigint)
RETURNS TABLE (generation int, role text, file_id bigint, sha256 bytea, file_name text, made_by_step text, product text,
               product_id bigint, job_id bigint, production text, software_version text, software_commit text, lock_sha256 text)
LANGUAGE sql STABLE ROWS 10
AS $$
    WITH RECURSIVE read AS (
        SELECT 1 AS generation, i.role, i.file_id, p.provenance_id
        FROM :catalogue.exposure AS e
        JOIN queue.provenance AS p ON p.product = 'exposure' AND p.product_id = e.exposure_id AND p.job_id = e.job_id
        JOIN queue.provenance_file AS i ON i.provenance_id = p.provenance_id
        WHERE e.exposure_id = $1
        UNION
        SELECT r.generation + 1, i.role, i.file_id, p.provenance_id  -- of what the file's own job read for that file
        FROM read AS r
        JOIN queue.file AS f ON f.file_id = r.file_id
        JOIN queue.provenance AS p ON p.job_id = f.job_id
        LEFT JOIN :catalogue.exposure AS e ON p.product = 'exposure' AND e.exposure_id = p.product_id
        LEFT JOIN :catalogue.coadd AS c ON p.product = 'coadd' AND c.coadd_id = p.product_id
        JOIN queue.provenance_file AS i ON i.provenance_id = p.provenance_id
        WHERE r.file_id IN (e.file_id, c.file_id) AND r.generation < 20
    )
    SELECT r.generation, r.role, r.file_id, f.sha256, f.name, p.step, p.product, p.product_id, j.job_id, n.name,
           n.software_version, n.software_commit, n.lock_sha256
    FROM read AS r
    JOIN queue.file AS f ON f.file_id = r.file_id
    JOIN queue.provenance AS p ON p.provenance_id = r.provenance_id
    JOIN queue.job AS j ON j.job_id = p.job_id
    JOIN queue.production AS n ON n.production_id = j.production_id
    ORDER BY r.generation, r.role, r.file_id
$$;

COMMENT ON FUNCTION hven.origins(bigint) IS
'Every file that went into an Exposure, into the templates and calibrated Exposures that went into it, and so on back to raw frames and calibrations: generation 1 was read by the Exposure''s own job. product and product_id tell what each file was read for.';
