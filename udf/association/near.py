"""Which Objects are near detections: what to read of the index, and which pairs of what was read count."""

import numpy as np

from udf.plane import ARCSEC, separations, within
from udf.sky.cover import cover_cones

BRIDGE = 16  # pixels of 3.2″ that are read rather than left out: a row costs 1.9 µs, and so does a scan of the index

DRIFT_ARCSEC = 0.3  # how far mean positions may lie from indexed ones; Objects beyond stand in object_moved


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
