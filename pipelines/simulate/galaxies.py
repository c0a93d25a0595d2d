"""A fast renderer of galaxies: exact products in Fourier space on small stamps.

Profiles are those of Spergel (2010), (1 + k² r²)^−(1 + ν) in Fourier space: an exponential disc for ν = 1/2,
nearly de Vaucouleurs' for ν = −0.6. `oracle` draws the same with GalSim.
"""

import numba
import numpy as np
from scipy import fft, optimize, special

from pipelines.simulate.seeing import AUREOLE, AUREOLE_WIDTH, core_width

DISC, BULGE = 0.5, -0.6
"""Values of ν."""
SIZES = (32, 64, 128, 256)  # pixels
BATCH = 4_000_000  # pixels of stamps at a time


def half_light(nu):
    """Return the half-light radius over the scale radius r."""

    def inside(u):
        return 0.5 - 2 * (1 + nu) * (u / 2) ** (1 + nu) * special.kv(1 + nu, u) / special.gamma(nu + 2)

    return optimize.brentq(inside, 1e-3, 10)


HALF_LIGHT = {nu: half_light(nu) for nu in (DISC, BULGE)}


@numba.njit(cache=True)
def _spectra(places, flux, profile, psf, out):
    """Fill Fourier transforms of stamps; profile: scale radius, e1, e2, ν; psf: α of the core, e1, e2."""
    size = out.shape[1]
    wave_x, wave_y = np.empty(out.shape[2], np.complex128), np.empty(size, np.complex128)
    step = 2 * np.pi / size
    for g in range(len(flux)):
        radius, e1, e2, nu = profile[g]
        alpha, p1, p2 = psf[g]
        shape_root, psf_root = np.sqrt(1 - e1 * e1 - e2 * e2), np.sqrt(1 - p1 * p1 - p2 * p2)
        for j in range(size):
            k = step * (j if j < size // 2 else j - size)
            wave_y[j] = flux[g] * np.exp(-1j * k * places[g, 1]) * (np.sin(k / 2) / (k / 2) if k else 1.0)
        for i in range(out.shape[2]):
            k = step * i
            wave_x[i] = np.exp(-1j * k * places[g, 0]) * (np.sin(k / 2) / (k / 2) if k else 1.0)
        for j in range(size):
            v = step * (j if j < size // 2 else j - size)
            for i in range(out.shape[2]):
                u = step * i
                shape2 = radius * radius * ((1 + e1) * u * u + 2 * e2 * u * v + (1 - e1) * v * v) / shape_root
                a = alpha * np.sqrt(((1 + p1) * u * u + 2 * p2 * u * v + (1 - p1) * v * v) / psf_root)
                core = (1 + a + a * a / 3) * np.exp(-a)
                star = (1 - AUREOLE) * core + AUREOLE * np.exp(-AUREOLE_WIDTH * np.sqrt(u * u + v * v))
                out[g, j, i] = wave_x[i] * wave_y[j] * star * (1 + shape2) ** (-1 - nu)


@numba.njit(cache=True)
def _add_stamps(image, stamps, columns, rows):
    size = stamps.shape[1]
    for g in range(len(stamps)):
        for j in range(max(0, -rows[g]), min(size, image.shape[0] - rows[g])):
            for i in range(max(0, -columns[g]), min(size, image.shape[1] - columns[g])):
                image[rows[g] + j, columns[g] + i] += stamps[g, j, i]


def add_galaxies(image, seeing, x, y, flux, profile):
    """Add galaxies to a float image.

    Parameters
    ----------
    image : ndarray
    seeing : Seeing
    x, y, flux : ndarray, shape (n,)
        Pixels and electrons.
    profile : ndarray, shape (n, 4)
        Half-light radius [pixels] of the major and minor axes' geometric mean, e1, e2, ν.
    """
    shape = seeing.shape(x, y)
    psf = np.column_stack([core_width(shape[:, 0]), shape[:, 1:]])
    profile = profile.copy()
    profile[:, 0] /= np.array([HALF_LIGHT[nu] for nu in profile[:, 3]])
    reach = 2 * shape[:, 0] + 0.5 * np.log10(np.maximum(flux, 10)) * (shape[:, 0] + 4 * profile[:, 0])
    bins = np.minimum(np.searchsorted(SIZES, 2 * reach), len(SIZES) - 1)
    for which, size in enumerate(SIZES):
        members = np.flatnonzero(bins == which)
        for some in np.array_split(members, max(1, members.size * size**2 // BATCH)):
            _add_some(image, np.stack([x[some], y[some]], axis=1), flux[some], profile[some], (psf[some], size))


def _add_some(image, places, flux, profile, psf_and_size):
    psf, size = psf_and_size
    first = np.floor(places).astype(int) - size // 2
    spectra = np.empty((len(flux), size, size // 2 + 1), np.complex64)
    _spectra(places - first, flux, profile, psf, spectra)
    _add_stamps(image, fft.irfft2(spectra, (size, size)), *first.T)
