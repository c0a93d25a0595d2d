-- nights: nights that have Visits, the latest first
SELECT night, count(*) AS visits FROM visit GROUP BY night ORDER BY night DESC LIMIT 30
