"""What the best possible measurement reaches: errors of flux and position by Fisher's information."""

import numpy as np

from pipelines.simulate.seeing import transform

WAVES = np.linspace(0, np.pi, 257)[1:]  # rad/pixel


def information(fwhm, variance, template_fwhm=None, template_variance=0.0):
    """Return the information on a point source's flux, and on its position per flux², of one image or a difference.

    A difference from a template carries |Ps|² |Pt|² / (σs² |Pt|² + σt² |Ps|²) at each wave number, whatever
    way it is taken (Zackay, Ofek & Gal-Yam 2016). The noise is that of the source's place.

    Parameters
    ----------
    fwhm, template_fwhm : float or ndarray, shape (n,)
        Pixels; no template: the image by itself.
    variance, template_variance : float or ndarray
        Of one pixel, in the science image's unit squared.

    Returns
    -------
    flux, position : ndarray
        1 / σ_flux² and F² / σ_x² [1/pixel²].
    """
    fwhm, variance, template_variance = (np.asarray(v, float)[..., None] for v in (fwhm, variance, template_variance))
    science = transform(WAVES, fwhm) ** 2
    if template_fwhm is None:
        power = science / variance
    else:
        other = transform(WAVES, np.asarray(template_fwhm, float)[..., None]) ** 2
        power = science * other / np.maximum(variance * other + template_variance * science, 1e-300)
    step = WAVES[1] - WAVES[0]
    return (power * WAVES).sum(-1) * step / (2 * np.pi), (power * WAVES**3).sum(-1) * step / (4 * np.pi)


def errors(seeing, x, y, flux, variance, half=20):
    """Return the least errors of point sources whose own photons are noise too.

    From Fisher's matrix of flux and place, pixel by pixel: one has the variance V + F P. Where F P ≫ V the flux's is √F
    at least, whatever the PSF.

    Parameters
    ----------
    seeing : Seeing
    x, y, flux : ndarray, shape (n,)
        Pixels and electrons.
    variance : float
        Of a pixel without the source.
    half : int
        Half the side of the stamps that are summed over.

    Returns
    -------
    flux, x, y : ndarray, shape (n,)
        One sigma each.
    """
    size, step = 2 * half + 1, 0.05
    out = np.empty((len(x), 3))
    for n, (column, row) in enumerate(zip(np.rint(x), np.rint(y), strict=True)):
        light, right, left, up, down = (
            seeing.stamp(column + dx, row + dy, size).ravel()
            for dx, dy in ((0, 0), (step, 0), (-step, 0), (0, step), (0, -step))
        )
        slopes = np.stack([light, flux[n] * (right - left) / (2 * step), flux[n] * (up - down) / (2 * step)])
        out[n] = np.sqrt(np.diag(np.linalg.inv(slopes / (variance + flux[n] * light) @ slopes.T)))
    return out.T


def local_variance(variance, seeing, x, y, half=7):
    """Return the variance that a point source sees: the mean over its PSF squared; NaN outside the image."""
    out = np.full(len(x), np.nan)
    shape = variance.shape
    for n, (column, row) in enumerate(zip(np.rint(x).astype(int), np.rint(y).astype(int), strict=True)):
        if half <= column < shape[1] - half and half <= row < shape[0] - half:
            weight = seeing.stamp(x[n], y[n], 2 * half + 1) ** 2
            cut = variance[row - half : row + half + 1, column - half : column + half + 1]
            out[n] = np.sum(weight * cut) / weight.sum()
    return out
