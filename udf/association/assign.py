"""The best one-to-one assignment of detections to targets (Budavári & Basu 2016, AJ 152, 86)."""

import numpy as np

QUANTUM = 2.0**-20  # of log likelihood: gains are compared as multiples of it, so that ties are exact


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
