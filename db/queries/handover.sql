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
