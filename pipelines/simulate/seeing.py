"""The point spread function of simulated exposures, and a fast renderer of stars.

A sheared Moffat profile (β = 3.5) whose width and ellipticity vary over the detector, and a round aureole
(β = 1.5, falling as r⁻³) of fixed width for the wings of bright stars. Both have simple Fourier transforms:
Moffat profiles with β = n + 1/2 are spherical Bessel functions there. `oracle` draws the same with GalSim.
"""

from dataclasses import dataclass, replace

import numba
import numpy as np

AUREOLE = 0.01  # of a star's light
AUREOLE_WIDTH = 8.0  # pixels, the α of its Moffat profile
FAINTEST = 0.02  # electrons per pixel, where a star's image ends
NODES = np.array([-np.sqrt(0.6), 0.0, np.sqrt(0.6)]) / 2
WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18


def core_width(fwhm):
    """Return α of the core's Moffat profile."""
    return fwhm / 2 / np.sqrt(2 ** (1 / 3.5) - 1)


@numba.njit(cache=True, inline="always")
def _density(u, v, alpha2, e1, e2):
    """Light per square pixel of a star of flux 1 at (u, v) from its centre."""
    root = np.sqrt(1 - e1 * e1 - e2 * e2)
    q = 1 + ((1 - e1) * u * u - 2 * e2 * u * v + (1 + e1) * v * v) / (root * alpha2)
    core = 2.5 / (np.pi * alpha2) / (q * q * q * np.sqrt(q))
    s = AUREOLE_WIDTH * AUREOLE_WIDTH + u * u + v * v
    return (1 - AUREOLE) * core + AUREOLE * AUREOLE_WIDTH / (2 * np.pi * s * np.sqrt(s))


@numba.njit(cache=True)
def _add_points(image, x, y, flux, shape):
    """Add pixel-integrated stars; shape columns: fwhm, e1, e2."""
    for star in range(len(x)):
        fwhm, e1, e2 = shape[star]
        alpha2 = (fwhm / 2) ** 2 / (2 ** (1 / 3.5) - 1)
        bright = abs(flux[star]) / FAINTEST
        core = np.sqrt(alpha2 * max((0.8 * bright / alpha2) ** (1 / 3.5) - 1, 4.0))
        wing = (bright * AUREOLE * AUREOLE_WIDTH / (2 * np.pi)) ** (1 / 3)
        reach = max(core, wing, 5.0)
        inner2 = (2.5 * fwhm) ** 2
        for j in range(max(0, int(y[star] - reach)), min(image.shape[0], int(y[star] + reach) + 2)):
            dy = j - y[star]
            for i in range(max(0, int(x[star] - reach)), min(image.shape[1], int(x[star] + reach) + 2)):
                dx = i - x[star]
                r2 = dx * dx + dy * dy
                if r2 > reach * reach:
                    continue
                if r2 > inner2:
                    image[j, i] += flux[star] * _density(dx, dy, alpha2, e1, e2)
                    continue
                total = 0.0
                for b in range(3):
                    for a in range(3):
                        total += WEIGHTS[a] * WEIGHTS[b] * _density(dx + NODES[a], dy + NODES[b], alpha2, e1, e2)
                image[j, i] += flux[star] * total


@dataclass(frozen=True)
class Seeing:
    """A PSF that varies over a field.

    Parameters
    ----------
    fwhm : float
        Of the core, in pixels, in the mean of the field.
    e1, e2 : float
        Mean ellipticity (a² − b²) / (a² + b²) along the columns and the diagonal.
    change : tuple of tuple of float
        For FWHM (relative), e1 and e2: coefficients of x, y, x² − 1/3, xy, y² − 1/3, with x, y from −1 to 1.
    size : tuple of int
        Rows and columns of the field, in pixels.
    origin : tuple of float
        Column and row of the field at which the image's first pixel lies.
    """

    fwhm: float
    e1: float
    e2: float
    change: tuple
    size: tuple
    origin: tuple = (0.0, 0.0)

    def shape(self, x, y):
        """Return columns fwhm, e1, e2 at pixel positions, shape (n, 3)."""
        u = 2 * (np.asarray(x, float) + self.origin[0]) / self.size[1] - 1
        v = 2 * (np.asarray(y, float) + self.origin[1]) / self.size[0] - 1
        terms = np.stack([u, v, u * u - 1 / 3, u * v, v * v - 1 / 3], axis=-1)
        varying = terms @ np.array(self.change).T
        return np.stack(
            [self.fwhm * (1 + varying[..., 0]), self.e1 + varying[..., 1], self.e2 + varying[..., 2]], axis=-1
        )

    def add_stars(self, image, x, y, flux):
        """Add point sources (positions in pixels, fluxes in electrons) to a float image."""
        x, y, flux = (np.ascontiguousarray(np.atleast_1d(v), float) for v in (x, y, flux))
        _add_points(image, x, y, flux, self.shape(x, y))

    def stamp(self, x, y, size):
        """Return the true PSF of a star at (x, y) on the pixels round it, shape (size, size), `size` odd."""
        half = size // 2
        image = np.zeros((size, size))
        place = np.array([half + x - np.rint(x)]), np.array([half + y - np.rint(y)])
        _add_points(image, *place, np.array([1e7]), self.shape([x], [y]))
        return image / 1e7

    def with_(self, **changes):
        """Return a copy with the named fields replaced."""
        return replace(self, **changes)


def draw_seeing(fwhm, size, random, *, change=0.05, ellipticity=0.03):
    """Return a PSF of this FWHM [pixels] that varies over a field of this size by `change` from end to end.

    Parameters
    ----------
    fwhm : float
    size : tuple of int
    random : numpy.random.Generator
    change : float
        Full range of the FWHM over the field, relative.
    ellipticity : float
        Typical size of the mean ellipticity and of its variation.
    """
    grid = np.linspace(-1, 1, 21)
    v, u = np.meshgrid(grid, grid, indexing="ij")
    terms = np.stack([u, v, u * u - 1 / 3, u * v, v * v - 1 / 3], axis=-1)
    width = random.normal(size=5) * [1, 1, 0.6, 0.6, 0.6]
    width *= change / np.ptp(terms @ width)
    shear = ellipticity * random.normal(size=(2, 5)) * [0.5, 0.5, 0.7, 0.5, 0.7]
    e1, e2 = ellipticity * random.normal(size=2) * 0.7
    return Seeing(float(fwhm), float(e1), float(e2), tuple(map(tuple, [width, *shear])), tuple(size))


def transform(k, fwhm):
    """Return the Fourier transform of a round star's image, pixel included, at wave numbers k [rad/pixel]."""
    a, b = core_width(fwhm) * k, AUREOLE_WIDTH * k
    core = (1 + a + a * a / 3) * np.exp(-a)
    return ((1 - AUREOLE) * core + AUREOLE * np.exp(-b)) * np.exp(-(k**2) / 24)
