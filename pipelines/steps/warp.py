"""Resample an exposure on another pixel grid."""

import numba
import numpy as np
from scipy.ndimage import map_coordinates

from pipelines.image import MaskedImage, Psf, VaryingImage, bits
from pipelines.image.interpolation import taps
from pipelines.image.masked import UNUSABLE
from pipelines.image.varying import polynomial, surface
from pipelines.steps.conditions import BadInput

GRID = 32  # pixels between the points where the projections are evaluated; between them they are bilinear


COVER = 0.1  # part of an exposure that a template must cover


class NoCover(BadInput):
    """A template that does not cover the exposure."""

    condition = "template_does_not_cover"


@numba.njit(cache=True, fastmath=True)
def _bilinear(image, fx, fy, ix, iy):
    lower = (1 - fx) * image[iy, ix] + fx * image[iy, ix + 1]
    return (1 - fy) * lower + fy * ((1 - fx) * image[iy + 1, ix] + fx * image[iy + 1, ix + 1])


@numba.njit(cache=True, fastmath=True)
def _warp(image, variance, mask, maps, table, planes, out):
    """Resample with separable weights; the maps are bilinear between their nodes."""
    lobes, steps = table.shape[1] // 2, table.shape[0] - 1
    map_x, map_y = maps
    bad, no_data = planes
    height, width = image.shape
    out_image, out_variance, out_mask = out
    for row in range(out_image.shape[0]):
        gy, fy = row // GRID, (row % GRID) / GRID
        for column in range(out_image.shape[1]):
            gx, fx = column // GRID, (column % GRID) / GRID
            a, b, c, d = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
            x = a * map_x[gy, gx] + b * map_x[gy, gx + 1] + c * map_x[gy + 1, gx] + d * map_x[gy + 1, gx + 1]
            y = a * map_y[gy, gx] + b * map_y[gy, gx + 1] + c * map_y[gy + 1, gx] + d * map_y[gy + 1, gx + 1]
            if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
                out_mask[row, column] = no_data
                continue
            ix, iy = int(np.floor(x)), int(np.floor(y))
            wx = table[int((x - ix) * steps + 0.5)]
            wy = table[int((y - iy) * steps + 0.5)]
            nearest = mask[min(int(y + 0.5), height - 1), min(int(x + 0.5), width - 1)]
            if not (lobes - 1 <= ix < width - lobes and lobes - 1 <= iy < height - lobes):
                out_mask[row, column] = nearest | no_data
                continue
            total, squares_x, squares_y, hit = np.float32(0), np.float32(0), np.float32(0), 0
            for j in range(2 * lobes):
                line = np.float32(0)
                for i in range(2 * lobes):
                    line += wx[i] * image[iy + j - lobes + 1, ix + i - lobes + 1]
                total += wy[j] * line
                squares_x += wx[j] * wx[j]
                squares_y += wy[j] * wy[j]
            noise = squares_x * squares_y * _bilinear(variance, x - ix, y - iy, ix, iy)
            for j in range(iy - 1, iy + 3):
                for i in range(ix - 1, ix + 3):
                    hit |= mask[j, i] & bad
            out_image[row, column], out_variance[row, column] = total, noise
            out_mask[row, column] = nearest | hit


def warp_pixels(pixels, map_x, map_y, shape, table):
    """Resample a MaskedImage by a map between pixel grids.

    Parameters
    ----------
    pixels : MaskedImage
    map_x, map_y : ndarray
        Source pixel of every `GRID`-th target pixel, one node beyond the last.
    shape : tuple of int
        Rows and columns of the target.
    table : ndarray
        Interpolation weights as from `taps` or `lanczos`.

    Returns
    -------
    MaskedImage
        Values are interpolated (surface brightness: multiply by the ratio of pixel areas for counts); the
        variance is that of each pixel by itself, from the variance at its place, which changes little within
        the kernel; bad pixels spread over the kernel's core; NO_DATA outside.
    """
    out = tuple(np.zeros(shape, t) for t in (np.float32, np.float32, np.int32))
    image = np.ascontiguousarray(pixels.image, np.float32)
    variance = np.ascontiguousarray(pixels.variance, np.float32)
    _warp(
        image,
        variance,
        pixels.mask,
        (map_x, map_y),
        table.astype(np.float32),
        (bits(*UNUSABLE), bits("NO_DATA")),
        out,
    )
    return MaskedImage(out[0], out[2], out[1])


def grid(shape):
    """Return x, y of the nodes of a warp's map over a target of this shape."""
    nodes = [np.arange(n // GRID + 2) * GRID for n in shape]
    y, x = np.meshgrid(*nodes, indexing="ij")
    return x.astype(float), y.astype(float)


def noise_correlation(table, map_x, map_y):
    """Return the autocorrelation that interpolation gives to white noise, over the phases that a map has."""
    steps, size = table.shape[0] - 1, table.shape[1]
    factors = []
    for phase in (map_y, map_x):
        weights = table[np.rint((phase - np.floor(phase)) * steps).astype(int).ravel()]
        power = np.mean(np.abs(np.fft.rfft(weights, 2 * size, axis=1)) ** 2, axis=0)
        correlation = np.fft.fftshift(np.fft.irfft(power, 2 * size))[1:]
        factors.append(correlation / correlation[size - 1])
    return np.outer(*factors)


def warp(exposure, wcs, shape, table=None, shift=None):
    """Resample an exposure on the pixels of another WCS; fluxes in counts are conserved.

    Parameters
    ----------
    exposure : Exposure
        With a WCS.
    wcs : Wcs
        Of the target.
    shape : tuple of int
        Rows and columns of the target.
    table : ndarray, optional
        Interpolation weights; by default `taps` for the exposure's own stars, `lanczos(4)` is another choice.
    shift : callable, optional
        Gives, for pixels (x, y) of the target, what is to be added to their places on the exposure: see
        `registration`.

    Returns
    -------
    Exposure
        Without PSF: measure it anew on the new pixels.
    """
    if table is None:
        fwhm = exposure.psf.fwhm(exposure.shape[1] / 2, exposure.shape[0] / 2) if exposure.psf else 3.0
        table = taps(max(round(fwhm, 1), 2.5), lobes=5 if fwhm < 4 else 4)
    x, y = grid(shape)
    ra, dec = wcs.sky(x, y)
    map_x, map_y = exposure.wcs.pixel(ra, dec)
    if shift is not None:
        dx, dy = shift(x, y)
        map_x, map_y = map_x + dx, map_y + dy
    pixels = warp_pixels(exposure.pixels, np.nan_to_num(map_x, nan=-1e6), np.nan_to_num(map_y, nan=-1e6), shape, table)
    correlation = noise_correlation(table, map_x[np.isfinite(map_x)], map_y[np.isfinite(map_y)])
    area = area_ratio(map_x, map_y, shape)
    pixels = pixels.with_(image=pixels.image * area, variance=pixels.variance * area**2)
    note = f"warp: {table.shape[1]} taps, area ratio {area[shape[0] // 2, shape[1] // 2]:.5f}"
    return exposure.with_(note, pixels=pixels, wcs=wcs, psf=None, valid_polygon=None, noise_correlation=correlation)


def area_ratio(map_x, map_y, shape, degree=3):
    """Return how many pixels of the source each pixel of a warp's target covers: the map's Jacobian, a polynomial.

    Distortion makes it vary by parts of a per cent over a detector, and the fluxes of stars with it.
    """
    (x_y, x_x), (y_y, y_x) = (np.gradient(axis, GRID) for axis in (map_x, map_y))
    ratio = np.abs(x_x * y_y - x_y * y_x)
    known = np.isfinite(ratio)
    terms = polynomial(*(axis[known] for axis in grid(shape)), shape, degree)
    return surface(np.linalg.lstsq(terms.T, ratio[known], rcond=None)[0], shape)


def warp_psf(exposure, wcs, shape):
    """Return the PSF of an exposure on the pixels of another WCS, turned and stretched as `warp` does its stars.

    The blurring of interpolation, below 10⁻³ for stars wider than 3 pixels, is left out.
    """
    psf = exposure.psf
    half = psf.model.planes.shape[1] // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1]

    def at(x, y):
        ra, dec = wcs.sky(x + np.array([0, 1, 0]), y + np.array([0, 0, 1]))
        there_x, there_y = exposure.wcs.pixel(ra, dec)
        along_x, along_y = (np.array([t[1] - t[0], t[2] - t[0]]) for t in (there_x, there_y))
        stamp = psf.model.at(there_x[0], there_y[0])
        places = [half + along_y[0] * u + along_y[1] * v, half + along_x[0] * u + along_x[1] * v]
        moved = map_coordinates(stamp, places, order=5, mode="constant")
        return moved * (stamp.sum() / moved.sum())

    return Psf(VaryingImage.interpolate(at, shape, psf.model.degree, nodes=4), psf.oversampling)


def check_cover(registered, exposure):
    """Return a registered template, or raise NoCover where it covers too little of the exposure."""
    cover = 1 - registered.pixels.flagged("NO_DATA")[::4, ::4].mean()
    if cover < COVER:
        ra, dec = (float(v) for v in exposure.wcs.sky(exposure.shape[1] / 2, exposure.shape[0] / 2))
        raise NoCover(
            f"the template covers {100 * cover:.0f} % of the exposure at ra {ra:.4f}, dec {dec:.4f}; "
            f"a difference needs {100 * COVER:.0f} %",
            "choose the template of this field, or make one from earlier Visits",
        )
    return registered
