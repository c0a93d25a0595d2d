"""Make the noise of a difference image white again (Reiss & Lupton 2016, DMTN-021; Kaiser 2001)."""

import numpy as np
from scipy import fft

from pipelines.image import Psf, VaryingImage


def whitening_kernel(kernel, variance_target, variance_reference):
    """Return the kernel that whitens target − kernel ⊗ reference, centred, same size as a padded `kernel`.

    φ(k) = sqrt((σ_t² + σ_r²) / (σ_t² + σ_r² |K(k)|²)): it leaves the variance of blank sky at σ_t² + σ_r².
    """
    size = kernel.shape[0]
    spectrum = fft.fft2(kernel, (2 * size + 1, 2 * size + 1))
    noise = variance_target + variance_reference * np.abs(spectrum) ** 2
    phi = fft.fftshift(fft.ifft2(np.sqrt((variance_target + variance_reference) / noise)).real)
    half, middle = size // 2, size
    return phi[middle - half : middle + half + 1, middle - half : middle + half + 1]


def decorrelate(difference, kernel, variance_target, variance_reference, degree=1):
    """Whiten a difference image and change its PSF and variance accordingly.

    Parameters
    ----------
    difference : Exposure
        With the PSF of the exposure that was not convolved.
    kernel : VaryingImage
        The matching kernel.
    variance_target, variance_reference : float
        Sky variance per pixel of the exposure that was left and of the one that was convolved.
    degree : int
        Of the variation of the whitening kernel over the detector.
    """
    phi = VaryingImage.interpolate(
        lambda x, y: whitening_kernel(kernel.at(x, y), variance_target, variance_reference),
        difference.shape,
        degree,
    )
    image = phi.convolve(difference.pixels.image)
    square = phi.at(difference.shape[1] / 2, difference.shape[0] / 2)[None] ** 2
    variance = VaryingImage(square, phi.shape).convolve(difference.pixels.variance)
    floor = np.float32(variance_target + variance_reference)
    psf = _convolved(difference.psf, phi, degree)
    variance *= floor / np.median(variance[::16, ::16])
    return difference.with_image(image, "decorrelate", variance=variance).with_(psf=psf)


def _convolved(psf, phi, degree):
    """Return psf ⊗ phi, on the psf's own grid."""
    step = psf.oversampling
    degree = max(degree, psf.model.degree)

    def at(x, y):
        fine = np.zeros([step * (n - 1) + 1 for n in phi.planes.shape[1:]])
        fine[::step, ::step] = phi.at(x, y)
        model = psf.model.at(x, y)
        size = [fft.next_fast_len(a + b - 1) for a, b in zip(model.shape, fine.shape, strict=True)]
        product = fft.irfft2(fft.rfft2(model, size) * fft.rfft2(fine, size), size)
        half = fine.shape[0] // 2
        return product[half : half + model.shape[0], half : half + model.shape[1]]

    return Psf(VaryingImage.interpolate(at, psf.model.shape, degree), step)
