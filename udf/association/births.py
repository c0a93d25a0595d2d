"""Ids of new Objects, and who else may bear their names."""

import numpy as np

from udf.association.near import DRIFT_ARCSEC
from udf.refused import RefusedError


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
