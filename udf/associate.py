"""Which detection is which Object: gains of pairs, the best one-to-one assignment, ids of new Objects.

Arrays in, arrays out: nothing here knows a database. A detection is matched to an Object of the catalogue or to the
predicted place of a MovingObject, or it is new. The assignment maximises the posterior probability of the whole
Visit (Budavári & Szalay 2008, ApJ 679, 301, for pairs; Budavári & Basu 2016, AJ 152, 86, for the assignment).
"""

import json
from dataclasses import dataclass, fields

import numpy as np

from udf.plane import ARCSEC, Places, log_density, measured, separations, within
from udf.sky.cover import cover_cones

QUANTUM = 2.0**-20  # of log likelihood: gains are compared as multiples of it, so that ties are exact

BRIDGE = 16  # pixels of 3.2″ that are read rather than left out: a row costs 1.9 µs, and so does a scan of the index

DRIFT_ARCSEC = 0.3  # how far mean positions may lie from indexed ones; Objects beyond stand in object_moved


class RefusedError(ValueError):
    """What association refuses: SQLSTATE, message and hint."""

    def __init__(self, code, problem, remedy):
        super().__init__(f"associate_visit: {problem}")
        self.code, self.remedy = code, remedy


@dataclass(frozen=True)
class Parameters:
    """What association takes for granted.

    Attributes
    ----------
    radius_arcsec : float
        Objects whose mean position is further than this from a detection are not considered.
    missing_err_arcsec, floor_arcsec : float
        Positional error of one axis where none was measured; systematic error added to each in quadrature.
    new_density : float
        Detections of nothing that is known, for each arcsec² and Visit.
    seen_first, seen_again : float
        Probability that an Object without, and with, earlier DiaSources is detected in a Visit.
    seen_source : float
        Probability that an Object is measured as a Source.
    moving_seen : float
        Probability that a predicted MovingObject is detected, with positive flux.
    host_rate : float
        Probability that an extended Object hosts a new point source in a Visit, spread as its footprint's light.
    extended_rate : float
        Probability that an extended Object is itself detected in a Visit, as an extended DiaSource.
    min_reliability : float
        Less reliable detections are rejected.
    most_new : int
        A Visit that would create more Objects is refused.
    """

    radius_arcsec: float = 1.0
    missing_err_arcsec: float = 0.2
    floor_arcsec: float = 0.01
    new_density: float = 1e-4
    seen_first: float = 0.02
    seen_again: float = 0.5
    seen_source: float = 0.9
    moving_seen: float = 0.5
    host_rate: float = 1e-3
    extended_rate: float = 1e-6
    min_reliability: float = 0.1
    most_new: int = 50_000

    @classmethod
    def of(cls, text):
        """Parameters from a JSON object that names some of them."""
        given, allowed = json.loads(text or "{}"), [field.name for field in fields(cls)]
        for name, value in given.items():
            if name not in allowed:
                problem = f"parameter {name} is unknown, allowed are {', '.join(allowed)}"
                raise RefusedError("VN023", problem, "correct the name")
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise RefusedError("VN023", f"parameter {name} is {value}, allowed is a number from 0", "correct it")
        return cls(**given)


@dataclass(frozen=True)
class Detections:
    """The staged DiaSources of a Visit, by id.

    Attributes
    ----------
    ids, healpix29 : ndarray of int64
    places : Places
    extendedness : ndarray
        Probability of being extended; 0 where unknown.
    is_positive : ndarray of bool
        Whether the flux is.
    usable : ndarray of bool
        Not rejected.
    """

    ids: np.ndarray
    healpix29: np.ndarray
    places: Places
    extendedness: np.ndarray
    is_positive: np.ndarray
    usable: np.ndarray


@dataclass(frozen=True)
class Objects:
    """Objects around detections, by id.

    Attributes
    ----------
    ids : ndarray of int64
    places : Places
        Mean positions.
    extendedness : ndarray
        Probability of being extended; 0 where unknown.
    footprints : Places
        The moments of the footprint as covariance, NaN where there is none.
    seen, holds : ndarray of bool
        Whether there are DiaSources; whether it may be matched.
    """

    ids: np.ndarray
    places: Places
    extendedness: np.ndarray
    footprints: Places
    seen: np.ndarray
    holds: np.ndarray


def detections(columns, parameters):
    """Detections of id, ra, dec, ra_err, dec_err, covariance, extendedness, healpix29, is_positive, reliability."""
    ids, ra, dec, ra_err, dec_err, both, extendedness, healpix29, is_positive, reliability = columns
    place = measured(ra, dec, ra_err, dec_err, both, parameters.missing_err_arcsec, parameters.floor_arcsec)
    usable = reliability >= parameters.min_reliability
    return Detections(ids, healpix29, place, np.nan_to_num(extendedness), is_positive, usable)


def objects(columns, before, parameters):
    """Objects, and the range in which each was found.

    Parameters
    ----------
    columns : list of ndarray
        range (-1 for Objects that were found otherwise), id, ra, dec, ra_err, dec_err, covariance, extendedness, ixx,
        iyy, ixy, number of DiaSources (-1 if withdrawn); an Object may be found several times.
    before : mapping
        Lists of Objects, or None: `linked` to what the Visit keeps of an earlier pass, which are not to be had again,
        and `freed` by what is replaced, which are to be had even if they were withdrawn.

    Returns
    -------
    Objects
    number, row : ndarray of int
        Number of a range, and row of an Object.
    """
    number, all_ids, *columns = columns
    ids, first, row = np.unique(all_ids, return_index=True, return_inverse=True)
    ra, dec, ra_err, dec_err, both, extendedness, ixx, iyy, ixy, dia_sources = (column[first] for column in columns)
    place = measured(ra, dec, ra_err, dec_err, both, parameters.missing_err_arcsec, 0.0)
    holds = (dia_sources >= 0) | np.isin(ids, before["freed"] or [])
    holds &= ~np.isin(ids, before["linked"] or [])
    footprints = Places(ra, dec, ixx, iyy, ixy)
    return Objects(ids, place, np.nan_to_num(extendedness), footprints, dia_sources > 0, holds), number, row


def predictions(columns, parameters):
    """Ids and places of predictions: id, ra, dec, ra_err, dec_err, covariance."""
    ids, ra, dec, ra_err, dec_err, both = columns
    return ids, measured(ra, dec, ra_err, dec_err, both, parameters.missing_err_arcsec, 0.0)


def object_gains(detections, objects, which, target, parameters):
    """Gain of each pair of a detection and an Object over the detection being new, in log likelihood.

    An extended Object is seldom detected itself, and then as something extended; but new point sources are more
    frequent within it, in proportion to the light of its footprint (LDM-151, 6.1.3).
    """
    p, place = parameters, detections.places[which]
    extended, shape = objects.extendedness[target], detections.extendedness[which]
    chance = (1 - extended) * np.where(objects.seen[target], p.seen_again, p.seen_first)
    chance += extended * p.extended_rate * shape / np.maximum(1 - shape, 1e-6)
    new = np.full(detections.ids.size, p.new_density)
    host = np.flatnonzero((extended > 0) & np.isfinite(objects.footprints.xx[target]))
    light = np.exp(log_density(place[host], objects.footprints[target[host]]))
    np.add.at(new, which[host], p.host_rate * extended[host] * light)
    with np.errstate(divide="ignore"):  # without a chance the gain is -inf
        return log_density(place, objects.places[target]) + np.log(chance / new[which])


def source_gains(detections, objects, which, target, parameters):
    """Gain of each pair of a Source and an Object over the Source being of none, whatever their extendedness."""
    gain = log_density(detections.places[which], objects.places[target])
    return gain + np.log(parameters.seen_source / parameters.new_density)


def moving_gains(detections, predictions, parameters):
    """Pairs of a detection of positive flux and a prediction, and their gains over the detection being new."""
    reach = parameters.radius_arcsec + 5 * np.sqrt(np.maximum(predictions.xx, predictions.yy))
    which, target = within(detections.places, predictions, reach)
    which, target = which[detections.is_positive[which]], target[detections.is_positive[which]]
    gain = log_density(detections.places[which], predictions[target])
    return which, target, gain + np.log(parameters.moving_seen / parameters.new_density)


def ranges(detections, parameters):
    """Ranges of healpix29 that cover the indexed places of all Objects that may lie within the radius of detections.

    Returns
    -------
    which, lowest, highest : ndarray of int64
        Index of the detection, and first and last order-29 pixel, for each range.
    """
    radius = np.full(detections.ids.size, (parameters.radius_arcsec + DRIFT_ARCSEC) * ARCSEC)
    return cover_cones(detections.places.ra, detections.places.dec, radius, coarser=0, bridge=BRIDGE)


def tiles(lowest, highest):
    """Pixels of order 6 that ranges of healpix29 begin and end in: what Visits must not change at the same time."""
    return np.unique(np.append(lowest, highest) >> 46)


def seen_before(found, object_ids):
    """Those of the Objects found that are in a list and had DiaSources before."""
    objects = found[0]
    return objects.ids[objects.seen & np.isin(objects.ids, object_ids)]


def assign(which, target, gain):
    """Best one-to-one assignment: the greatest sum of gains, where a detection without partner gains 0.

    Gains count in multiples of `QUANTUM`. Of assignments of equal gain, within a connected set of n detections and m
    targets in the order of their indices, the one with the least Σ (n - i)(j + 1) over the detections i and their
    targets j is taken, where j = m for those without partner: earlier detections go to earlier targets.

    Parameters
    ----------
    which, target : ndarray of int
        Index of the detection and of the target of each possible pair, every pair once.
    gain : ndarray

    Returns
    -------
    ndarray of bool
        Whether each pair is made.
    """
    worth = np.round(np.maximum(gain, -1.0) / QUANTUM).astype(np.int64)
    made = worth > 0
    pairs = np.flatnonzero(made)
    alone = (np.bincount(which[pairs])[which[pairs]] == 1) & (np.bincount(target[pairs])[target[pairs]] == 1)
    contested = pairs[~alone]
    if contested.size:
        made[contested] = _matched(which[contested], target[contested], worth[contested])
    return made


def _matched(which, target, worth):
    """Which pairs the best assignment makes, by shortest augmenting paths on sparse costs (Jonker & Volgenant 1987)."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

    which, target = (np.unique(index, return_inverse=True)[1] for index in (which, target))
    n, m = which.max() + 1, target.max() + 1
    graph = csr_array((np.ones(which.size), (which, n + target)), shape=(n + m, n + m))
    sets, label = connected_components(graph, directed=False)
    (i, size), (j, width) = _place_within(label[:n], sets), _place_within(label[n:], sets)
    unit = 1 + size * (size + 1) // 2 * (width + 1)  # of gain outweighs every order within the set
    earliness, unit, last = (size[label[:n]] - i), unit[label[:n]], width[label[:n]]
    most = np.zeros(n, np.int64)
    np.maximum.at(most, which, worth)
    paired = (most[which] - worth) * unit[which] + earliness[which] * (j[target] + 1)
    cost = np.append(paired, most * unit + earliness * (last + 1)).astype(float)
    ends = np.append(which, np.arange(n)), np.append(target, m + np.arange(n))  # a place of its own for each new one
    chosen = min_weight_full_bipartite_matching(csr_array((cost, ends), shape=(n, m + n)))[1]
    return chosen[which] == target


def _place_within(label, sets):
    """Place of each member within its set, in order, and the size of each set."""
    size = np.bincount(label, minlength=sets)
    order = np.argsort(label, kind="stable")
    place = np.empty(label.size, np.int64)
    place[order] = np.arange(label.size) - np.repeat(np.cumsum(size) - size, size)
    return place, size


def near_pairs(detections, found, number, parameters):
    """Pairs of a detection and an Object, each once, that are within the radius and may be matched.

    Parameters
    ----------
    found : tuple
        What `objects` returns.
    number : ndarray of int
        The detection that each range belongs to.
    """
    objects, ranges, row = found
    radius = parameters.radius_arcsec
    ranged = ranges >= 0
    moved = np.unique(row[~ranged])
    which, target = within(detections.places, objects.places[moved], np.full(moved.size, radius))
    which, target = np.append(number[ranges[ranged]], which), np.append(row[ranged], moved[target])
    mine, theirs = detections.places, objects.places
    close = np.abs(mine.dec[which] - theirs.dec[target]) <= radius / 3599  # a cheap test before the right one
    which, target = divmod(np.unique((which * objects.ids.size + target)[close]), max(objects.ids.size, 1))
    near = separations(mine.ra[which], mine.dec[which], theirs.ra[target], theirs.dec[target]) <= radius
    near &= objects.holds[target]
    return which[near], target[near]


def solve(detections, number, found, predictions, parameters, gains=object_gains):
    """Match of the detections of a Visit; new ones still without Object.

    Parameters
    ----------
    detections : Detections
    number : ndarray of int
        The detection that each range belongs to.
    found : tuple
        What `objects` returns.
    predictions : tuple of (ndarray of int64, Places)
        Ids and predicted places of MovingObjects.
    gains : callable
        `object_gains` or `source_gains`.

    Returns
    -------
    object_ids, moving_ids : ndarray of int64
        Object and MovingObject of each detection; 0 = none.
    new : ndarray of int
        Rows of detections that are to become Objects.
    """
    objects, (moving_ids, ahead) = found[0], predictions
    known = objects.ids.size
    which, target = near_pairs(detections, found, number, parameters)
    pairs = which, target, gains(detections, objects, which, target, parameters)
    which, target, gain = moving_gains(detections, ahead, parameters)
    which, target, gain = map(np.append, pairs, (which, target + known, gain))
    which, target, gain = (column[detections.usable[which]] for column in (which, target, gain))
    made = assign(which, target, gain)
    parents = np.zeros((2, detections.ids.size), np.int64)
    parents[(target[made] >= known).astype(int), which[made]] = np.append(objects.ids, moving_ids)[target[made]]
    new = np.flatnonzero(detections.usable & ~parents.any(axis=0))
    if new.size > parameters.most_new:
        problem = f"{new.size} new Objects, allowed are {parameters.most_new}"
        raise RefusedError("VN022", problem, "look at the difference images, or raise most_new; all is still staged")
    return *parents, new


def first_ids(release, healpix29):
    """object_ids with tie 0 of new Objects at places."""
    return (np.int64(release) << 57) | (healpix29 >> 8 << 3)


def untied(ids, taken):
    """Distinct object_ids: each of `ids` (tie 0), or the first tie of its pixel that is not taken."""
    _, inverse, count = np.unique(ids, return_inverse=True, return_counts=True)
    used, ids = set(taken.tolist()), ids.copy()
    for row in np.flatnonzero((count[inverse] > 1) | np.isin(ids >> 3, taken >> 3)):
        free = [one for one in range(ids[row], ids[row] + 8) if one not in used]
        if not free:
            problem = f"a ninth Object in the pixel of Object {ids[row]}, allowed are 8"
            raise RefusedError("VN022", problem, "find out what made so many detections of one place")
        used.add(free[0])
        ids[row] = free[0]
    return ids


def namesakes(detections, new, ids, found, number):
    """New Objects, and Objects around, whose truncated names may coincide.

    A name is that of a cell of at most 0.18″ around the indexed position, so both are in a range of the detection.

    Parameters
    ----------
    detections : Detections
    new, ids : ndarray of int
        Rows of detections that become Objects, and the ids that these get.
    found, number
        As for `near_pairs`.

    Returns
    -------
    fresh, others : ndarray of int64
        object_ids, new and known, each once.
    """
    objects, ranges, row = found
    ranged, moved = ranges >= 0, np.zeros(objects.ids.size, bool)
    moved[row[~ranged]] = True
    born = np.zeros(detections.ids.size, np.int64)
    born[new] = ids
    which, target = number[ranges[ranged]], row[ranged]
    apart = np.abs(detections.places.dec[which] - objects.places.dec[target])
    near = (born[which] > 0) & (moved[target] | (apart < (DRIFT_ARCSEC + 0.2) / 3600))
    ra, dec = detections.places.ra[new], detections.places.dec[new]
    cells = (ra * 24000).astype(np.int64) << 23 | (np.abs(dec) * 36000).astype(np.int64) << 1 | (dec < 0)
    _, inverse, count = np.unique(cells, return_inverse=True, return_counts=True)
    fresh = np.append(born[which[near]], ids[count[inverse] > 1])
    return np.unique(fresh), np.unique(objects.ids[target[near]])
