-- register: the row of a file by its content
INSERT INTO queue.file (sha256, size, media_type, name, job_id)
VALUES (%(sha256)s, %(size)s, %(media_type)s, %(name)s, %(job_id)s)
ON CONFLICT (sha256) DO UPDATE SET removed = NULL
RETURNING file_id

-- content: the checksum of a file
SELECT sha256 FROM queue.file WHERE file_id = %(file_id)s
