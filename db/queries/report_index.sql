-- nights: nights that have Visits, the latest first
SELECT night, count(*) AS visits FROM visit GROUP BY night ORDER BY night DESC LIMIT 30

-- seen_most: the Object with most DiaSources
SELECT object_id FROM object WHERE dia_sources > 0 ORDER BY dia_sources DESC, object_id LIMIT 1
