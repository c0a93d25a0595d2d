"""Which detection is which Object: gains of pairs, and the best one-to-one assignment.

Arrays in, arrays out: nothing here knows a database. A detection is matched to an Object of the catalogue or to the
predicted place of a MovingObject, or it is new. The assignment maximises the posterior probability of the whole
Visit (Budavári & Szalay 2008, ApJ 679, 301, for pairs; Budavári & Basu 2016, AJ 152, 86, for the assignment).
"""

import numpy as np

from udf.association.assign import assign
from udf.association.gains import moving_gains, object_gains
from udf.association.near import near_pairs
from udf.refused import RefusedError


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
