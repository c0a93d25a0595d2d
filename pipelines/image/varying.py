"""A small image, a kernel or a PSF, that varies over a detector as a polynomial of position."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import fft

BLOCK = 512  # pixels of a convolution's block: three times as fast as the whole of a 4k detector at once


def polynomial_terms(degree):
    """Return the exponents (i, j) of x^i y^j for all i + j ≤ degree, the constant first."""
    return [(total - j, j) for total in range(degree + 1) for j in range(total + 1)]


def polynomial(x, y, shape, degree):
    """Evaluate the monomials at pixel positions, scaled to −1 … 1 over a detector.

    Parameters
    ----------
    x, y : array_like
        Pixel coordinates; the centre of the first pixel is (0, 0).
    shape : tuple of int
        Rows and columns of the detector.

    Returns
    -------
    ndarray, shape (n_terms, ...)
    """
    u, v = scaled(x, shape[1]), scaled(y, shape[0])
    return np.stack([u**i * v**j for i, j in polynomial_terms(degree)])


def surface(coefficients, shape):
    """Evaluate a polynomial with these coefficients on every pixel of a detector, float32."""
    degree = int(np.sqrt(8 * len(coefficients) + 1) - 3) // 2
    rows, columns = (scaled(np.arange(n), n).astype(np.float32) for n in shape)
    total = np.zeros(shape, np.float32)
    for (i, j), value in zip(polynomial_terms(degree), coefficients, strict=True):
        total += np.float32(value) * (rows**j)[:, None] * columns**i
    return total


def scaled(x, size):
    """Map pixel coordinates 0 … size−1 to −1 … 1."""
    return (2 * np.asarray(x, float) - (size - 1)) / max(size - 1, 1)


@dataclass(frozen=True, eq=False)
class VaryingImage:
    """A kernel or PSF image whose every pixel is a polynomial of the position on the detector.

    Parameters
    ----------
    planes : ndarray, shape (n_terms, m, m)
        Coefficient images of the monomials of `polynomial`; m is odd.
    shape : tuple of int
        Rows and columns of the detector.
    """

    planes: np.ndarray
    shape: tuple

    @classmethod
    def interpolate(cls, function, shape, degree, nodes=5):
        """Fit the polynomial to `function(x, y) -> image` at nodes × nodes points of the detector."""
        y, x = np.meshgrid(*(np.linspace(0, size - 1, nodes) for size in shape), indexing="ij")
        images = np.stack([function(*point) for point in zip(x.ravel(), y.ravel(), strict=True)])
        terms = polynomial(x.ravel(), y.ravel(), shape, degree)
        planes = np.linalg.lstsq(terms.T, images.reshape(len(images), -1), rcond=None)[0]
        return cls(planes.reshape(-1, *images.shape[1:]), shape)

    def cut(self, box):
        """Return what it is on the pixels of a box (x_lo, x_hi, y_lo, y_hi), counted from the box's own corner."""
        x_lo, x_hi, y_lo, y_hi = box
        return self.interpolate(
            lambda x, y: self.at(x + x_lo, y + y_lo), (y_hi - y_lo, x_hi - x_lo), self.degree, self.degree + 2
        )

    @property
    def degree(self):
        """Degree of the polynomial."""
        return int(np.sqrt(8 * len(self.planes) + 1) - 3) // 2

    def at(self, x, y):
        """Return the image at one position, shape (m, m)."""
        return np.tensordot(polynomial(x, y, self.shape, self.degree), self.planes, axes=1)

    def convolve(self, image):
        """Convolve `image` with the kernel of each pixel's own position.

        The result at p is Σ_u K(u; p) image(p − u), exact for every pixel: one Fourier convolution for each
        term, by blocks that fit the processor's cache. Pixels outside the image count as zero.
        """
        m, half = self.planes.shape[1], self.planes.shape[1] // 2
        size = fft.next_fast_len(min(BLOCK, max(image.shape)) + m - 1, real=True)
        step = size - m + 1
        spectra = fft.rfft2(self.planes.astype(np.float32), (size, size))
        padded = np.pad(np.asarray(image, np.float32), (half, half + step))
        rows, columns = (scaled(np.arange(n), n).astype(np.float32) for n in image.shape)
        total = np.zeros(image.shape, np.float32)
        for y, x in product(range(0, image.shape[0], step), range(0, image.shape[1], step)):
            here = np.s_[y : y + step], np.s_[x : x + step]
            out, v, u = total[here], rows[here[0], None], columns[here[1]]
            spectrum = fft.rfft2(padded[y : y + size, x : x + size])
            parts = fft.irfft2(spectra * spectrum, (size, size), overwrite_x=True)[:, m - 1 :, m - 1 :]
            for (i, j), part in zip(polynomial_terms(self.degree), parts, strict=True):
                out += part[: out.shape[0], : out.shape[1]] * (v**j * u**i)
        return total
