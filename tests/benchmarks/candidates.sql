-- Pairs of staged DiaSources and Objects, found as association finds them, by its own sources.
-- minimum revision: science_0001
-- databases: level1
-- execute: hven_operator

CREATE FUNCTION pg_temp.candidate_pairs(visit_id bigint)
RETURNS bytea
LANGUAGE plpython3u
AS $python$
-- include: ../../udf/steps.py
-- include: ../../udf/sky/healpix.py
-- include: ../../udf/sky/cover.py
-- include: ../../udf/plane.py
-- include: ../../udf/refused.py
-- include: ../../udf/association/parameters.py
-- include: ../../udf/association/rows.py
-- include: ../../udf/association/near.py
call, p = Steps(plpy, SD), Parameters()
mine = detections(call.arrays("association_detections(bigint)", "8ffeeee8be", visit_id), p)
number, lowest, highest = ranges(mine, p)
near = call.arrays("association_candidates(bigint[], bigint[], bigint[])", "48ffeeeeeee4", lowest, highest, tiles(lowest, highest))
found = objects(near, {"freed": None, "linked": None}, p)
which, target = near_pairs(mine, found, number, p)
return np.stack([mine.ids[which], found[0].ids[target]]).tobytes()
$python$;
