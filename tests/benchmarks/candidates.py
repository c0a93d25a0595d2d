"""Candidates of association, in CPU time of server and client, against what q3c and pgSphere need for the same."""

from pathlib import Path
from statistics import median

import numpy as np

from pipelines.simulate.places import unit
from tests.benchmarks import RUNS, Result
from tests.benchmarks.facts import processor_seconds
from tests.benchmarks.visits import CENTRE, FIELD_DEG, Survey
from udf.deploy import read
from udf.plane import separations

RADIUS_ARCSEC = 1.0
COLUMNS = ("ra_err", "dec_err", "ra_dec_cov", "extendedness", "ixx", "iyy", "ixy")
SENT = [
    "int8send(s.dia_source_id)", "int8send(o.object_id)", "float8send(o.mean_ra)", "float8send(o.mean_dec)",
    *(f"float4send(coalesce(o.{name}, 'NaN'))" for name in COLUMNS), "int4send(o.dia_sources)",
]  # fmt: skip
BYTES = ", ".join(f"octet_length(string_agg({one}, ''))" for one in SENT)
"""What association reads of its candidates, which stays in the server as ours does."""
INDEXES = {
    "peer_q3c": "btree (public.q3c_ang2ipix(mean_ra, mean_dec))",
    "peer_gist": "gist (public.spoint_deg(mean_ra, mean_dec))",
}
"""The peers' own, on the same table."""
FIELD = "SELECT object_id, mean_ra, mean_dec FROM sky_cone(NULL::level1.object, %s, %s, %s)"
NEAR = {
    "q3c_join": "public.q3c_join(s.ra, s.dec, o.mean_ra, o.mean_dec, {} / 3600.0)",
    "plain pgSphere": "public.spoint_dwithin(public.spoint_deg(o.mean_ra, o.mean_dec),"
                      " public.spoint_deg(s.ra, s.dec), radians({} / 3600.0))",
}
GOALS = {"q3c_join": 0.9, "plain pgSphere": 0.4}
READ = "(SELECT count(*) FROM hven.association_detections(%(visit)s))"
WAYS = {"ours": "SELECT pg_temp.candidate_pairs(%(visit)s)"} | {
    name: f"SELECT {READ}, {BYTES} FROM (SELECT * FROM staging.dia_source WHERE visit_id = %(visit)s OFFSET 0) s"
          f" JOIN level1.object o ON {near.format(RADIUS_ARCSEC)}"
    for name, near in NEAR.items()
}  # fmt: skip
"""All read the errors and shapes of the detections, which must be known of those without pair too."""


def candidates(survey: Survey, night: int) -> list[Result]:
    """Measure CPU time, and compare all pairs with those that a tree in memory finds."""
    session = survey.session
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS q3c SCHEMA public")
        for name, index in INDEXES.items():
            cursor.execute(f"CREATE INDEX {name} ON level1.object USING {index}")
        cursor.execute("VACUUM ANALYZE level1.object")
        cursor.execute(read(Path(__file__).parent)["candidates"].text)
    session.autocommit = False
    visit, rows = survey.begin(night, 1)
    survey.stage(rows)
    server = survey.ask("SELECT pg_backend_pid()")
    milliseconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with session.cursor() as cursor:
        for kind in ("seqscan", "hashjoin", "mergejoin"):
            cursor.execute(f"SET LOCAL enable_{kind} = off")
        for _ in range(RUNS + 2):
            for way, query in WAYS.items():
                begin = processor_seconds(server)
                cursor.execute(query, {"visit": visit})
                found = cursor.fetchone()
                milliseconds[way].append(1000 * (processor_seconds(server) - begin))
                if way == "ours":
                    pairs = np.frombuffer(found[0], np.int64).reshape(2, -1)
        cursor.execute(FIELD, [*CENTRE, (FIELD_DEG + 0.2) * 3600])
        field = cursor.fetchall()
        cursor.execute(f"DROP INDEX {', '.join(f'level1.{name}' for name in INDEXES)}")
    survey.associate(visit)
    took = {way: median(times[2:]) for way, times in milliseconds.items()}
    what, unlike = "candidates, CPU of server and client", _unlike(pairs, rows, field)
    results = [Result(what, took["ours"], "ms", peer, took[peer], goal, False) for peer, goal in GOALS.items()]
    return [*results, Result("pairs unlike cKDTree's beyond 1e-9 arcsec", unlike, "", None, None, 0, False)]


def _unlike(pairs: np.ndarray, rows: dict, field: list[tuple]) -> int:
    """Count the pairs that only one of association and a tree finds, but for those at the very radius."""
    from scipy.spatial import cKDTree

    ids, ra, dec = (np.array(column) for column in zip(*field, strict=True))
    chord = 2 * np.sin(np.radians((RADIUS_ARCSEC + 1e-6) / 3600) / 2)
    mine, theirs = cKDTree(unit(rows["ra"], rows["dec"])), cKDTree(unit(ra, dec))
    tree = mine.sparse_distance_matrix(theirs, chord, output_type="ndarray")
    apart = separations(rows["ra"][tree["i"]], rows["dec"][tree["i"]], ra[tree["j"]], dec[tree["j"]])
    both = rows["dia_source_id"][tree["i"]].tolist(), ids[tree["j"]].tolist()
    theirs = dict(zip(zip(*both, strict=True), apart.tolist(), strict=True))
    ours = set(map(tuple, pairs.T.tolist()))
    missed = [s for pair, s in theirs.items() if (pair in ours) != (s <= RADIUS_ARCSEC)]
    return sum(abs(s - RADIUS_ARCSEC) > 1e-9 for s in missed) + len(ours - theirs.keys())
