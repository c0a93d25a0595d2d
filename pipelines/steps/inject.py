"""Synthetic sources added to a calibrated exposure: with its PSF, on its sky, with the noise that their light has."""

from collections.abc import Sequence
from dataclasses import replace

import galsim
import numpy as np

from pipelines.image import Exposure, bits

SHOWN = 0.1  # of the noise of a pixel, from which light that was added counts as seen
STAMP = 101  # pixels, side of the stamp of an extended profile
BACKGROUND_BOX = 2  # pixels on each side of a place over which what lies under it is averaged


def inject(
    exposure: Exposure, x: np.ndarray, y: np.ndarray, flux: np.ndarray,
    profiles: Sequence[galsim.GSObject | None], random: np.random.Generator,
) -> Exposure:
    """Add sources to an exposure.

    Parameters
    ----------
    exposure : Exposure
        In electrons, its sky subtracted, with PSF and calibration.
    x, y : ndarray, shape (n,)
        Where [pixels].
    flux : ndarray, shape (n,)
        Flux of each above the atmosphere [nJy].
    profiles : sequence of GSObject or None
        Shape of each of flux 1, in arcsec; None is a point.
    random : Generator
        Of the photons: their noise is Poisson's, and is added to the variance.

    Returns
    -------
    Exposure
        With `INJECTED` wherever what was added exceeds a tenth of the noise.
    """
    if not len(x):
        return exposure
    image, mask, variance = (
        plane.copy() for plane in (exposure.pixels.image, exposure.pixels.mask, exposure.pixels.variance)
    )
    electrons = np.asarray(flux) / exposure.photo_calib.nanojansky_per_count
    for at_x, at_y, total, profile in zip(x, y, electrons, profiles, strict=True):
        stamp = total * _drawn(exposure, at_x, at_y, profile)
        there, inside = _overlap(image.shape, at_x, at_y, stamp.shape[0])
        light = stamp[inside]
        photons = np.maximum(light, 0)
        image[there] += light + random.normal(0, 1, light.shape) * np.sqrt(photons)
        mask[there] |= np.where(light > SHOWN * np.sqrt(variance[there]), bits("INJECTED"), 0).astype(mask.dtype)
        variance[there] += photons
    pixels = replace(exposure.pixels, image=image, mask=mask, variance=variance)
    return exposure.with_(f"inject: {len(x)} synthetic sources", pixels=pixels)


def brightness_under(exposure: Exposure, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the mean brightness round places, per pixel [nJy]: what hosts leave on an exposure without sky."""
    rows, columns = exposure.shape
    reach = np.arange(-BACKGROUND_BOX, BACKGROUND_BOX + 1)
    ys = np.clip(np.rint(y).astype(int)[:, None, None] + reach[:, None], 0, rows - 1)
    xs = np.clip(np.rint(x).astype(int)[:, None, None] + reach, 0, columns - 1)
    return exposure.pixels.image[ys, xs].mean(axis=(1, 2)) * exposure.photo_calib.nanojansky_per_count


def _drawn(exposure: Exposure, x: float, y: float, profile: galsim.GSObject | None) -> np.ndarray:
    """Return the stamp of a source of flux 1, its middle at the nearest pixel."""
    psf = exposure.psf.at(x, y)
    psf = psf / psf.sum()
    if profile is None:
        return psf
    scale = float(exposure.wcs.pixel_scale(x, y))
    centred = exposure.psf.at(np.rint(x), np.rint(y))
    effective = galsim.InterpolatedImage(galsim.ImageD(centred / centred.sum()), scale=scale, flux=1)
    both = galsim.Convolve(profile, effective).shift((x - np.rint(x)) * scale, (y - np.rint(y)) * scale)
    return both.drawImage(nx=STAMP, ny=STAMP, scale=scale, method="no_pixel").array


def _overlap(shape: tuple[int, int], x: float, y: float, size: int) -> tuple[tuple, tuple]:
    """Return where a stamp falls on an image, and which part of it does, as slices."""
    there, inside = [], []
    for middle, length in zip((round(float(y)), round(float(x))), shape, strict=True):
        first = middle - size // 2
        low, high = max(first, 0), min(first + size, length)
        high = max(high, low)
        there.append(slice(low, high))
        inside.append(slice(low - first, high - first))
    return tuple(there), tuple(inside)
