-- Views over the catalogue: what is stored in several tables, side by side.
-- minimum revision: science_0001
-- databases: level1 release
-- requires: sky/name
-- execute: public
--
-- Every side table is joined by a key that allows one row at most, so that the planner leaves out whatever
-- a query does not ask for. Columns may be added at the end; other changes need a migration that drops the view.
-- A view asks for the rights of its reader, since the tables of a frozen release have another owner.

CREATE OR REPLACE VIEW :catalogue.object_wide WITH (security_invoker) AS
SELECT o.object_id,
       hven.object_name(o.object_id, o.ra, o.dec, o.name_tie) AS name,
       (hashtextextended(o.object_id::text, 0) & 9007199254740991) / 9007199254740992.0::float8 AS random_id,
       o.ra, o.dec, o.healpix29, o.mean_ra, o.mean_dec, o.ra_err, o.dec_err, o.ra_dec_cov, o.first_tai,
       o.last_tai, o.time_processed, o.time_withdrawn, o.pm_ra, o.pm_dec, o.extendedness, o.ixx, o.iyy, o.ixy,
       o.dia_sources,
       (SELECT m.model_type FROM :catalogue.object_model AS m
         WHERE m.object_id = o.object_id AND m.is_best ORDER BY m.filter_id LIMIT 1) AS best_model_type,
       footprint.centre_ra AS footprint_centre_ra, footprint.centre_dec AS footprint_centre_dec,
       footprint.ixx AS footprint_ixx, footprint.iyy AS footprint_iyy, footprint.ixy AS footprint_ixy,
       footprint.box_ra AS footprint_box_ra, footprint.box_dec AS footprint_box_dec,
       footprint.box_width AS footprint_box_width, footprint.box_height AS footprint_box_height,
       footprint.flux AS footprint_flux, footprint.flux_err AS footprint_flux_err,
       footprint.pixels AS footprint_pixels,
       variability.welch_stetson_i, variability.pairs, variability.period, variability.false_alarm,
       photoz.z_peak, photoz.pdf_z_first, photoz.pdf_z_step, photoz.pdf,
       segment.parent_object_id, segment.root_object_id, segment.depth, segment.children,
       u.mean_flux AS u_mean_flux, u.mean_flux_err AS u_mean_flux_err, u.coadd_flux AS u_coadd_flux,
       u.coadd_flux_err AS u_coadd_flux_err, u.mean_dia_flux AS u_mean_dia_flux,
       u.mean_dia_flux_err AS u_mean_dia_flux_err, u.measurements AS u_measurements, u.dia_sources AS u_dia_sources,
       u.variance AS u_variance, u.chi2 AS u_chi2, u.stetson_j AS u_stetson_j, u.amplitude AS u_amplitude,
       u.min_flux AS u_min_flux, u.max_flux AS u_max_flux,
       g.mean_flux AS g_mean_flux, g.mean_flux_err AS g_mean_flux_err, g.coadd_flux AS g_coadd_flux,
       g.coadd_flux_err AS g_coadd_flux_err, g.mean_dia_flux AS g_mean_dia_flux,
       g.mean_dia_flux_err AS g_mean_dia_flux_err, g.measurements AS g_measurements, g.dia_sources AS g_dia_sources,
       g.variance AS g_variance, g.chi2 AS g_chi2, g.stetson_j AS g_stetson_j, g.amplitude AS g_amplitude,
       g.min_flux AS g_min_flux, g.max_flux AS g_max_flux,
       r.mean_flux AS r_mean_flux, r.mean_flux_err AS r_mean_flux_err, r.coadd_flux AS r_coadd_flux,
       r.coadd_flux_err AS r_coadd_flux_err, r.mean_dia_flux AS r_mean_dia_flux,
       r.mean_dia_flux_err AS r_mean_dia_flux_err, r.measurements AS r_measurements, r.dia_sources AS r_dia_sources,
       r.variance AS r_variance, r.chi2 AS r_chi2, r.stetson_j AS r_stetson_j, r.amplitude AS r_amplitude,
       r.min_flux AS r_min_flux, r.max_flux AS r_max_flux,
       i.mean_flux AS i_mean_flux, i.mean_flux_err AS i_mean_flux_err, i.coadd_flux AS i_coadd_flux,
       i.coadd_flux_err AS i_coadd_flux_err, i.mean_dia_flux AS i_mean_dia_flux,
       i.mean_dia_flux_err AS i_mean_dia_flux_err, i.measurements AS i_measurements, i.dia_sources AS i_dia_sources,
       i.variance AS i_variance, i.chi2 AS i_chi2, i.stetson_j AS i_stetson_j, i.amplitude AS i_amplitude,
       i.min_flux AS i_min_flux, i.max_flux AS i_max_flux,
       z.mean_flux AS z_mean_flux, z.mean_flux_err AS z_mean_flux_err, z.coadd_flux AS z_coadd_flux,
       z.coadd_flux_err AS z_coadd_flux_err, z.mean_dia_flux AS z_mean_dia_flux,
       z.mean_dia_flux_err AS z_mean_dia_flux_err, z.measurements AS z_measurements, z.dia_sources AS z_dia_sources,
       z.variance AS z_variance, z.chi2 AS z_chi2, z.stetson_j AS z_stetson_j, z.amplitude AS z_amplitude,
       z.min_flux AS z_min_flux, z.max_flux AS z_max_flux,
       y.mean_flux AS y_mean_flux, y.mean_flux_err AS y_mean_flux_err, y.coadd_flux AS y_coadd_flux,
       y.coadd_flux_err AS y_coadd_flux_err, y.mean_dia_flux AS y_mean_dia_flux,
       y.mean_dia_flux_err AS y_mean_dia_flux_err, y.measurements AS y_measurements, y.dia_sources AS y_dia_sources,
       y.variance AS y_variance, y.chi2 AS y_chi2, y.stetson_j AS y_stetson_j, y.amplitude AS y_amplitude,
       y.min_flux AS y_min_flux, y.max_flux AS y_max_flux
  FROM :catalogue.object AS o
  LEFT JOIN :catalogue.object_footprint AS footprint ON footprint.object_id = o.object_id
  LEFT JOIN :catalogue.object_variability AS variability ON variability.object_id = o.object_id
  LEFT JOIN :catalogue.object_photoz AS photoz ON photoz.object_id = o.object_id
  LEFT JOIN :catalogue.object_segment AS segment ON segment.object_id = o.object_id
  LEFT JOIN :catalogue.object_flux AS u ON u.object_id = o.object_id
       AND u.filter_id = (SELECT filter_id FROM :catalogue.filter WHERE name = 'u')
  LEFT JOIN :catalogue.object_flux AS g ON g.object_id = o.object_id
       AND g.filter_id = (SELECT filter_id FROM :catalogue.filter WHERE name = 'g')
  LEFT JOIN :catalogue.object_flux AS r ON r.object_id = o.object_id
       AND r.filter_id = (SELECT filter_id FROM :catalogue.filter WHERE name = 'r')
  LEFT JOIN :catalogue.object_flux AS i ON i.object_id = o.object_id
       AND i.filter_id = (SELECT filter_id FROM :catalogue.filter WHERE name = 'i')
  LEFT JOIN :catalogue.object_flux AS z ON z.object_id = o.object_id
       AND z.filter_id = (SELECT filter_id FROM :catalogue.filter WHERE name = 'z')
  LEFT JOIN :catalogue.object_flux AS y ON y.object_id = o.object_id
       AND y.filter_id = (SELECT filter_id FROM :catalogue.filter WHERE name = 'y');

COMMENT ON VIEW :catalogue.object_wide IS
'Objects with all that is known of each in one row: name, footprint, variability, photometric redshift, fluxes in u g r i z y';

ALTER VIEW :catalogue.object_wide OWNER TO hven_owner;


CREATE OR REPLACE VIEW :catalogue.source_sg WITH (security_invoker) AS
SELECT so_ra AS sg_ra, so_dec AS sg_dec, so_ixx AS sg_ixx, so_iyy AS sg_iyy, so_ixy AS sg_ixy,
       so_flux AS sg_flux, so_flux_err AS sg_flux_err, so_sky AS sg_sky, source.*
  FROM :catalogue.source;

COMMENT ON VIEW :catalogue.source_sg IS
'Sources with the small-object model under the name that LDM-151 gives it in Table 3, SG';

ALTER VIEW :catalogue.source_sg OWNER TO hven_owner;


CREATE OR REPLACE VIEW :catalogue.exposure_provenance WITH (security_invoker) AS
SELECT e.exposure_id, e.visit_id, e.detector_id, e.kind, e.job_id, made.step, read.role, f.file_id, f.sha256,
       f.name AS file_name, f.removed, made.inputs, p.production_id, p.name AS production, p.software_version,
       p.software_commit, p.lock_sha256, p.parameters
  FROM :catalogue.exposure AS e
  JOIN queue.job AS j ON j.job_id = e.job_id
  JOIN queue.production AS p ON p.production_id = j.production_id
  JOIN queue.provenance AS made ON made.job_id = e.job_id AND made.product = 'exposure' AND made.product_id = e.exposure_id
  LEFT JOIN queue.provenance_file AS read ON read.provenance_id = made.provenance_id
  LEFT JOIN queue.file AS f ON f.file_id = read.file_id;

COMMENT ON VIEW :catalogue.exposure_provenance IS
'From an Exposure, and with JOIN … USING (exposure_id) from any measurement, back to the raw files, calibrations and templates, one row each, and to the software and parameters';

ALTER VIEW :catalogue.exposure_provenance OWNER TO hven_owner;
