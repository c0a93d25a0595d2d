-- columns: the columns of a table, as a list
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
FROM pg_attribute
WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''

-- templates: the templates in use, with their files
SELECT c.coadd_id, c.patch_id, c.kind, c.filter_id, c.inputs, c.first_tai, c.last_tai, c.exposure_time, c.photo_calib,
       c.psf_model, c.psf_fwhm, c.depth, f.sha256, f.size, f.media_type, f.name
FROM coadd AS c JOIN queue.file AS f USING (file_id)
WHERE c.kind = 'template' AND c.is_current

-- save_template: a template that another database made
INSERT INTO coadd (coadd_id, patch_id, kind, filter_id, inputs, first_tai, last_tai, exposure_time, photo_calib,
                   psf_model, psf_fwhm, depth, file_id)
VALUES (%(coadd_id)s, %(patch_id)s, %(kind)s, %(filter_id)s, %(inputs)s, %(first_tai)s, %(last_tai)s,
        %(exposure_time)s, %(photo_calib)s, %(psf_model)s, %(psf_fwhm)s, %(depth)s, %(file_id)s)

-- next: what the hub knows of the live database that is being made ready
SELECT database, release, state, changed FROM hub.science_database WHERE name = %(name)s

-- live: the live database and the release that it continues
SELECT database, release, changed FROM hub.science_database WHERE name = 'level1'

-- cutoff: until when a published release has Visits
SELECT cutoff_tai FROM hub.data_release WHERE name = %(name)s AND published IS NOT NULL

-- expect: the live database that is being made ready, begun anew
INSERT INTO hub.science_database (name, database, kind, release, state)
VALUES (%(name)s, %(database)s, 'level1', %(release)s, 'creating')
ON CONFLICT (name) DO UPDATE
SET database = excluded.database, release = excluded.release, state = 'creating', changed = now()

-- point: let the name level1 mean the database that is ready
WITH ready AS (
    DELETE FROM hub.science_database WHERE name = %(name)s RETURNING database, release
)
UPDATE hub.science_database AS s SET database = ready.database, release = ready.release, changed = now()
FROM ready WHERE s.name = 'level1'
RETURNING s.database

-- key: the primary key of a table, and its other columns without generated ones
SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attnum = ANY (i.indkey)),
       string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attnum <> ALL (i.indkey))
FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid
WHERE i.indrelid = %(table)s::regclass AND i.indisprimary AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''

-- number_on: let a table's numbers go on after those that were copied
SELECT setval(pg_get_serial_sequence(%(table)s, a.attname),
              (xpath('/row/n/text()', query_to_xml(format('SELECT coalesce(max(%%I), 1) AS n FROM %%s', a.attname, %(table)s),
                                                   true, true, '')))[1]::text::bigint)
FROM pg_attribute AS a WHERE a.attrelid = %(table)s::regclass AND a.attidentity <> ''

-- expect_files: a table for files of another database
CREATE TEMP TABLE file_there (file_id bigint PRIMARY KEY, sha256 bytea, size bigint, media_type text, name text)

-- adopt_files: the files of another database are ours too
INSERT INTO queue.file (sha256, size, media_type, name)
SELECT DISTINCT ON (sha256) sha256, size, media_type, name FROM file_there ORDER BY sha256, file_id
ON CONFLICT (sha256) DO NOTHING

-- old_nights: nights of Alerts, by the release in their ids
SELECT dia_source_id >> 57 AS release, min(visit_id >> 12) AS first, max(visit_id >> 12) AS last FROM alert GROUP BY 1

-- prepare_nights: partitions for the measurements of some nights
SELECT hven.ensure_partitions(%(release)s, %(first)s, %(last)s)

-- nights: the first and the last night that a release has measurements of, since a time
SELECT min(night), max(night) FROM visit WHERE midpoint_tai >= %(since_tai)s

-- count_history: summaries of the Objects that have DiaSources, in pieces
SELECT hven.count_history()

-- productions: what the night is processed with
SELECT name, software_version, software_commit, lock_sha256, parameters, weight FROM queue.production
WHERE kind = 'alert' AND state = 'running' ORDER BY production_id

-- put_production: the same production in another database
INSERT INTO queue.production (kind, name, software_version, software_commit, lock_sha256, parameters, weight)
VALUES ('alert', %(name)s, %(software_version)s, %(software_commit)s, %(lock_sha256)s, %(parameters)s, %(weight)s)
ON CONFLICT (name) DO NOTHING

-- unfinished: nights with Visits that are not done with
SELECT night, count(*) FROM visit WHERE state IN ('arriving', 'ready', 'associated') GROUP BY night ORDER BY night

-- to_replay: Visits after the cutoff that are to be processed anew, night by night
SELECT night, visit_id FROM visit WHERE state IN ('ready', 'associated') ORDER BY night, visit_id

-- objects_there: where the Objects of another database are
SELECT object_id, mean_ra, mean_dec, hven.healpix29(mean_ra, mean_dec) FROM object
WHERE time_withdrawn IS NULL OR object_id IN (SELECT object_id FROM alert)

-- expect_objects: tables for the Objects of another database, and for those that these were before
CREATE TEMP TABLE object_there (object_id bigint PRIMARY KEY, ra float8, dec float8, healpix29 bigint);
CREATE TEMP TABLE match_there (object_id bigint, other_release smallint, other_object_id bigint, rank smallint);
CREATE TEMP TABLE force_there (object_id bigint, since_visit_id bigint, expires_tai float8, priority real)

-- keep_names: old Objects find their new ones; Alerts, forced photometry and earlier releases follow
SELECT hven.keep_object_ids(%(radius_arcsec)s)

-- hold: nobody else writes to these tables until we are done
LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE

-- retire: from now on a table refuses writing, for its database was continued by another
CREATE OR REPLACE TRIGGER refuse_retired BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION hven.refuse_retired('{successor}')

-- servers: foreign servers that lead to the live database
SELECT srvname FROM pg_foreign_server WHERE srvname IN ('hven_level1', 'hven_live_efd')

-- rename_files: carried rows name files by our numbers
UPDATE carried AS c SET {column} = f.file_id
FROM file_there AS t JOIN queue.file AS f USING (sha256) WHERE t.file_id = c.{column}
