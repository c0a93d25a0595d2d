"""How often association is right, beside the most that anybody can be: the Bayes bound, on skies of known truth."""

from math import exp

import healpy
import numpy as np
import pytest

from pipelines.simulate.places import scattered, shifted, unit
from udf.associate import solve
from udf.association import rows
from udf.association.gains import object_gains
from udf.association.near import near_pairs, ranges
from udf.association.parameters import Parameters

P = Parameters(floor_arcsec=0)
DETECTIONS = 20_000
NEGLIGIBLE = -12.0  # log of the odds of a pair that is left out of the enumeration
ERR_ARCSEC = (0.03, 0.15)


def seen_once(density, seed=1):
    """A sky of Objects [1/deg²], half of them seen, among new detections; each drawn as the parameters assume."""
    random = np.random.default_rng(seed)
    area = DETECTIONS / (density * P.seen_again)
    radius = float(np.degrees(np.sqrt(np.radians(1) ** 2 * area / np.pi)))
    new = random.poisson(P.new_density * area * 3600**2)
    count = int(density * area)
    ra, dec = scattered(count, 80.0, -65.0, radius, random)
    seen = np.flatnonzero(random.uniform(size=count) < P.seen_again)
    err = random.uniform(*ERR_ARCSEC, seen.size + new).astype("f4")
    own = random.uniform(0.005, 0.05, count).astype("f4")  # of the Objects' places
    spread = np.hypot(err[: seen.size], own[seen])
    found = shifted(ra[seen], dec[seen], *(random.normal(size=(2, seen.size)) * spread))
    found = [np.append(*both) for both in zip(found, scattered(new, 80.0, -65.0, radius, random), strict=True)]
    truth = np.append(seen, np.full(new, -1))
    order = np.argsort(pixels(*found))
    return (ra, dec, own), (found[0][order], found[1][order], err[order]), truth[order]


def pixels(ra, dec):
    return healpy.ang2pix(2**29, ra, dec, nest=True, lonlat=True)


def solved(objects, found):
    """Detections, Objects with the pairs near each other, and the Object of each detection, or -1."""
    (ra, dec, own), (own_ra, own_dec, err) = objects, found
    count, zero = own_ra.size, np.zeros(own_ra.size)
    mine = rows.detections([np.arange(count), own_ra, own_dec, err, err, zero, zero, pixels(own_ra, own_dec),
                            np.ones(count, bool), np.ones(count)], P)  # fmt: skip
    number, lowest, highest = ranges(mine, P)
    order = np.argsort(pixels(ra, dec))
    sorted_pixels = pixels(ra, dec)[order]
    first, last = np.searchsorted(sorted_pixels, lowest), np.searchsorted(sorted_pixels, highest, "right")
    place = np.repeat(np.arange(number.size), last - first)
    which = order[np.concatenate([np.arange(*ends) for ends in zip(first, last, strict=True)])]
    nothing = np.full(which.size, np.nan)
    places = ra[which], dec[which], own[which], own[which]
    columns = [place, which + 1, *places, *[nothing] * 5, np.ones(which.size, int)]
    near = rows.objects(columns, {"freed": None, "linked": None}, P)
    parents, _, _ = solve(mine, number, near, rows.predictions([np.empty(0)] * 6, P), P)
    return mine, number, near, parents - 1


def most_probable(gains, among):
    """Object, or -1, of each detection that has most of the posterior probability of all assignments."""
    options = {i: [(-1, 1.0)] for i in among}
    for (i, j), gain in gains.items():
        options[i].append((j, exp(gain)))
    choice = dict.fromkeys(among, -1)
    for mine in sets_of(gains):
        weight = {(i, j): 0.0 for i in mine for j, _ in options[i]}
        for pairs, product in assignments(mine, options):
            for pair in pairs:
                weight[pair] += product
        choice |= {i: max((j for j, _ in options[i]), key=lambda j, i=i: weight[i, j]) for i in mine}
    return choice


def assignments(mine, options, taken=frozenset()):
    """Every assignment of detections, as pairs, and its relative probability."""
    if not mine:
        yield (), 1.0
        return
    for j, odds in options[mine[0]]:
        if j < 0 or j not in taken:
            for pairs, product in assignments(mine[1:], options, taken | {j}):
                yield ((mine[0], j), *pairs), odds * product


def sets_of(gains):
    """Detections of each set that is connected by pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    i, j = np.array(list(gains)).T
    n, m = i.max() + 1, j.max() + 1
    _, label = connected_components(coo_array((np.ones(i.size), (i, n + j)), shape=(n + m, n + m)), directed=False)
    mine = np.unique(i)
    mine = mine[np.argsort(label[mine], kind="stable")]
    for group in np.split(mine, np.flatnonzero(np.diff(label[mine])) + 1):
        yield group.tolist()


def nearest(objects, found):
    """The nearest Object within an arcsecond of each detection, or -1."""
    from scipy.spatial import cKDTree

    chord = np.radians(P.radius_arcsec / 3600)
    apart, index = cKDTree(unit(*objects[:2])).query(unit(*found[:2]), distance_upper_bound=chord)
    return np.where(np.isfinite(apart), index, -1)


@pytest.mark.parametrize(("density", "short_of_bound"), [(1e5, 0.001), (1e6, 0.003)])
def test_association_is_as_right_as_can_be(density, short_of_bound, record_property):
    objects, found, truth = seen_once(density)
    mine, number, near, ours = solved(objects, found)
    which, target = near_pairs(mine, near, number, P)
    gain = object_gains(mine, near[0], which, target, P)
    # Of an Object that may be there unseen, the odds are those of being seen: chance / (1 - chance).
    gain = gain - np.log(1 - P.seen_again)
    likely = gain > NEGLIGIBLE
    ids = near[0].ids[target] - 1
    pairs = zip(which[likely].tolist(), ids[likely].tolist(), strict=True)
    gains = dict(zip(pairs, gain[likely].tolist(), strict=True))
    best = most_probable(gains, range(truth.size))
    bound = np.mean(np.array([best[i] for i in range(truth.size)]) == truth)
    right, simple = np.mean(ours == truth), np.mean(nearest(objects, found) == truth)
    figures = f"right {right:.5f}, bound {bound:.5f}, nearest within 1 arcsec {simple:.5f}"
    record_property("figures", figures)
    print(f"{density:.0e} per square degree: {figures}")
    assert bound - right <= short_of_bound
    assert right > simple
