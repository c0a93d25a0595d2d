"""Two-body orbits of simulated Solar System objects, seen from the Earth's centre."""

import numpy as np

from pipelines.mops.kepler import GM_SUN, LIGHT_TIME, OBLIQUITY, earth

STATE = np.dtype([("position", "f8", 3), ("velocity", "f8", 3)])
"""Heliocentric state of an orbit at its epoch: au and au/d, ICRS axes."""


def through_field(count, ra, dec, radius_deg, mjd, random):
    """Asteroids on bound, mostly prograde orbits that all stand within a field at one moment.

    Parameters
    ----------
    count : int
    ra, dec, radius_deg : float
        Centre and radius of the field [deg, ICRS].
    mjd : float
        The moment, the orbits' epoch [TAI, MJD].
    random : numpy.random.Generator

    Returns
    -------
    ndarray of STATE
        Geocentric distances are 1 to 2.3 au; velocities scatter by a tenth about the circular one.
    """
    from pipelines.simulate.places import scattered, unit

    distance = random.uniform(1.0, 2.3, count)
    states = np.zeros(count, STATE)
    states["position"] = earth(mjd) + distance[:, None] * unit(*scattered(count, ra, dec, radius_deg, random))
    r = np.linalg.norm(states["position"], axis=1, keepdims=True)
    outward = states["position"] / r
    pole = np.array([0.0, -np.sin(OBLIQUITY), np.cos(OBLIQUITY)])
    forward = np.cross(pole, outward)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    along, out, up = (random.normal(0, 0.1, (count, 1)) for _ in range(3))
    states["velocity"] = np.sqrt(GM_SUN / r) * ((1 + along) * forward + out * outward + up * pole)
    return states


def propagate(states, days):
    """Heliocentric positions [au], shape (n, 3), of bound orbits some days after their epoch."""
    r0, v0 = states["position"], states["velocity"]
    days = np.broadcast_to(days, r0.shape[:1])
    distance, radial = np.linalg.norm(r0, axis=1), np.einsum("ij,ij->i", r0, v0)
    axis = 1 / (2 / distance - np.einsum("ij,ij->i", v0, v0) / GM_SUN)
    motion = np.sqrt(GM_SUN / axis**3)
    cosine, sine = 1 - distance / axis, radial / np.sqrt(GM_SUN * axis)  # e cos E, e sin E at the epoch
    step = motion * days  # difference of eccentric anomaly, to begin with that of mean anomaly
    for _ in range(12):
        excess = step - cosine * np.sin(step) + sine * (1 - np.cos(step)) - motion * days
        step = step - excess / (1 - cosine * np.cos(step) + sine * np.sin(step))
    f = 1 - axis / distance * (1 - np.cos(step))
    g = days - (step - np.sin(step)) / motion
    return f[:, None] * r0 + g[:, None] * v0


def directions(states, epoch, mjd):
    """Astrometric positions seen from the Earth's centre.

    Returns
    -------
    vectors : ndarray, shape (n, 3)
        Unit vectors, ICRS.
    distance, heliocentric : ndarray
        From the Earth and from the Sun [au].
    """
    observer = earth(mjd)
    seen = propagate(states, mjd - epoch) - observer
    for _ in range(2):
        delay = LIGHT_TIME * np.linalg.norm(seen, axis=1)
        seen = propagate(states, mjd - epoch - delay) - observer
    distance = np.linalg.norm(seen, axis=1)
    return seen / distance[:, None], distance, np.linalg.norm(seen + observer, axis=1)
