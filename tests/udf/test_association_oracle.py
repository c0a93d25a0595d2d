"""Association, in Python and through SQL, against all pairs and all assignments, where the sky is difficult."""

from itertools import product
from math import log, pi

import healpy
import numpy as np
import pytest

from db.load import load
from pipelines.simulate.places import axes, scattered, shifted, unit
from tests.udf.test_real_association import rows_of
from udf.associate import solve
from udf.association import rows
from udf.association.assign import QUANTUM
from udf.association.near import ranges
from udf.association.parameters import Parameters

P = Parameters(min_reliability=0.1)
CENTRES = {"equator": (10.0, 0.0), "ra 0": (0.0, 20.0), "north pole": (0.0, 90.0), "south pole": (77.0, -90.0),
           "near the pole": (200.0, 89.9997), "where three base pixels meet": (0.0, 41.81031489577862)}  # fmt: skip
ERRORS = ("ra_err", "dec_err", "ra_dec_cov")


def clumps(centre, seed):
    """Objects and detections in clumps half an arcminute apart: blended, coincident, extended, some without error."""
    random = np.random.default_rng(seed)
    homes = np.stack(scattered(12, *centre, 0.03, random), axis=-1)
    homes[0] = centre
    tables = []
    for most, spread in ((3, 0.25), (4, 0.3)):
        home = np.repeat(homes, random.integers(0, most, len(homes)), axis=0)
        count = len(home)
        ra, dec = shifted(*home.T, *random.normal(0, spread, (2, count)))
        err = random.uniform(0.03, 0.2, (2, count)).astype("f4")
        both = (random.uniform(-0.8, 0.8, count) * err.prod(axis=0)).astype("f4")
        shape = random.choice([0, 0, 0.3, 1], count).astype("f4")
        table = {"ra": ra, "dec": dec, "ra_err": err[0], "dec_err": err[1], "ra_dec_cov": both, "extendedness": shape}
        missing = random.uniform(size=count) < 0.2
        for name in ERRORS:
            table[name] = np.where(missing, np.nan, table[name])
        twin = random.choice(count, 3)  # exact doubles
        tables.append({name: np.append(column, column[twin]) for name, column in table.items()})
    objects, found = tables
    size = random.uniform(0.3, 1, objects["ra"].size).astype("f4")
    extended = objects["extendedness"] == 1
    for name, part in (("ixx", 1), ("iyy", 0.5), ("ixy", 0.2)):
        objects[name] = np.where(extended, size * part, np.nan).astype("f4")
    objects["dia_sources"] = random.integers(0, 2, size.size)
    found["reliability"] = random.choice([0.05, 0.9, 0.9], found["ra"].size).astype("f4")
    return sorted_by_place(objects), sorted_by_place(found)


def sorted_by_place(table):
    pixel = healpy.ang2pix(2**29, table["ra"], table["dec"], nest=True, lonlat=True)
    order = np.argsort(pixel, kind="stable")
    return {name: column[order] for name, column in table.items()} | {"healpix29": pixel[order]}


def row(table, index):
    return {name: column[index].item() for name, column in table.items()}


def covariance(one, floor):
    known = all(np.isfinite(one[name]) for name in ERRORS[:2])
    a, b, c = (one[name] for name in ERRORS) if known else (P.missing_err_arcsec, P.missing_err_arcsec, 0.0)
    return np.array([[a * a + floor**2, c], [c, b * b + floor**2]])


def in_space(one, matrix):
    """A covariance in the plane at a position as one in three dimensions."""
    frame = np.stack(axes(np.float64(one["ra"]), np.float64(one["dec"])))
    return frame.T @ matrix @ frame


def slow_density(one, theirs, mine, target):
    """Normal density of a position about another, with covariances laid into its tangent plane by way of space."""
    east, north = frame = np.stack(axes(np.float64(target["ra"]), np.float64(target["dec"])))
    here, there = unit(one["ra"], one["dec"]), unit(target["ra"], target["dec"])
    offset = np.array([here @ east, here @ north]) / (here @ there) * 180 / pi * 3600
    turned = frame @ in_space(one, mine) @ frame.T
    total = turned + theirs
    return float(np.exp(-0.5 * offset @ np.linalg.solve(total, offset)) / (2 * pi * np.sqrt(np.linalg.det(total))))


def slow_gains(objects, found):
    """Gain of every pair within the radius, from the words of the parameters."""
    gains = {}
    for i in range(found["ra"].size):
        one = row(found, i)
        if one["reliability"] < P.min_reliability:
            continue
        near = [(j, row(objects, j)) for j in range(objects["ra"].size)]
        near = [(j, o) for j, o in near if apart(one, o) <= P.radius_arcsec]
        mine, new = covariance(one, P.floor_arcsec), P.new_density
        for _, o in near:
            if o["extendedness"] > 0 and np.isfinite(o["ixx"]):
                light = np.array([[o["ixx"], o["ixy"]], [o["ixy"], o["iyy"]]])
                new += P.host_rate * o["extendedness"] * slow_density(one, light, mine, o)
        for j, o in near:
            e, shape = o["extendedness"], one["extendedness"]
            seen = P.seen_again if o["dia_sources"] else P.seen_first
            chance = (1 - e) * seen + e * P.extended_rate * shape / max(1 - shape, 1e-6)
            if chance > 0:
                gains[i, j] = log(chance * slow_density(one, covariance(o, 0), mine, o) / new)
    return gains


def apart(one, two):
    """Angle [arcsec] by the chord."""
    return float(np.linalg.norm(unit(one["ra"], one["dec"]) - unit(two["ra"], two["dec"]))) * 180 / pi * 3600


def sets(gains):
    """Connected sets of detections and Objects."""
    left = {("d", i) for i, _ in gains} | {("o", j) for _, j in gains}
    while left:
        one = {left.pop()}
        while True:
            more = {end for i, j in gains for end in (("d", i), ("o", j)) if {("d", i), ("o", j)} & one}
            if more <= one:
                break
            one |= more
        left -= one
        yield sorted(i for kind, i in one if kind == "d"), sorted(j for kind, j in one if kind == "o")


def slow_match(gains):
    """Object of each matched detection: the best assignment of each set, and of equal ones the first by order."""
    gains = {pair: gain for pair, gain in gains.items() if round(gain / QUANTUM) > 0}
    match = {}
    for mine, theirs in sets(gains):
        n, m, best = len(mine), len(theirs), None
        for choice in product(range(m + 1), repeat=n):
            real = [j for j in choice if j < m]
            pairs = [(mine[i], theirs[j]) for i, j in enumerate(choice) if j < m]
            if len(set(real)) < len(real) or not all(pair in gains for pair in pairs):
                continue
            score = -sum(round(gains[p] / QUANTUM) for p in pairs), sum((n - i) * (j + 1) for i, j in enumerate(choice))
            if best is None or score < best[0]:
                best = score, pairs
        match |= dict(best[1])
    return match


def worth(gains, match):
    return sum(gains[pair] for pair in match.items())


CASES = [pytest.param(*centre, seed, id=f"{name} {seed}") for name, centre in CENTRES.items() for seed in range(3)]


@pytest.mark.parametrize(("ra", "dec", "seed"), CASES)
def test_python_matches_as_all_assignments_do(ra, dec, seed):
    objects, found = clumps((ra, dec), seed)
    names = ("ra", "dec", *ERRORS, "extendedness")
    columns = [np.arange(found["ra"].size), *(found[n] for n in names), found["healpix29"],
               np.ones(found["ra"].size, bool), found["reliability"]]  # fmt: skip
    mine = rows.detections(columns, P)
    number, lowest, highest = ranges(mine, P)
    inside = (objects["healpix29"] >= lowest[:, None]) & (objects["healpix29"] <= highest[:, None])
    place, which = np.nonzero(inside)
    columns = [place, which + 1, *(objects[n][which] for n in (*names, "ixx", "iyy", "ixy", "dia_sources"))]
    near = rows.objects(columns, {"freed": None, "linked": None}, P)
    nothing = rows.predictions([np.empty(0)] * 6, P)
    parents, moving, new = solve(mine, number, near, nothing, P)
    gains = slow_gains(objects, found)
    best = slow_match(gains)
    got = {i: int(parent) - 1 for i, parent in enumerate(parents) if parent}
    assert len(best) >= 5
    assert worth(gains, got) == pytest.approx(worth(gains, best), abs=1e-5)
    assert got == best
    assert not moving.any()
    assert new.size == mine.usable.sum() - len(got)


@pytest.mark.parametrize(("ra", "dec", "seed"), CASES)
def test_sql_matches_as_all_assignments_do(survey, ra, dec, seed):
    objects, found = clumps((ra, dec), seed)
    visit_id = survey.ids[0]
    pixel, count = objects["healpix29"], objects["ra"].size
    tie = np.arange(count) - np.searchsorted(pixel >> 8, pixel >> 8)
    ids = (pixel >> 8 << 3) + tie
    own = {"object_id": ids, "mean_ra": objects["ra"], "mean_dec": objects["dec"]}
    load(survey.session, "level1.object", objects | own | {"dia_sources": objects["dia_sources"].astype("i4")})
    staged, order = rows_of(visit_id, {name: column for name, column in found.items() if name != "healpix29"})
    job = survey.job()
    same = {"job_id": (job, "i8"), "midpoint_tai": (60000.6, "f8"), "filter_id": (1, "i2")}
    survey.stage_rows(job, staged | {name: np.full(order.size, *value) for name, value in same.items()})
    survey.associate_visit(visit_id)
    parents = survey.rows("SELECT object_id FROM level1.dia_source ORDER BY dia_source_id")
    index = {one: j for j, one in enumerate(ids.tolist())}
    got = {i: index[parent] for i, (parent,) in enumerate(parents) if parent in index}
    assert got == slow_match(slow_gains(objects, found))


def test_the_oracle_s_density_is_the_normal_law():
    one, two = {"ra": 10.0, "dec": 40.0}, {"ra": 10.0, "dec": 40.0 + 0.1 / 3600}
    density = slow_density(one, np.eye(2) * 0.02, np.eye(2) * 0.03, two)
    assert density == pytest.approx(np.exp(-0.5 * 0.01 / 0.05) / (2 * pi * 0.05), rel=1e-6)
