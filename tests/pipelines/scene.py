"""Small synthetic scenes for tests of the steps: stars, galaxies and transients with a varying Moffat PSF."""

from dataclasses import dataclass

import numba
import numpy as np

from pipelines.image import Exposure, MaskedImage, Observation, PhotoCalib, Psf, VaryingImage, Wcs

SCALE = 0.2  # arcsec per pixel
SKY, READ_NOISE = 800.0, 9.0  # electrons
NODES = np.array([-np.sqrt(0.6), 0.0, np.sqrt(0.6)]) / 2
WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18


@numba.njit(cache=True)
def _moffat(image, x, y, flux, shape, radius):
    """Add pixel-integrated elliptical Moffat profiles (3 × 3 Gauss points); shape columns: fwhm, e1, e2, beta."""
    for star in range(len(x)):
        fwhm, e1, e2, beta = shape[star]
        alpha2 = (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)
        root = np.sqrt(1 - e1 * e1 - e2 * e2)
        norm = flux[star] * (beta - 1) / (np.pi * alpha2)
        half = radius[star]
        column, row = int(np.rint(x[star])), int(np.rint(y[star]))
        for j in range(max(0, row - half), min(image.shape[0], row + half + 1)):
            for i in range(max(0, column - half), min(image.shape[1], column + half + 1)):
                total = 0.0
                for b in range(3):
                    v = j - y[star] + NODES[b]
                    for a in range(3):
                        u = i - x[star] + NODES[a]
                        r2 = ((1 - e1) * u * u - 2 * e2 * u * v + (1 + e1) * v * v) / root
                        total += WEIGHTS[a] * WEIGHTS[b] * (1 + r2 / alpha2) ** -beta
                image[j, i] += norm * total


@dataclass(frozen=True)
class Seeing:
    """A PSF that varies over the field: FWHM in pixels, ellipticity, and how much both change."""

    fwhm: float = 4.0
    e1: float = 0.02
    e2: float = -0.03
    change: float = 0.05
    beta: float = 3.5

    def shape(self, x, y, size):
        """Return columns fwhm, e1, e2, beta at positions."""
        u, v = 2 * np.asarray(x) / size[1] - 1, 2 * np.asarray(y) / size[0] - 1
        fwhm = self.fwhm * (1 + self.change / 2 * (0.6 * u - 0.4 * v + 0.5 * u * v))
        e1 = self.e1 + self.change / 3 * (u * u - 0.5 * v)
        e2 = self.e2 + self.change / 3 * (u * v - 0.3 * u)
        return np.stack(np.broadcast_arrays(fwhm, e1, e2, self.beta), axis=-1)

    def render(self, image, x, y, flux, noise=30.0):
        """Add point sources to `image`, out to where they fall below 5 % of the noise."""
        shape = self.shape(x, y, image.shape)
        reach = self.fwhm * np.maximum(np.abs(flux) / (0.05 * noise * self.fwhm**2), 1) ** (1 / (2 * self.beta))
        radius = np.clip(np.ceil(reach), 10, 150).astype(int)
        _moffat(image, np.asarray(x, float), np.asarray(y, float), np.asarray(flux, float), shape, radius)

    def psf(self, size, half=15, degree=2):
        """Return the true PSF as a model, two samples a pixel."""

        def at(x, y):
            # A doubled grid: pixel (2 wide) integrals of a doubled profile.
            fine = np.zeros((4 * half + 1, 4 * half + 1))
            fwhm, e1, e2, beta = self.shape(x, y, size)
            for dx, dy in ((0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5)):
                stamp = np.zeros((2 * half + 3, 2 * half + 3))
                place = np.array([half + 1 - dx]), np.array([half + 1 - dy])
                _moffat(stamp, *place, np.ones(1), np.array([[fwhm, e1, e2, beta]]), np.array([half + 2]))
                part = stamp[1:-1, 1:-1][: 2 * half + 1 - int(2 * dy), : 2 * half + 1 - int(2 * dx)]
                fine[int(2 * dy) :: 2, int(2 * dx) :: 2] = part
            return 4 * fine / fine.sum()

        return Psf(VaryingImage.interpolate(at, size, degree), 2)


def luminosity(rng, n, faintest=500.0, slope=0.85, brightest=2e7):
    """Draw fluxes in electrons with N(> F) proportional to F^−slope."""
    low, high = faintest**-slope, brightest**-slope
    return (low + rng.random(n) * (high - low)) ** (-1 / slope)


def wcs(size, dx=0.0, dy=0.0, rotation=0.0):
    """Return a tangent WCS at ra 150, dec 2, shifted by pixels and turned by radians."""
    turn = np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])
    return Wcs.tangent(150, 2, (size[1] - 1) / 2 + dx, (size[0] - 1) / 2 + dy, np.diag([-SCALE, SCALE]) @ turn / 3600)


def observe(truth, seeing, sky_wcs, rng, size, *, depth=1.0, full_well=1e5):
    """Return a sky-subtracted exposure of point sources (ra, dec, flux) in electrons, with noise and saturation.

    `depth` exposures are averaged: the noise falls by its root.
    """
    sky, read_noise, image = SKY, READ_NOISE, np.zeros(size)
    x, y = sky_wcs.pixel(truth["ra"], truth["dec"])
    near = (x > -60) & (y > -60) & (x < size[1] + 60) & (y < size[0] + 60)
    seeing.render(image, x[near], y[near], truth["flux"][near])
    expected = image + sky
    data = rng.normal(expected, np.sqrt((expected + read_noise**2) / depth)) - sky
    saturated = expected > full_well
    variance = (np.maximum(data, 0) + sky + read_noise**2) / depth
    pixels = MaskedImage(np.minimum(data, full_well).astype(np.float32), np.zeros(size, np.int32),
                         variance.astype(np.float32)).with_flag(saturated, "SAT", radius=1)  # fmt: skip
    observation = Observation("simulated", 0, 0, "calibrated", "r", 60000.0, 30.0)
    return Exposure(pixels, observation, wcs=sky_wcs, photo_calib=PhotoCalib.from_zeropoint(30.0))


TRUTH = np.dtype([("ra", "f8"), ("dec", "f8"), ("x", "f8"), ("y", "f8"), ("flux", "f8")])


def stars(rng, size, n, **options):
    """Return randomly placed stars on a detector of this size."""
    rows = np.zeros(n, TRUTH)
    rows["x"], rows["y"] = rng.uniform(-20, size[1] + 20, n), rng.uniform(-20, size[0] + 20, n)
    rows["flux"] = luminosity(rng, n, **options)
    rows["ra"], rows["dec"] = wcs(size).sky(rows["x"], rows["y"])
    return rows
