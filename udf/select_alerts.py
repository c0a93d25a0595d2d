"""Alert selection: its parameters, and the Objects whose footprints hold the Alerts."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from udf.plane import ARCSEC, offsets
from udf.refused import RefusedError
from udf.sky.cover import cover_cones, unit_vectors

FOOTPRINT = 2.0
"""Semi-axes of a footprint in units of its second moments' roots: those of a uniform ellipse."""

RULES = ("each_snap", "visit_and_each_snap", "visit")
ALLOWED = {str: "a text", bool: "true or false"}


def is_amount(value):
    """Whether a value of JSON is a number from 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True)
class Parameters:
    """Which DiaSources become Alerts, and what follows from them.

    Attributes
    ----------
    rule : str
        each_snap: every Snap at `threshold`; visit_and_each_snap: the Visit at `threshold` and every Snap at
        `snap_threshold`; visit: the Visit at `threshold`.
    threshold, snap_threshold : float
        Signal-to-noise ratios, of the sign that the Visit's flux has.
    snap_sigma, snap_fraction : float
        Snaps are consistent if their fluxes differ by at most so many times the difference's error, and this
        fraction of the Visit's flux; else a cosmic ray hit one of them.
    host_arcsec : float
        How far from a DiaSource the centre of its host may be.
    force_days : float
        How long an Object is force-photometered after its last Alert.
    most_forced : int
        Bound of the list; those of least priority leave it first.
    ivorn_prefix : str
        Of the Alerts' identifiers; the DiaSource's id and the version follow.
    stream : str
        Name of the unfiltered stream.
    send : bool
        Whether Alerts go to the outbox; they do not when a night is replayed.
    sent_arcsec : float
        A DiaSource within this distance of an Alert of the same Visit, sent under the ids of an earlier release, is
        the same detection.
    """

    rule: str = "each_snap"
    threshold: float = 5.0
    snap_threshold: float = 3.0
    snap_sigma: float = 5.0
    snap_fraction: float = 0.1
    host_arcsec: float = 10.0
    force_days: float = 365.0
    most_forced: int = 10_000_000
    ivorn_prefix: str = "ivo://hven/alerts#"
    stream: str = "full"
    send: bool = True
    sent_arcsec: float = 1.0

    @classmethod
    def of(cls, text):
        """Parameters from a JSON object that names some of them."""
        given, defaults = json.loads(text or "{}"), asdict(cls())
        for name, value in given.items():
            if name not in defaults:
                problem = f"parameter {name} is unknown, allowed are {', '.join(defaults)}"
                raise RefusedError("VN023", problem, "correct the name")
            allowed = ALLOWED.get(type(defaults[name]), "a number from 0")
            if not (isinstance(value, type(defaults[name])) if allowed != "a number from 0" else is_amount(value)):
                raise RefusedError("VN023", f"parameter {name} is {value!r}, allowed is {allowed}", "correct it")
        if given.get("rule", RULES[0]) not in RULES:
            raise RefusedError("VN023", f"rule is {given['rule']}, allowed are {', '.join(RULES)}", "choose one")
        return cls(**given)

    def json(self):
        """All parameters as a JSON object."""
        return json.dumps(asdict(self))


def ranges(ra, dec, parameters):
    """Ranges of healpix29 that cover where hosts of positions [deg] may be; see `cover_cones`."""
    return cover_cones(ra, dec, np.full(ra.size, parameters.host_arcsec * ARCSEC), coarser=1)


def sent_before(ra, dec, old_ra, old_dec, parameters):
    """Whether an Alert was sent at each position [deg] under the ids of an earlier release."""
    if not old_ra.size or not ra.size:
        return np.zeros(ra.size, bool)
    from scipy.spatial import cKDTree  # only in a replay: it takes a quarter of a second

    chord = 2 * np.sin(np.radians(parameters.sent_arcsec / 3600) / 2)
    distance, _ = cKDTree(unit_vectors(old_ra, old_dec)).query(unit_vectors(ra, dec), distance_upper_bound=chord)
    return np.isfinite(distance)


def hosts(ra, dec, which, found):
    """Extended Object, for each position [deg], whose footprint holds it; 0 = none, the deepest inside if several.

    Parameters
    ----------
    which : ndarray of int
        The position that each range belongs to.
    found : list of ndarray
        Range, id, ra, dec, ixx, iyy, ixy of extended Objects.
    """
    number, ids, centre_ra, centre_dec, ixx, iyy, ixy = found
    which = which[number]
    x, y, _ = offsets(ra[which], dec[which], centre_ra, centre_dec)
    depth = (iyy * x**2 - 2 * ixy * x * y + ixx * y**2) / (ixx.astype(float) * iyy - ixy.astype(float) ** 2)
    order = np.lexsort([ids, depth])[::-1]  # the last to be written is the deepest, of equals the one of least id
    order = order[depth[order] <= FOOTPRINT**2]
    host = np.zeros(ra.size, np.int64)
    host[which[order]] = ids[order]
    return host
