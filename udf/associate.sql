-- Association: the DiaSources of a Visit find their Objects, in one transaction.
-- minimum revision: science_0008
-- databases: level1
-- requires: association/open association/read association/write
-- execute: hven_worker hven_operator

CREATE OR REPLACE FUNCTION hven.associate_visit(visit_id bigint, jobs bigint[] DEFAULT NULL, parameters jsonb DEFAULT '{}')
RETURNS jsonb
LANGUAGE plpython3u SECURITY DEFINER  -- workers write no catalogue themselves
SET search_path = pg_catalog, pg_temp
AS $python$
-- include: steps.py
-- include: sky/healpix.py
-- include: sky/cover.py
-- include: plane.py
-- include: variability.py
-- include: refused.py
-- include: association/parameters.py
-- include: association/rows.py
-- include: association/near.py
-- include: association/gains.py
-- include: association/assign.py
-- include: association/births.py
-- include: associate.py
call = Steps(plpy, SD)
try:
    p = Parameters.of(parameters)
    *passed, band = call("association_open(bigint, bigint[])", visit_id, jobs).values()
    mine = detections(call.arrays("association_detections(bigint)", "8ffeeee8be", visit_id), p)
    number, lowest, highest = ranges(mine, p)
    pixels = tiles(lowest, highest)
    call("association_lock(bigint, bigint, bigint[])", *passed[:2], pixels)
    before = call("association_replace(bigint, bigint, bigint, float8, bigint[])", visit_id, *passed, jobs)
    near = call.arrays("association_candidates(bigint[], bigint[], bigint[])", "48ffeeeeeee4", lowest, highest, pixels)
    near = objects(near, before, p)
    ahead = predictions(call.arrays("association_predictions(bigint)", "8ffeee", visit_id), p)
    parents, moving, new = solve(mine, number, near, ahead, p)
    ids = call.lap("solve", first_ids(passed[0] >> 57, mine.healpix29[new]))
    parents[new] = ids = untied(ids, *call.arrays("association_taken(bigint[])", "8", ids))
except RefusedError as refused:
    plpy.error(f"associate_visit: {refused}", hint=refused.remedy, sqlstate=refused.code)
call("association_link(bigint, float8, bigint[], bigint[], bigint[])", visit_id, passed[2], mine.ids, parents, moving)
call("association_new_objects(bigint, bigint, float8, bigint[], bigint[])", *passed, mine.ids[new], ids)
matched = call("association_sum_positions(bigint, bigint, float8)", *passed)
call("association_name_ties(bigint[], bigint[])", *namesakes(mine, new, ids, near, number))
fluxes = call.arrays("association_fluxes(bigint, bigint, float8)", "88fee", *passed)
order = np.argsort(fluxes[0])
order = order[np.isin(fluxes[0][order], seen_before(near, parents))]
again = [column[order] for column in fluxes]
held = call.arrays("kept_points(bigint[])", "84p", again[0])
missing = np.setdiff1d(again[0], held[0])
read = call.arrays("keep_points(bigint[], integer, bigint, bigint)", "84p", missing, 1, *passed[:2])
curves = LightCurves.of(*map(np.concatenate, zip(kept(held), kept(read), again)))
scored, _, j = stetson_j(curves, band)
scores = np.full(fluxes[0].size, np.nan)
(scores[order],) = spread(again[0], scored, j, absent=np.nan)
paired = call.lap("statistics", spread(again[0], *welch_stetson_i(curves)))
call("association_sum_fluxes(bigint, bigint, float8, real[])", *passed, scores)
call("association_variability(bigint[], bytea, real[], integer[])", again[0], points(*again), *paired)
digest = np.bitwise_xor.reduce(mine.ids ^ parents ^ moving, initial=0)  # each has one of the two at most
closed = call("association_close(bigint, float8, bigint[], integer, bigint)", visit_id, passed[2], before["freed"], mine.ids.size, int(digest))
return call.report(dia_sources=mine.ids.size, new_objects=new.size, moving=int((moving > 0).sum()),
                   rejected=int((~mine.usable).sum()), **matched, **closed)
$python$;

COMMENT ON FUNCTION hven.associate_visit(bigint, bigint[], jsonb) IS
'Associates the staged DiaSources of a Visit with Objects, in the caller''s transaction; what is staged again replaces what the Visit has. jobs: those whose digests are compared, and whose detectors are replaced, though they staged nothing. Returns counts and the milliseconds of each step; errors VN020 to VN023 leave all as it was.';
