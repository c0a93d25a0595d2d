"""Make the noise of a difference image white again (Reiss & Lupton 2016, DMTN-021; Kaiser 2001)."""

import numpy as np
from scipy import fft

from pipelines.image import VaryingImage

FLOOR = 0.02  # of the mean noise power: interpolation leaves less at the highest frequencies, not to be amplified


def whitening_kernel(kernel, left, convolved, correlations=(None, None)):
    """Return the kernel that whitens left − kernel ⊗ convolved, of the size of `kernel`.

    φ(k)² = (σ_l² + σ_c²) / (σ_l² n_l(k) + σ_c² n_c(k) |K(k)|²): blank sky keeps the variance σ_l² + σ_c².

    Parameters
    ----------
    kernel : ndarray, shape (m, m)
    left, convolved : float
        Variances σ² of a pixel's noise in the two images.
    correlations : pair of ndarray, optional
        Autocorrelations of their noise, whose spectra are n(k); None is white noise.
    """
    size = kernel.shape[0]
    shape = (2 * size + 1, 2 * size + 1)
    powers = [1.0 if c is None else np.maximum(_spectrum(c, shape).real, 0) for c in correlations]
    noise = left * powers[0] + convolved * powers[1] * np.abs(_spectrum(kernel, shape)) ** 2
    total = left + convolved
    phi = fft.fftshift(fft.ifft2(np.sqrt(total / np.maximum(noise, FLOOR * total))).real)
    half, middle = size // 2, size
    return phi[middle - half : middle + half + 1, middle - half : middle + half + 1]


def _spectrum(image, shape):
    """Fourier transform of a centred image."""
    padded = np.zeros(shape)
    padded[: image.shape[0], : image.shape[1]] = image
    return fft.fft2(np.roll(padded, [-(n // 2) for n in image.shape], axis=(0, 1)))


def decorrelate(difference, kernel, left, convolved, degree=2):
    """Whiten a difference image and change its PSF and variance accordingly.

    Parameters
    ----------
    difference : Exposure
        Of `subtract`, with its PSF.
    kernel : VaryingImage
        The matching kernel.
    left, convolved : Exposure
        The exposure that was left as it was, and the one that was convolved.
    degree : int
        Of the variation of the whitening kernel over the detector.
    """
    noise = [np.median(e.pixels.variance[::8, ::8][~e.pixels.unusable[::8, ::8]]) for e in (left, convolved)]
    correlations = left.noise_correlation, convolved.noise_correlation
    phi = VaryingImage.interpolate(
        lambda x, y: whitening_kernel(kernel.at(x, y), *noise, correlations), difference.shape, degree
    )
    pixels = difference.pixels
    image = phi.convolve(np.where(pixels.unusable, 0, pixels.image))
    square = phi.at(difference.shape[1] / 2, difference.shape[0] / 2)[None] ** 2
    typical = np.float32(np.median(pixels.variance[::8, ::8][~pixels.unusable[::8, ::8]]))
    # What fills a saturated core may be 10⁹ times the sky's: its rounding errors would be all that a transform keeps.
    variance = VaryingImage(square, phi.shape).convolve(np.where(pixels.unusable, typical, pixels.variance))
    variance = np.maximum(variance, 0.2 * np.median(variance[::8, ::8]))
    middle = kernel.at(difference.shape[1] / 2, difference.shape[0] / 2)
    after = np.median(variance[::8, ::8][~pixels.unusable[::8, ::8]])
    scale = typical / (noise[0] + noise[1] * np.sum(middle**2))  # of the difference: see `subtract`
    variance *= np.float32(scale * sum(noise) / after)
    changed = difference.with_image(image, "decorrelate", variance=variance)
    return changed.with_(psf=difference.psf.convolved(phi), noise_correlation=None)
