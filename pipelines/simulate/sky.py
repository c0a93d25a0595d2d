"""A sky whose truth is known, and the Visits that look at it; `detections` says what they see.

Everything follows from the seed: the same parameters give the same arrays. All positions
are ICRS [deg], fluxes nJy, times TAI [MJD].
"""

from dataclasses import dataclass

import healpy
import numpy as np

from pipelines.simulate import orbits
from pipelines.simulate.places import scattered, shifted

STAR, GALAXY, VARIABLE, TRANSIENT = 0, 1, 2, 3
"""Values of the truth's `kind`."""

TRUTH = np.dtype(
    [
        ("ra", "f8"), ("dec", "f8"), ("healpix29", "i8"), ("pm_ra", "f4"), ("pm_dec", "f4"), ("kind", "i1"),
        ("flux", "f4"), ("ixx", "f4"), ("iyy", "f4"), ("ixy", "f4"),
        ("amplitude", "f4"), ("period", "f4"), ("phase", "f4"), ("start", "f4"),
    ]
)  # fmt: skip
"""Position at the sky's epoch, proper motion [mas/yr], constant flux, footprint moments [arcsec²]; amplitude
of the variation [nJy], its period or decay time [d], phase, and a transient's first day after the epoch."""

VISIT = np.dtype(
    [
        ("night", "i4"), ("sequence", "i4"), ("ra", "f8"), ("dec", "f8"), ("midpoint_tai", "f8"),
        ("filter_id", "i2"), ("exposure_time", "f4"), ("seeing", "f4"), ("flux_err", "f4"),
    ]
)  # fmt: skip
"""Boresight, time, band, seeing (FWHM) [arcsec] and the noise of a point source's flux."""


@dataclass(frozen=True)
class Parameters:
    """What a sky holds and how it is seen.

    Attributes
    ----------
    objects, transients, moving : int
        Numbers of bodies of the catalogue, of transients (in no catalogue) and of moving objects.
    ra, dec, radius_deg : float
        The cap that they fill.
    galaxies, variables : float
        Fractions of the objects that are extended, and that vary.
    hosted : float
        Fraction of the transients that stand within a galaxy's footprint.
    epoch : float
        Of the positions; the transients begin in the year after it.
    field_radius_deg : float
        Of one Visit.
    detectors_across : int
        The field's bounding square has this many detectors squared (at most 16).
    spurious, cosmic_rays : float
        Expected numbers of false detections of a Visit.
    losses : float
        Probability that a detection above the threshold is lost (blends, defects, gaps).
    threshold : float
        In units of the flux's error.
    floor_arcsec : float
        Astrometric error of a bright source, for each axis.
    """

    seed: int = 1
    objects: int = 1000
    transients: int = 20
    moving: int = 5
    ra: float = 150.0
    dec: float = -2.0
    radius_deg: float = 2.0
    galaxies: float = 0.5
    variables: float = 0.05
    hosted: float = 0.7
    epoch: float = 60000.0
    field_radius_deg: float = 1.75
    detectors_across: int = 14
    pixel_scale: float = 0.2
    spurious: float = 10.0
    cosmic_rays: float = 5.0
    losses: float = 0.03
    threshold: float = 5.0
    floor_arcsec: float = 0.01


@dataclass(frozen=True)
class Sky:
    """The truth.

    Attributes
    ----------
    objects, transients : ndarray of TRUTH
        Sorted by healpix29; the first are what a catalogue holds before the first Visit.
    moving : ndarray of orbits.STATE
        Moving objects at the epoch.
    moving_flux : ndarray
        At 1 au from Sun and Earth, divided by 20.
    """

    parameters: Parameters
    objects: np.ndarray
    transients: np.ndarray
    moving: np.ndarray
    moving_flux: np.ndarray


def make_sky(parameters: Parameters) -> Sky:
    """Draw a sky; 10⁷ objects take some ten seconds and 0.7 GB."""
    p, random = parameters, np.random.default_rng([parameters.seed, 0])
    objects = _draw_objects(p, random)
    transients = _draw_transients(objects, p, random)
    moving = orbits.through_field(p.moving, p.ra, p.dec, p.radius_deg, p.epoch, random)
    return Sky(p, objects, transients, moving, fluxes(p.moving, random))


def make_visits(parameters: Parameters, nights: int, per_night: int) -> np.ndarray:
    """Visits (rows of VISIT) 40 s apart in consecutive nights, dithered about the cap's centre, in six bands.

    Each night's bands follow each other, so that a colour is seen within minutes.
    """
    p, random = parameters, np.random.default_rng([parameters.seed, 1])
    visits = np.zeros(nights * per_night, VISIT)
    night, sequence = np.divmod(np.arange(visits.size), per_night)
    visits["night"], visits["sequence"] = int(p.epoch) - 50000 + night, sequence + 1
    visits["midpoint_tai"] = int(p.epoch) + night + 0.6 + sequence * 40 / 86400
    spare = max(p.radius_deg - p.field_radius_deg, 0.0)
    visits["ra"], visits["dec"] = scattered(visits.size, p.ra, p.dec, spare, random)
    visits["filter_id"], visits["exposure_time"] = 1 + sequence % 6, 30
    visits["seeing"] = np.clip(random.lognormal(np.log(0.8), 0.2, visits.size), 0.5, 2.0)
    visits["flux_err"] = 115 * visits["seeing"] / 0.8
    return visits


def _at_sorted_places(ra, dec):
    """Rows of TRUTH at positions, in the order of healpix29."""
    healpix29 = healpy.ang2pix(2**29, ra, dec, nest=True, lonlat=True)
    order = np.argsort(healpix29)
    rows = np.zeros(order.size, TRUTH)
    rows["ra"], rows["dec"], rows["healpix29"] = ra[order], dec[order], healpix29[order]
    return rows


def _draw_objects(p: Parameters, random):
    count = p.objects
    rows = _at_sorted_places(*scattered(count, p.ra, p.dec, p.radius_deg, random))
    rows["flux"] = fluxes(count, random)
    kind = random.uniform(size=count)
    rows["kind"] = np.where(kind < p.galaxies, GALAXY, np.where(kind > 1 - p.variables, VARIABLE, STAR))
    galaxies, variables = np.flatnonzero(rows["kind"] == GALAXY), np.flatnonzero(rows["kind"] == VARIABLE)
    speed = np.where(rows["kind"] == GALAXY, 0, random.lognormal(np.log(5), 1.0, count))  # mas/yr
    angle = random.uniform(0, 2 * np.pi, count)
    rows["pm_ra"], rows["pm_dec"] = speed * np.cos(angle), speed * np.sin(angle)
    size, ratio = random.lognormal(np.log(0.6), 0.5, galaxies.size), random.uniform(0.3, 1, galaxies.size)
    for name, moment in zip(("ixx", "iyy", "ixy"), moments(size, ratio, angle[galaxies]), strict=True):
        rows[name][galaxies] = moment
    rows["amplitude"][variables] = rows["flux"][variables] * random.uniform(0.1, 0.9, variables.size)
    rows["period"][variables] = 10 ** random.uniform(-0.5, 2.5, variables.size)
    rows["phase"][variables] = random.uniform(size=variables.size)
    return rows


def _draw_transients(objects, p: Parameters, random):
    count = p.transients
    places = scattered(count, p.ra, p.dec, p.radius_deg, random)
    galaxies = np.flatnonzero(objects["kind"] == GALAXY)
    hosted = random.uniform(size=count) < p.hosted * bool(galaxies.size)
    host = objects[random.choice(galaxies, count)] if galaxies.size else np.zeros(count, TRUTH)
    ixx, iyy, ixy = (host[name].astype("f8") for name in ("ixx", "iyy", "ixy"))
    first, second = random.normal(size=(2, count))
    root = np.sqrt(np.maximum(ixx, 1e-12))
    east, north = root * first, ixy / root * first + np.sqrt(np.maximum(iyy - (ixy / root) ** 2, 0)) * second
    rows = _at_sorted_places(*np.where(hosted, shifted(host["ra"], host["dec"], east, north), places))
    rows["kind"] = TRANSIENT
    rows["amplitude"], rows["period"] = 5 * fluxes(count, random), random.uniform(5, 40, count)
    rows["start"] = random.uniform(-20, 365, count)
    return rows


def fluxes(count: int, random):
    """Fluxes between magnitudes 16 and 25, whose counts rise as 10^(0.3 m)."""
    low, high = 10 ** (0.3 * 16), 10 ** (0.3 * 25)
    magnitude = np.log10(random.uniform(low, high, count)) / 0.3
    return 10 ** (0.4 * (31.4 - magnitude))


def moments(size, ratio, angle):
    """Second moments ixx (east), iyy (north), ixy of ellipses; `angle` from east to north."""
    long, short = size**2, (size * ratio) ** 2
    cos, sin = np.cos(angle), np.sin(angle)
    return long * cos**2 + short * sin**2, long * sin**2 + short * cos**2, (long - short) * sin * cos
