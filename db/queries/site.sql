-- add: a site, or where it has moved
INSERT INTO hub.site (site, connection, file_root) VALUES (%(site)s, %(connection)s, %(root)s)
ON CONFLICT (site) DO UPDATE SET connection = excluded.connection, file_root = excluded.file_root

-- others: the other sites
SELECT site, connection, file_root FROM hub.site WHERE NOT is_here AND connection IS NOT NULL ORDER BY site

-- raw_files: files of raw exposures, in the order of their arrival
SELECT DISTINCT ON (e.file_id) f.sha256, f.size, coalesce(f.name, encode(f.sha256, 'hex') || '.fits') AS name
FROM exposure AS e JOIN queue.file AS f USING (file_id)
WHERE e.kind = 'raw'
ORDER BY e.file_id

-- order: the latest associations of a database, in their order
SELECT place, visit_id, pass AS number, detectors
FROM (SELECT place, visit_id, pass, detectors FROM order_log ORDER BY place DESC LIMIT %(entries)s) AS latest
ORDER BY place
