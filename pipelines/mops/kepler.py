"""Two-body orbits about the Sun by their cometary elements, and where they are seen from the Earth's centre.

Universal variables (Battin 1999, *An Introduction to the Mathematics and Methods of Astrodynamics*, ch. 4) serve
ellipses, parabolas and hyperbolas alike. Perturbations are left out: positions are good to about an arcsecond for
some weeks from the epoch of the elements.
"""

import erfa
import numpy as np

GM_SUN = 2.9591220828559115e-04  # au³/d², the square of Gauss's constant
LIGHT_TIME = 499.004783836 / 86400  # days per au
OBLIQUITY = np.radians(84381.448 / 3600)  # of the ecliptic of J2000
MJD_ZERO = 2400000.5
TDB_MINUS_TAI = 32.184 / 86400  # days; TDB differs from TT by less than 2 ms

ELEMENTS = np.dtype([
    (name, "f8") for name in (
        "perihelion_distance", "eccentricity", "inclination", "node", "perihelion_argument", "perihelion_tai",
    )
])  # fmt: skip
"""Cometary elements, heliocentric, ecliptic of J2000: au, degrees, and TAI as MJD."""

EPHEMERIS = np.dtype([(name, "f8") for name in ("ra", "dec", "ra_rate", "dec_rate", "distance", "heliocentric")])
"""Astrometric place: deg (ICRS), deg/d (`ra_rate` times cos dec), and au from the Earth and from the Sun."""


def earth(tai):
    """Return the heliocentric position of the Earth's centre [au, ICRS axes]; `tai` as MJD."""
    return erfa.epv00(MJD_ZERO, np.asarray(tai) + TDB_MINUS_TAI)[0]["p"]


def states(elements, tai):
    """Return heliocentric positions [au] and velocities [au/d], ICRS axes, shape (n, 3), at a moment.

    Parameters
    ----------
    elements : ndarray of ELEMENTS, shape (n,)
    tai : float or ndarray, shape (n,)
        TAI, MJD.
    """
    q, e = elements["perihelion_distance"], elements["eccentricity"]
    root = np.sqrt(GM_SUN)
    inverse_axis = (1 - e) / q
    days = _within_a_period(tai - elements["perihelion_tai"], inverse_axis)
    chi = _universal_anomaly(q, e, inverse_axis, days)
    c, s = _stumpff(inverse_axis * chi**2)
    radius = q + e * chi**2 * c
    speed = np.sqrt(GM_SUN * (1 + e) / q)
    place = (1 - chi**2 / q * c, (days - chi**3 * s / root) * speed)
    motion = (root / (radius * q) * chi * (inverse_axis * chi**2 * s - 1), (1 - chi**2 / radius * c) * speed)
    p_axis, q_axis = _axes(elements)
    position = (place[0] * q)[:, None] * p_axis + place[1][:, None] * q_axis
    return position, (motion[0] * q)[:, None] * p_axis + motion[1][:, None] * q_axis


def elements_of(position, velocity, tai):
    """Return the elements of orbits by their heliocentric states at a moment: the inverse of `states`."""
    h = np.cross(position, velocity) @ _to_ecliptic().T
    outward = position / np.linalg.norm(position, axis=1, keepdims=True)
    pointing = (np.cross(velocity, np.cross(position, velocity)) / GM_SUN - outward) @ _to_ecliptic().T
    made = np.zeros(len(h), ELEMENTS)
    e = made["eccentricity"] = np.linalg.norm(pointing, axis=1)
    h2 = (h**2).sum(axis=1)
    q = made["perihelion_distance"] = h2 / GM_SUN / (1 + e)
    made["inclination"] = np.degrees(np.arccos(h[:, 2] / np.sqrt(h2)))
    made["node"] = np.degrees(np.arctan2(h[:, 0], -h[:, 1])) % 360
    ascending = np.stack([-h[:, 1], h[:, 0], np.zeros(len(h))], axis=1)
    ascending /= np.linalg.norm(ascending, axis=1, keepdims=True)
    across = np.cross(h / np.sqrt(h2)[:, None], ascending)
    turn = np.arctan2((pointing * across).sum(axis=1), (pointing * ascending).sum(axis=1))
    made["perihelion_argument"] = np.degrees(turn) % 360
    p_axis, q_axis = _axes(made)  # by which time is told even where a circle has no perihelion
    anomaly = np.arctan2((position * q_axis).sum(axis=1), (position * p_axis).sum(axis=1))
    made["perihelion_tai"] = tai - _days_since_perihelion(q, e, anomaly)
    return made


def ephemeris(elements, tai):
    """Return where orbits are seen from the Earth's centre, light time taken off.

    Returns
    -------
    ndarray of EPHEMERIS, shape (n,)
    """
    observer = earth(tai)
    before, after = (_seen(elements, tai + step, earth(tai + step)) for step in (-0.01, 0.01))
    seen = _seen(elements, tai, observer)
    distance = np.linalg.norm(seen, axis=1)
    found = np.zeros(len(elements), EPHEMERIS)
    found["ra"], found["dec"] = _angles(seen)
    (ra0, dec0), (ra1, dec1) = _angles(before), _angles(after)
    found["ra_rate"] = ((ra1 - ra0 + 180) % 360 - 180) * np.cos(np.radians(found["dec"])) / 0.02
    found["dec_rate"] = (dec1 - dec0) / 0.02
    found["distance"], found["heliocentric"] = distance, np.linalg.norm(seen + observer, axis=1)
    return found


def _seen(elements, tai, observer):
    seen = states(elements, tai)[0] - observer
    for _ in range(2):
        delay = LIGHT_TIME * np.linalg.norm(seen, axis=1)
        seen = states(elements, tai - delay)[0] - observer
    return seen


def _angles(vectors):
    x, y, z = vectors.T
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _within_a_period(days, inverse_axis):
    """Return times from perihelion that are at most half a period, which keeps the iteration short."""
    bound = inverse_axis > 0
    period = 2 * np.pi / np.sqrt(GM_SUN * np.where(bound, inverse_axis, 1.0) ** 3)
    return np.where(bound, (days + period / 2) % period - period / 2, days)


def _universal_anomaly(q, e, inverse_axis, days):
    """Solve q χ + e χ³ S(αχ²) = √GM t, which rises everywhere, by Newton's steps; Laguerre's guard large ones."""
    wanted = np.sqrt(GM_SUN) * days
    chi = np.cbrt(6 * wanted / np.maximum(e, 0.1))  # far from perihelion; the term q χ makes it smaller
    chi = np.where(np.abs(wanted / q) < np.abs(chi), wanted / q, chi)
    for _ in range(60):
        c, s = _stumpff(inverse_axis * chi**2)
        residual = q * chi + e * chi**3 * s - wanted
        slope = q + e * chi**2 * c
        curve = e * chi * (1 - inverse_axis * chi**2 * s)
        root = np.sqrt(np.abs(16 * slope**2 - 20 * residual * curve))
        step = 5 * residual / (slope + np.copysign(root, slope))
        chi = chi - step
        if np.all(np.abs(step) <= 1e-13 * (1 + np.abs(chi))):
            break
    return chi


def _stumpff(z):
    """Return Stumpff's functions C(z) = (1 − cos √z)/z and S(z) = (√z − sin √z)/√z³, by series near 0."""
    z = np.asarray(z, float)
    small = np.abs(z) < 1e-2
    w = np.sqrt(np.abs(np.where(small, 1.0, z)))
    with np.errstate(over="ignore"):
        c = np.where(z > 0, 1 - np.cos(w), np.cosh(w) - 1) / w**2
        s = np.where(z > 0, w - np.sin(w), np.sinh(w) - w) / w**3
    series_c = 1 / 2 - z / 24 * (1 - z / 30 * (1 - z / 56 * (1 - z / 90)))
    series_s = 1 / 6 - z / 120 * (1 - z / 42 * (1 - z / 72 * (1 - z / 110)))
    return np.where(small, series_c, c), np.where(small, series_s, s)


def _days_since_perihelion(q, e, anomaly):
    """Return the time since perihelion of orbits at a true anomaly [rad]."""
    inverse_axis = (1 - e) / q
    w = np.sqrt(np.abs(inverse_axis))
    half = np.tan(anomaly / 2)
    turned = np.sqrt(np.abs(1 - e) / (1 + e)) * half
    flat = w < 1e-6
    safe = np.where(flat, 1.0, w)
    ellipse = 2 * np.arctan(turned) / safe
    hyperbola = 2 * np.arctanh(np.clip(np.where(e > 1, turned, 0.0), -1 + 1e-16, 1 - 1e-16)) / safe
    chi = np.where(flat, np.sqrt(2 * q) * half, np.where(inverse_axis > 0, ellipse, hyperbola))
    return (q * chi + e * chi**3 * _stumpff(inverse_axis * chi**2)[1]) / np.sqrt(GM_SUN)


def _axes(elements):
    """Return unit vectors to perihelion and along the motion there, ICRS axes."""
    i, node, turn = (np.radians(elements[name]) for name in ("inclination", "node", "perihelion_argument"))
    ci, si, cn, sn, ct, st = np.cos(i), np.sin(i), np.cos(node), np.sin(node), np.cos(turn), np.sin(turn)
    p = np.stack([cn * ct - sn * st * ci, sn * ct + cn * st * ci, st * si], axis=1)
    q = np.stack([-cn * st - sn * ct * ci, -sn * st + cn * ct * ci, ct * si], axis=1)
    return p @ _to_ecliptic(), q @ _to_ecliptic()


def _to_ecliptic():
    c, s = np.cos(OBLIQUITY), np.sin(OBLIQUITY)
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
