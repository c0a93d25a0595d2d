-- register: the row of a file by its content
INSERT INTO queue.file (sha256, size, media_type, name, job_id)
VALUES (%(sha256)s, %(size)s, %(media_type)s, %(name)s, %(job_id)s)
ON CONFLICT (sha256) DO UPDATE SET removed = NULL
RETURNING file_id

-- content: the checksum of a file
SELECT sha256 FROM queue.file WHERE file_id = %(file_id)s

-- in_use: checksums of the files that this database needs
SELECT encode(sha256, 'hex') FROM queue.file WHERE removed IS NULL

-- verified: whose content was found sound
UPDATE queue.file SET verified = now() WHERE sha256 = ANY (%(sha256)s)

-- drop_content: let the collector delete files that can be recreated
UPDATE queue.file SET removed = now() WHERE file_id = ANY (%(files)s) AND removed IS NULL

-- drop_old: let go of Exposures' files that their job can make again, are older than so many days, and went into nothing
UPDATE queue.file AS f SET removed = now()
FROM exposure AS e JOIN queue.job AS j ON j.job_id = e.job_id
WHERE e.file_id = f.file_id AND e.kind IN ('calibrated', 'difference') AND j.kind = 'detector' AND f.removed IS NULL
  AND f.created < now() - %(days)s * interval '1 day'
  AND NOT EXISTS (SELECT FROM queue.provenance_file AS used WHERE used.file_id = f.file_id)
RETURNING f.size

-- by_sha256: a file by its checksum
SELECT file_id, size, media_type, name, removed FROM queue.file WHERE sha256 = %(sha256)s
