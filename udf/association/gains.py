"""How much likelier a detection is an Object than new, pair by pair (Budavári & Szalay 2008, ApJ 679, 301)."""

import numpy as np

from udf.plane import log_density, within


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
