"""The standard scene: a field of stars, galaxies, transients, variables and asteroids whose truth is known.

    scene = make_scene(SceneParameters(seed=1, size=4096))   # the sky; counts are per 4k × 4k, scaled by area
    visit = make_visit(scene, 0)                             # conditions: WCS, PSF of each Snap, sky
    scene = with_transients(scene, visit)                    # fluxes by the signal-to-noise ratio wanted
    science, truth = exposures.calibrated(scene, visit)      # an Exposure without detector effects, and its truth
    template = exposures.template(scene, visit)              # deep, at another seeing, on pixels of its own
    files = frames.write_visit(folder, scene, visit, camera) # raw multi-amplifier FITS for `hven`

`exposures.standard(seed, size)` does the first five in one call. Everything follows from the seed. Positions
are ICRS [deg], fluxes nJy in the band r (`colour` is g − r), times TAI [MJD].
"""

from dataclasses import dataclass, replace

import numpy as np

from pipelines.simulate import orbits
from pipelines.simulate.galaxies import BULGE, DISC
from pipelines.simulate.places import shifted

NANOJANSKY = 31.4  # AB magnitude of 1 nJy
STANDARD = 4096  # pixels, side of the detector that the parameters' counts are for

STAR = np.dtype(
    [("ra", "f8"), ("dec", "f8"), ("flux", "f8"), ("colour", "f4"), ("amplitude", "f4"), ("period", "f4"),
     ("phase", "f4")]
)  # fmt: skip
"""A star; a variable's flux is flux × (1 + amplitude × sin(2π (t / period + phase)))."""
GALAXY = np.dtype(
    [("ra", "f8"), ("dec", "f8"), ("flux", "f8"), ("colour", "f4"), ("radius", "f4"), ("ratio", "f4"),
     ("angle", "f4"), ("nu", "f4")]
)  # fmt: skip
"""A galaxy: half-light radius of the major axis [arcsec], axis ratio, angle from east to north [rad], profile."""
TRANSIENT = np.dtype(
    [("ra", "f8"), ("dec", "f8"), ("flux", "f8"), ("colour", "f4"), ("snr", "f4"), ("host", "i4"), ("star", "i4"),
     ("start", "f8"), ("rise", "f4"), ("decay", "f4")]
)  # fmt: skip
"""A transient: peak flux; the SNR wanted in the difference; indices of its host and of a bright star near by, or
−1; it rises for `rise` days from `start` and decays by e in `decay` days. `start` NaN: it does not change."""


@dataclass(frozen=True)
class SceneParameters:
    """What a scene holds.

    Counts are for one detector of 4096 × 4096 pixels and go with the area.

    Parameters
    ----------
    seed : int
    size : int
        Side of a detector in pixels.
    detectors : int
        In a row, `gap` pixels apart.
    stars : int
        Their counts rise as N(< m) ∝ 10^(0.3 m) between the magnitudes `brightest` and `faintest`: 20 of 20,000
        are brighter than 15.4, where 15 s saturate at a FWHM of 4 pixels.
    galaxies : int
        Counts rise as 10^(0.35 m) between 18 and 25; 3 of 4 are discs.
    transients : int
    completeness : bool
        True: 400 transients, SNR uniform from 4 to 12 for three in four and up to 50 for the rest. False: SNR
        5 to 100, uniform in its logarithm.
    hosted, near_star : float
        Parts of the transients within one effective radius of a galaxy, and within 10 pixels of a star
        brighter than 17.
    variables : float
        Part of the stars.
    asteroids : int
    scale : float
        Arcsec per pixel.
    margin : int
        Pixels round the detectors that are filled too.
    ra, dec : float
        Centre [deg, ICRS].
    epoch : float
        Of the asteroids' orbits: the first Visit's time [TAI, MJD].
    """

    seed: int = 1
    size: int = STANDARD
    detectors: int = 1
    gap: int = 60
    stars: int = 20_000
    galaxies: int = 3_000
    transients: int | None = None
    completeness: bool = False
    hosted: float = 0.5
    near_star: float = 0.05
    variables: float = 0.01
    asteroids: int = 10
    brightest: float = 11.5
    faintest: float = 25.4
    scale: float = 0.2
    margin: int = 150
    ra: float = 150.0
    dec: float = 2.0
    epoch: float = 61000.2

    @property
    def mosaic(self):
        """Rows and columns of the field that the detectors span."""
        return self.size, self.detectors * (self.size + self.gap) - self.gap

    def count(self, number):
        """Scale a number per standard detector to the field, margins included."""
        rows, columns = (n + 2 * self.margin for n in self.mosaic)
        return round(number * rows * columns / STANDARD**2)


@dataclass(frozen=True, eq=False)
class Scene:
    """The truth: structured arrays of STAR, GALAXY, TRANSIENT and orbits.STATE, and the asteroids' fluxes."""

    parameters: SceneParameters
    stars: np.ndarray
    galaxies: np.ndarray
    transients: np.ndarray
    asteroids: np.ndarray
    asteroid_flux: np.ndarray

    def with_(self, **changes):
        """Return a copy with the named fields replaced."""
        return replace(self, **changes)


def nanojansky(magnitude):
    """Return the flux of an AB magnitude."""
    return 10 ** (0.4 * (NANOJANSKY - np.asarray(magnitude)))


def magnitude(flux):
    """Return the AB magnitude of a flux in nJy."""
    return NANOJANSKY - 2.5 * np.log10(flux)


def make_scene(parameters: SceneParameters) -> Scene:
    """Draw the sky; `with_transients` gives its transients their fluxes."""
    p, random = parameters, np.random.default_rng([parameters.seed, 100])
    stars, galaxies = _stars(p, random), _galaxies(p, random)
    transients = _transients(p, stars, galaxies, random)
    radius = np.hypot(*p.mosaic) / 2 * p.scale / 3600
    asteroids = orbits.through_field(p.count(p.asteroids), p.ra, p.dec, radius, p.epoch, random)
    flux = nanojansky(_magnitudes(len(asteroids), 18.0, 23.5, 0.3, random))
    return Scene(p, stars, galaxies, transients, asteroids, flux)


def _scatter(count, p, random):
    """Positions spread evenly over the field and its margins."""
    rows, columns = (n + 2 * p.margin for n in p.mosaic)
    east, north = (p.scale * n * random.uniform(-0.5, 0.5, count) for n in (columns, rows))
    return shifted(np.full(count, p.ra), np.full(count, p.dec), east, north)


def _magnitudes(count, bright, faint, slope, random):
    """Magnitudes whose counts rise as 10^(slope m), one in each of `count` equal shares."""
    share = (random.permutation(count) + random.uniform(size=count)) / max(count, 1)
    low, high = 10 ** (slope * bright), 10 ** (slope * faint)
    return np.log10(low + share * (high - low)) / slope


def _stars(p, random):
    rows = np.zeros(p.count(p.stars), STAR)
    rows["ra"], rows["dec"] = _scatter(len(rows), p, random)
    rows["flux"] = nanojansky(_magnitudes(len(rows), p.brightest, p.faintest, 0.3, random))
    rows["colour"] = random.normal(0.7, 0.35, len(rows))
    varying = np.flatnonzero(random.uniform(size=len(rows)) < p.variables)
    rows["amplitude"][varying] = random.uniform(0.1, 0.9, varying.size)
    rows["period"] = 10 ** random.uniform(-0.5, 2.5, len(rows))
    rows["phase"] = random.uniform(size=len(rows))
    return rows


def _galaxies(p, random):
    rows = np.zeros(p.count(p.galaxies), GALAXY)
    rows["ra"], rows["dec"] = _scatter(len(rows), p, random)
    bright = _magnitudes(len(rows), 18.0, 25.0, 0.35, random)
    rows["flux"] = nanojansky(bright)
    rows["colour"] = random.normal(0.9, 0.3, len(rows))
    # Half-light radii: about 1.7 arcsec at magnitude 18, 0.35 at 23, with the scatter of real ones.
    rows["radius"] = np.minimum(0.4 * 10 ** (-0.13 * (bright - 23)) * random.lognormal(0, 0.35, len(rows)), 4.0)
    rows["ratio"] = random.uniform(0.25, 1, len(rows))
    rows["angle"] = random.uniform(0, np.pi, len(rows))
    rows["nu"] = np.where(random.uniform(size=len(rows)) < 0.75, DISC, BULGE)
    return rows


def _transients(p, stars, galaxies, random):
    number = p.transients if p.transients is not None else 400 if p.completeness else 100
    rows = np.zeros(p.count(number), TRANSIENT)
    count = len(rows)
    rows["ra"], rows["dec"] = _scatter(count, p, random)
    rows["host"], rows["star"], rows["start"] = -1, -1, np.nan
    rows["colour"] = random.normal(0.2, 0.2, count)
    kind = (random.permutation(count) + 0.5) / max(count, 1)
    hosted = np.flatnonzero(kind < p.hosted)
    if len(galaxies):
        rows["host"][hosted] = random.integers(len(galaxies), size=hosted.size)
        host = galaxies[rows["host"][hosted]]
        radius, angle = host["radius"] * random.uniform(size=hosted.size), random.uniform(0, 2 * np.pi, hosted.size)
        long, short = radius * np.cos(angle), radius * host["ratio"] * np.sin(angle)
        cos, sin = np.cos(host["angle"]), np.sin(host["angle"])
        place = shifted(host["ra"], host["dec"], long * cos - short * sin, long * sin + short * cos)
        rows["ra"][hosted], rows["dec"][hosted] = place
    bright = np.flatnonzero(magnitude(stars["flux"]) < 17)
    near = np.flatnonzero(kind > 1 - p.near_star)
    if bright.size:
        rows["star"][near] = random.choice(bright, near.size)
        star = stars[rows["star"][near]]
        angle, distance = random.uniform(0, 2 * np.pi, near.size), 10 * p.scale * random.uniform(size=near.size) ** 0.5
        place = shifted(star["ra"], star["dec"], distance * np.cos(angle), distance * np.sin(angle))
        rows["ra"][near], rows["dec"][near] = place
    rows["snr"] = 10 ** random.uniform(np.log10(5), 2, count)
    if p.completeness:
        rows["snr"] = np.where(random.uniform(size=count) < 0.75, random.uniform(4, 12, count),
                               random.uniform(12, 50, count))  # fmt: skip
    return rows
