"""How a Visit looks at a scene: time, band, PSF of each Snap, sky, and a distorted WCS for each detector."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS, Sip

from pipelines.image import Wcs
from pipelines.simulate import orbits
from pipelines.simulate.places import position
from pipelines.simulate.scene import NANOJANSKY, Scene
from pipelines.simulate.seeing import Seeing, draw_seeing

BANDS = {  # AB magnitude of 1 electron a second; dark sky [mag/arcsec²]; magnitude − r over g − r  (LSST's)
    "u": (26.52, 22.9, 2.4),
    "g": (28.51, 22.3, 1.0),
    "r": (28.36, 21.2, 0.0),
    "i": (28.17, 20.5, -0.5),
    "z": (27.78, 19.6, -0.8),
    "y": (26.82, 18.6, -1.0),
}
RANDOM_MAS = 3.0  # per axis, of each body in each exposure: proper motion, refraction by colour
SMOOTH_MAS = 10.0  # of a template's registration
SNAP_SECONDS = 15.0
READOUT = 2.0  # seconds between Snaps

STAR_KIND, GALAXY_KIND, TRANSIENT_KIND, ASTEROID_KIND = range(4)
BODY = np.dtype([("kind", "i1"), ("index", "i4"), ("x", "f8"), ("y", "f8"), ("flux", "f8")])
"""A body on a detector: kind, row in the scene's array, pixel position, electrons in one Snap."""


@dataclass(frozen=True, eq=False)
class Visit:
    """Conditions of one Visit.

    Parameters
    ----------
    number, seed : int
    band : str
    midpoint_tai : float
        Middle of the Visit, MJD.
    snaps : tuple of Seeing
        The PSF in each Snap, over the whole field of the detectors.
    offset : tuple of float
        Pointing in pixels off the scene's centre.
    rotation : float
        Of the camera [rad].
    transparency : float
        Part of the light that passes the clouds.
    trail : bool
        Does a satellite cross in one Snap?
    smooth_mas : float
        Amplitude of what the WCS leaves out, smooth over the field.
    snap_shift : float
        Pixels that the second Snap is off the first, per axis.
    distorted : bool
        By the optics; a coadd is not.
    pad : int
        Pixels that the image reaches beyond the detector on each side.
    """

    number: int
    seed: int
    band: str
    midpoint_tai: float
    snaps: tuple
    offset: tuple = (0.0, 0.0)
    rotation: float = 0.0
    transparency: float = 1.0
    trail: bool = False
    smooth_mas: float = 0.0
    snap_shift: float = 0.02
    distorted: bool = True
    pad: int = 0

    def with_(self, **changes):
        """Return a copy with the named fields replaced."""
        return replace(self, **changes)

    @property
    def zeropoint(self):
        """AB magnitude of one electron in one Snap."""
        return BANDS[self.band][0] + 2.5 * np.log10(SNAP_SECONDS * self.transparency)

    def sky(self, scale):
        """Return the sky's electrons a pixel in one Snap."""
        zeropoint, sky, _ = BANDS[self.band]
        return float(10 ** (0.4 * (zeropoint - sky)) * scale**2 * SNAP_SECONDS)

    def seeing(self, p, detector=0, snap=0):
        """Return the PSF on one detector in Snap number `snap` (from 0)."""
        return self.snaps[snap].with_(origin=(detector * (p.size + p.gap) - self.pad, -self.pad))

    def random(self, *stream):
        """Return the generator of one of the Visit's streams of random numbers."""
        return np.random.default_rng([self.seed, 200, self.number, *stream])


def make_visit(scene: Scene, number: int, *, band="r", fwhm=None, tai=None, **changes) -> Visit:
    """Draw the conditions of a Visit.

    Parameters
    ----------
    scene : Scene
    number : int
        From 0; it seeds what is drawn.
    band : str
    fwhm : float, optional
        In pixels; uniform between 3 and 6 by default.
    tai : float, optional
        40 s after the Visit before by default.
    **changes
        Other fields of Visit.
    """
    p = scene.parameters
    random = np.random.default_rng([p.seed, 200, number])
    drawn = random.uniform(3, 6)
    fwhm = drawn if fwhm is None else fwhm
    first = draw_seeing(fwhm, p.mosaic, random)
    second = first.with_(fwhm=first.fwhm * random.normal(1, 0.01), e1=first.e1 + random.normal(0, 0.004))
    drawn = {
        "offset": tuple(random.uniform(-40, 40, 2)),
        "rotation": random.normal(0, 0.001),
        "trail": bool(random.uniform() < 0.05),
    }
    time = p.epoch + number * 40 / 86400 if tai is None else tai
    return Visit(number, p.seed, band, time, (first, second), **drawn | changes)


def true_wcs(p, visit: Visit, detector=0) -> Wcs:
    """Return the WCS of one detector: gnomonic about the boresight, distorted to the third degree.

    The distortion is the optics': the same in all Visits but for the camera's offset, some 1.5 pixels in
    the corners.
    """
    rows, columns = p.mosaic
    x, y = (columns - 1) / 2 - detector * (p.size + p.gap) + visit.offset[0], (rows - 1) / 2 + visit.offset[1]
    cos, sin = np.cos(visit.rotation), np.sin(visit.rotation)
    x, y = x + visit.pad, y + visit.pad
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"] if visit.distorted else ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [p.ra, p.dec], [x + 1, y + 1]
    wcs.wcs.cd = p.scale / 3600 * np.array([[-cos, sin], [sin, cos]])
    if not visit.distorted:
        return Wcs.from_astropy(wcs)
    half = max(rows, columns) / 2
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[3, 0] = a[1, 2] = b[0, 3] = b[2, 1] = 0.5 / half**3  # the optics' pincushion
    a[2, 0], a[1, 1], b[0, 2], b[1, 1] = 0.3 / half**2, -0.2 / half**2, 0.15 / half**2, 0.25 / half**2
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    return Wcs.from_astropy(wcs)


def electrons(visit: Visit, flux, colour):
    """Return a body's electrons in one Snap for its flux in r [nJy] and g − r."""
    bluer = 10 ** (-0.4 * BANDS[visit.band][2] * np.asarray(colour, float))
    return flux * bluer * 10 ** (0.4 * (visit.zeropoint - NANOJANSKY))


def brightness(transients, tai):
    """Return each transient's part of its peak flux at a time."""
    rise, decay = np.maximum(transients["rise"], 1e-6), np.maximum(transients["decay"], 1e-6)
    age = tai - transients["start"]
    shape = np.where(age < rise, np.clip(age / rise, 0, 1) ** 2, np.exp(-np.maximum(age - rise, 0) / decay))
    return np.where(np.isnan(transients["start"]), 1.0, shape)


def bodies(scene: Scene, visit: Visit, detector=0, *, snap=0, quiet=False) -> np.ndarray:
    """Return everything that shines on a detector in one Snap, as rows of BODY.

    Parameters
    ----------
    quiet : bool
        Leave out what comes and goes: transients, asteroids, and the variables' variation.
    """
    p, wcs = scene.parameters, true_wcs(scene.parameters, visit, detector)
    time = visit.midpoint_tai + (snap - 0.5) * (SNAP_SECONDS + READOUT) / 86400
    stars, galaxies, transients = scene.stars, scene.galaxies, scene.transients
    wave = 0 if quiet else stars["amplitude"] * np.sin(2 * np.pi * (time / stars["period"] + stars["phase"]))
    parts = [
        (STAR_KIND, stars["ra"], stars["dec"], electrons(visit, stars["flux"] * (1 + wave), stars["colour"])),
        (GALAXY_KIND, galaxies["ra"], galaxies["dec"], electrons(visit, galaxies["flux"], galaxies["colour"])),
    ]
    if not quiet:
        flux = transients["flux"] * brightness(transients, time)
        parts.append((TRANSIENT_KIND, transients["ra"], transients["dec"],
                      electrons(visit, flux, transients["colour"])))  # fmt: skip
        place = position(orbits.directions(scene.asteroids, p.epoch, time)[0]) if len(scene.asteroids) else ([], [])
        parts.append((ASTEROID_KIND, *place, electrons(visit, scene.asteroid_flux, 0.5)))
    rows = [_rows(scene, visit, wcs, *part) for part in parts]
    rows = np.concatenate(rows)
    middle = p.size / 2 + visit.pad
    inside = np.maximum(np.abs(rows["x"] - middle), np.abs(rows["y"] - middle)) < middle + p.margin
    rows = rows[inside & (rows["flux"] > 0)]
    rows["x"] += snap * visit.snap_shift
    rows["y"] += snap * visit.snap_shift
    return rows


def _rows(scene, visit, wcs, kind, ra, dec, flux):
    p = scene.parameters
    rows = np.zeros(len(ra), BODY)
    if not len(ra):
        return rows
    rows["kind"], rows["index"], rows["flux"] = kind, np.arange(len(ra)), flux
    x, y = wcs.pixel(ra, dec)
    shift = visit.random(1, kind).normal(0, RANDOM_MAS / 1000 / p.scale, (2, len(ra)))
    wobble = registration_error(p, visit, x, y)
    rows["x"], rows["y"] = x + shift[0] + wobble[0], y + shift[1] + wobble[1]
    return rows


def registration_error(p, visit: Visit, x, y):
    """Return what a Visit's positions are off its WCS, in pixels: smooth, `visit.smooth_mas` rms over a field."""
    if not visit.smooth_mas:
        return np.zeros((2, *np.shape(x)))
    random = visit.random(2)
    waves = random.uniform(0.4, 1.5, (2, 4)) * np.pi / p.size  # half a wave to one and a half over a detector
    angle, phase = random.uniform(0, 2 * np.pi, (2, 2, 4))
    total = [
        np.sum(np.sin(np.multiply.outer(x, w * np.cos(a)) + np.multiply.outer(y, w * np.sin(a)) + f), axis=-1)
        for w, a, f in zip(waves, angle, phase, strict=True)
    ]
    # Four sines of random phase have a mean square of 2; two axes share the amplitude.
    return np.array(total) / 2 * visit.smooth_mas / 1000 / p.scale


def mean_seeing(visit: Visit, p, detector=0) -> Seeing:
    """Return the PSF of the Snaps' sum, to a good approximation: they differ by a percent."""
    fwhm, e1, e2 = (float(np.mean([getattr(s, name) for s in visit.snaps])) for name in ("fwhm", "e1", "e2"))
    return visit.seeing(p, detector).with_(fwhm=fwhm, e1=e1, e2=e2)
