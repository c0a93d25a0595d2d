"""The point spread function of one CCD: pixels that vary as a polynomial of position."""

from dataclasses import dataclass
from itertools import product

import numba
import numpy as np
from scipy.signal import fftconvolve

from pipelines.image.interpolation import taps, weights_at
from pipelines.image.varying import VaryingImage, polynomial

TAPS = taps(4.0)  # between the model's samples; `oversampling_for` keeps stars about that wide
LOBES = TAPS.shape[1] // 2
STEP = 0.05  # samples, of the weights' numerical derivative


def oversampling_for(fwhm):
    """Return how much finer than the pixels the model is to be for stars of this FWHM in pixels."""
    return 1 if fwhm >= 3.4 else 2


@numba.njit(cache=True)
def _start(m, size, oversampling, shift, weights):
    """Fill the weights along one axis; return the model's sample that the first pixel's first weight takes."""
    start = m // 2 - (size // 2 + shift) * oversampling
    first = int(np.floor(start))
    weights_at(TAPS, start - first, weights)
    return first - (LOBES - 1)


@numba.njit(cache=True)
def _within(offset, oversampling, size, m):
    """Return the range of pixels i for which the sample offset + i × oversampling exists."""
    return max(0, -(offset // oversampling)), min(size, (m - 1 - offset) // oversampling + 1)


@numba.njit(cache=True, fastmath=True)
def sample_model(model, oversampling, dx, dy, out):
    """Sample a model centred on its middle at the pixels of `out`, the star at (dx, dy) from its centre.

    |dx|, |dy| ≤ 0.5 pixel; beyond its samples the model is zero.
    """
    size, m = out.shape[0], model.shape[0]
    wx, wy = np.empty(2 * LOBES), np.empty(2 * LOBES)
    first_x = _start(m, size, oversampling, dx, wx)
    first_y = _start(m, size, oversampling, dy, wy)
    line = np.empty(m)
    for j in range(size):
        line[:] = 0.0
        out[j] = 0.0
        for k in range(2 * LOBES):
            row = first_y + j * oversampling + k
            if 0 <= row < m:
                for i in range(m):
                    line[i] += wy[k] * model[row, i]
        for k in range(2 * LOBES):
            low, high = _within(first_x + k, oversampling, size, m)
            for i in range(low, high):
                out[j, i] += wx[k] * line[first_x + k + i * oversampling]


@numba.njit(cache=True)
def _slopes(m, size, oversampling, shift, slopes):
    """Fill the derivatives of `_start`'s weights by the shift."""
    start = m // 2 - (size // 2 + shift) * oversampling
    part = start - np.floor(start)
    low, high = max(part - STEP, 0.0), min(part + STEP, 1.0)
    other = np.empty(len(slopes))
    weights_at(TAPS, high, slopes)
    weights_at(TAPS, low, other)
    slopes[:] = (other - slopes) * (oversampling / (high - low))


@numba.njit(cache=True, fastmath=True)
def sample_gradient(model, oversampling, dx, dy, out):
    """Fill out (3, s, s) with what `sample_model` gives and its derivatives by dx and dy."""
    size, m = out.shape[1], model.shape[0]
    weights = np.empty((4, 2 * LOBES))  # along x, along y, and their slopes
    first_x = _start(m, size, oversampling, dx, weights[0])
    first_y = _start(m, size, oversampling, dy, weights[1])
    _slopes(m, size, oversampling, dx, weights[2])
    _slopes(m, size, oversampling, dy, weights[3])
    line, slope = np.empty(m), np.empty(m)
    for j in range(size):
        line[:] = 0.0
        slope[:] = 0.0
        out[:, j] = 0.0
        for k in range(2 * LOBES):
            row = first_y + j * oversampling + k
            if 0 <= row < m:
                for i in range(m):
                    line[i] += weights[1, k] * model[row, i]
                    slope[i] += weights[3, k] * model[row, i]
        for k in range(2 * LOBES):
            low, high = _within(first_x + k, oversampling, size, m)
            for i in range(low, high):
                at = first_x + k + i * oversampling
                out[0, j, i] += weights[0, k] * line[at]
                out[1, j, i] += weights[2, k] * line[at]
                out[2, j, i] += weights[0, k] * slope[at]


@numba.njit(cache=True, fastmath=True)
def spread_stamp(stamp, oversampling, dx, dy, model):
    """Add to `model` the adjoint of `sample_model`: each pixel's value goes to the samples it came from."""
    size, m = stamp.shape[0], model.shape[0]
    wx, wy = np.empty(2 * LOBES), np.empty(2 * LOBES)
    first_x = _start(m, size, oversampling, dx, wx)
    first_y = _start(m, size, oversampling, dy, wy)
    line = np.empty(m)
    for j in range(size):
        line[:] = 0.0
        for k in range(2 * LOBES):
            low, high = _within(first_x + k, oversampling, size, m)
            for i in range(low, high):
                line[first_x + k + i * oversampling] += wx[k] * stamp[j, i]
        for k in range(2 * LOBES):
            row = first_y + j * oversampling + k
            if 0 <= row < m:
                for i in range(m):
                    model[row, i] += wy[k] * line[i]


@numba.njit(cache=True)
def sample_many(planes, terms, oversampling, dx, dy, size):
    """Return stamps (n, size, size) of the model at n positions with sub-pixel offsets dx, dy."""
    n = len(dx)
    stamps = np.empty((n, size, size))
    model = np.empty(planes.shape[1:])
    for star in range(n):
        model[:] = 0.0
        for term in range(planes.shape[0]):
            model += terms[term, star] * planes[term]
        sample_model(model, oversampling, dx[star], dy[star], stamps[star])
    return stamps


@numba.njit(cache=True)
def spread_many(stamps, terms, oversampling, dx, dy, m):
    """Return planes (n_terms, m, m): the adjoint of `sample_many`."""
    planes = np.zeros((terms.shape[0], m, m))
    model = np.empty((m, m))
    for star in range(len(stamps)):
        model[:] = 0.0
        spread_stamp(stamps[star], oversampling, dx[star], dy[star], model)
        for term in range(terms.shape[0]):
            planes[term] += terms[term, star] * model
    return planes


@dataclass(frozen=True, eq=False)
class Psf:
    """A pixel model of the effective PSF (Anderson & King 2000) of one CCD.

    A sample of the model is the part of a point source's flux that falls into a pixel at that offset. It
    belongs to one CCD: between CCDs the PSF is discontinuous.

    Parameters
    ----------
    model : VaryingImage
        Samples on a grid `oversampling` times finer than the pixels; the PSF's centroid is the middle.
    oversampling : int
        So that the full width at half maximum spans about 4 samples: see `oversampling_for`.
    """

    model: VaryingImage
    oversampling: int = 1

    @property
    def size(self):
        """Side of a stamp in pixels, odd."""
        return 2 * ((self.model.planes.shape[1] // 2) // self.oversampling) + 1

    def stamps(self, x, y, size=None):
        """Return the PSF of sources at (x, y) on the pixels around them.

        Parameters
        ----------
        x, y : array_like, shape (n,)
            Positions in pixels.
        size : int, optional
            Side of a stamp, odd; the model's own by default.

        Returns
        -------
        ndarray, shape (n, size, size)
            The middle pixel of stamp i is (round(x_i), round(y_i)). The whole model sums to 1. NaN at a position that
            is not finite.
        """
        x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
        known = np.isfinite(x + y)
        dx, dy = (place - np.rint(place) for place in (np.where(known, x, 0), np.where(known, y, 0)))
        terms = polynomial(x, y, self.model.shape, self.model.degree)
        stamps = sample_many(self.model.planes, terms, self.oversampling, dx, dy, size or self.size)
        stamps[~known] = np.nan
        return stamps

    def at(self, x, y, size=None):
        """Return the PSF of one source at (x, y), shape (size, size); see `stamps`."""
        return self.stamps([x], [y], size)[0]

    @classmethod
    def mean(cls, psfs, weights, places=None, shape=None):
        """Return the PSF of a weighted mean of images, where stars have the mean of their fluxes.

        Parameters
        ----------
        psfs : sequence of Psf
        weights : sequence of float
        places : sequence of (int, int), optional
            Column and row of the first pixel of each image on the mean's grid; by default all cover the whole grid.
        shape : tuple of int, optional
            Rows and columns of the grid. Where no image is, the nearest part of each counts.
        """
        step, size = max(psf.oversampling for psf in psfs), max(psf.size for psf in psfs)
        corners = np.array(places or [(0, 0)] * len(psfs))
        last = np.array([psf.model.shape[::-1] for psf in psfs]) - 1

        def at(x, y):
            own = np.array([x, y]) - corners
            nearest = np.clip(own, 0, last)
            there = np.all(own == nearest, axis=1)
            share = np.asarray(weights) * (there if there.any() else 1)
            fine = (part * psf._fine(*place, step, size) for part, psf, place in
                    zip(share / share.sum(), psfs, nearest, strict=True) if part)  # fmt: skip
            return sum(fine)

        degree = max(psf.model.degree for psf in psfs)
        return cls(VaryingImage.interpolate(at, shape or psfs[0].model.shape, degree), step)

    def _fine(self, x, y, step, size):
        """Return `step` samples a pixel of the PSF at (x, y), whatever the model has."""
        model, fine = self.model.at(x, y), np.zeros((step * (size - 1) + 1,) * 2)
        out = np.empty((size, size))
        for row, column in product(range(step), repeat=2):
            sample_model(model, self.oversampling, -column / step, -row / step, out)
            part = fine[row::step, column::step]
            part[:] = out[: len(part), : part.shape[1]]
        return fine

    def convolved(self, kernel):
        """Return the PSF of an image that was convolved with `kernel` (a VaryingImage), its sum included."""
        step = self.oversampling

        def at(x, y):
            fine = np.zeros([step * (n - 1) + 1 for n in kernel.planes.shape[1:]])
            fine[::step, ::step] = kernel.at(x, y)
            return fftconvolve(self.model.at(x, y), fine, mode="same")

        degree = max(kernel.degree, self.model.degree)
        return Psf(VaryingImage.interpolate(at, self.model.shape, degree), step)

    def kernel(self, degree=None, nodes=5):
        """Return the PSF as a VaryingImage on whole pixels, centred: the matched filter."""
        shape = self.model.shape
        return VaryingImage.interpolate(
            lambda x, y: self.at(np.rint(x), np.rint(y)),
            shape,
            self.model.degree if degree is None else degree,
            nodes,
        )

    def fwhm(self, x, y):
        """Full width at half maximum in pixels of the round Gaussian of equal noise area at (x, y)."""
        stamp = self.at(np.rint(x), np.rint(y))
        area = stamp.sum() ** 2 / (stamp**2).sum()
        return 2.3548 * np.sqrt(area / (4 * np.pi))
