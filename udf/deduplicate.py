"""Objects that are one: which of many are each other's nearest within their errors."""

import numpy as np

from udf.plane import log_density, separations


def mutual(places, number, row, radius_arcsec, most_sigma):
    """Pairs of Objects that are each other's most likely double.

    Parameters
    ----------
    places : Places
        Of the Objects, without repetition.
    number, row : ndarray of int
        Pairs of Objects that may be close, in any order.
    radius_arcsec : float
        Further apart they are not one.
    most_sigma : float
        Greatest distance in units of the combined error.

    Returns
    -------
    first, second : ndarray of int
        Each Object is in one pair at most; first < second.
    """
    first, second = np.unique(np.sort([number[number != row], row[number != row]], axis=0), axis=1)
    one, two = places[first], places[second]
    squared = -2 * (log_density(one, two) - _peak(one, two))
    near = (separations(one.ra, one.dec, two.ra, two.dec) <= radius_arcsec) & (squared <= most_sigma**2)
    first, second, squared = first[near], second[near], squared[near]
    best = np.full(places.ra.size, np.inf)
    np.minimum.at(best, first, squared)
    np.minimum.at(best, second, squared)
    both = np.flatnonzero((squared == best[first]) & (squared == best[second]))
    taken: set[int] = set()
    kept = []
    for pair in both:  # of equal ones the first
        ends = {int(first[pair]), int(second[pair])}
        if not ends & taken:
            taken |= ends
            kept.append(pair)
    return first[kept], second[kept]


def _peak(one, two):
    """The density at no distance."""
    determinant = (one.xx + two.xx) * (one.yy + two.yy) - (one.xy + two.xy) ** 2
    return -0.5 * np.log(determinant) - np.log(2 * np.pi)
