"""All Visits over a piece of the sky at once: what lies around it, and which Source is which Object.

A piece is a range of `CELL`-order pixels. Sources and Objects that may be partners are joined in sets, each within a
Visit; a set is solved as a whole, so whoever owns one of its rows must see all of it. Hence a piece is read with rings
of cells around it, until no set can reach beyond them, and keeps the Sources whose place is in it: that of their
Object, else their own. So each Source is some piece's, of one only, wherever the borders lie.
"""

from dataclasses import dataclass

import numpy as np

from udf.association.assign import assign
from udf.association.gains import source_gains
from udf.association.near import DRIFT_ARCSEC
from udf.plane import Places, measured, separations
from udf.sky.cover import ARCSEC, REACH, merged, unit_vectors
from udf.sky.healpix import neighbours

CELL = 11
SHIFT = 2 * (29 - CELL)
WIDTH_ARCSEC = 1 / (REACH * 2**CELL * ARCSEC)
"""No way across a cell is shorter."""
NONE, ELSEWHERE = 0, -1
"""In place of an Object: the Source has none; the Source is another piece's."""


@dataclass(frozen=True)
class Rows:
    """Sources, or Objects: ids, healpix29, and places."""

    ids: np.ndarray
    healpix29: np.ndarray
    places: Places

    @classmethod
    def of(cls, columns, parameters, floor):
        """Rows of id, healpix29, ra, dec, ra_err, dec_err and covariance."""
        ids, healpix29, *place = columns
        return cls(ids, healpix29, measured(*place, parameters.missing_err_arcsec, floor))

    def __add__(self, other):
        """These rows and then the others."""
        names = ("ra", "dec", "xx", "yy", "xy")
        both = Places(*(np.append(getattr(self.places, name), getattr(other.places, name)) for name in names))
        return Rows(np.append(self.ids, other.ids), np.append(self.healpix29, other.healpix29), both)


def spans(first, beyond):
    """Ranges of healpix29 of ranges of cells, both ends included."""
    return np.atleast_1d(first) << SHIFT, (np.atleast_1d(beyond) << SHIFT) - 1


def around(inside, rings, first, beyond):
    """Ranges of healpix29 in so many rings of cells round those of some places, outside of the piece.

    Parameters
    ----------
    inside : ndarray of int64
        healpix29 of all that the piece holds.
    rings, first, beyond : int
        Number of rings; the piece's first cell, and the first after it.
    """
    cells = fresh = np.unique(inside >> SHIFT)
    for _ in range(rings):
        fresh = np.setdiff1d(neighbours(fresh, CELL), np.append(cells, -1))
        cells = np.union1d(cells, fresh)
    outside = cells[(cells < first) | (cells >= beyond)]
    return merged(*spans(outside, outside + 1), np.ones(outside.size, bool))[:2]


def rings_for(largest, parameters):
    """Rings of cells that no connected set of so many rows can cross, each a radius from the next."""
    return 1 + int(largest * (parameters.radius_arcsec + DRIFT_ARCSEC) / WIDTH_ARCSEC)


def matches(sources, objects, parameters):
    """Which Object each Source is, Visit by Visit, as `solve` finds it.

    Returns
    -------
    partner : ndarray of int
        Row of the Object, -1 = none.
    largest : int
        Number of rows of the largest set of possible partners.
    """
    which, target = close_pairs(sources.places, objects.places, parameters.radius_arcsec)
    gain = source_gains(sources, objects, which, target, parameters)
    which, target, gain = (column[gain > 0] for column in (which, target, gain))
    partner = np.full(sources.ids.size, -1)
    if not which.size:
        return partner, 1
    rank, row = np.argsort(np.argsort(sources.ids)), np.argsort(np.argsort(objects.ids))
    visit = sources.ids[which] >> 31
    _, once = np.unique((visit - visit.min()) * row.size + row[target], return_inverse=True)  # an Object in a Visit
    made = assign(rank[which], once, gain)
    partner[which[made]] = target[made]
    return partner, _largest(rank[which], once)


def _largest(which, target):
    """Number of rows of the largest connected set of pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    several = (np.bincount(which)[which] > 1) | (np.bincount(target)[target] > 1)
    if not several.any():
        return 2
    i, j = (np.unique(index[several], return_inverse=True)[1] for index in (which, target))
    n = i.max() + 1
    size = n + j.max() + 1
    label = connected_components(coo_array((np.ones(i.size, bool), (i, n + j)), shape=(size, size)), directed=False)[1]
    return int(np.bincount(label).max())


def close_pairs(places, targets, radius_arcsec):
    """Indices of all pairs of places and targets within a radius."""
    from scipy.spatial import cKDTree

    if not (places.ra.size and targets.ra.size):
        return np.zeros(0, int), np.zeros(0, int)
    points = (unit_vectors(some.ra, some.dec) for some in (places, targets))
    one, other = (cKDTree(each, balanced_tree=False, compact_nodes=False) for each in points)
    chord = 2 * np.sin(radius_arcsec * ARCSEC / 2)
    pairs = one.sparse_distance_matrix(other, chord * (1 + 1e-6) + 1e-15, output_type="ndarray")
    which, target = pairs["i"], pairs["j"]
    apart = separations(places.ra[which], places.dec[which], targets.ra[target], targets.dec[target])
    near = apart <= radius_arcsec
    return which[near], target[near]


def own(sources, objects, partner, first, beyond):
    """Object's id of each Source, or `NONE`; `ELSEWHERE` for Sources of other pieces."""
    has = partner >= 0
    ids, cell = np.full(partner.size, NONE), sources.healpix29 >> SHIFT
    ids[has], cell[has] = objects.ids[partner[has]], objects.healpix29[partner[has]] >> SHIFT
    ids[(cell < first) | (cell >= beyond)] = ELSEWHERE
    return ids
