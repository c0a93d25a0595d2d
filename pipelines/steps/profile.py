"""The smooth part of a PSF: a Moffat profile whose width and ellipticity vary over the detector."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss

from pipelines.image import Psf, VaryingImage
from pipelines.image.psf import sample_many
from pipelines.image.varying import polynomial

DEGREE = 2  # of width and ellipticity
VARIATION = 0.05, 0.03, 0.03  # expected change over the field: of ln FWHM, e1, e2; what the stars don't tell is 0
BETA, BETA_FACTOR = 3.0, 0.2  # of profiles of seeing and optics, and the scatter of its logarithm
STEPS = 0.01, 0.01, 0.01, 0.02  # of the numerical derivatives
FARTHEST = 0.3, 0.2, 0.2, 0.3  # one round may change a parameter by so much
CHUNK = 256  # stars whose stamps are held at once


@dataclass(frozen=True, eq=False)
class Profile:
    """A Moffat profile (Moffat 1969), convolved with the pixel.

    Parameters
    ----------
    shapes : ndarray, shape (3, n_terms)
        Coefficients of `polynomial` of ln FWHM [pixel] and of the ellipticities e1, e2 = (a² − b²) / (a² + b²) along
        the columns and the diagonal.
    beta : float
    field : tuple of int
        Rows and columns of the detector.
    half : int
        Half the side of a stamp in samples.
    oversampling : int
        Samples a pixel.
    """

    shapes: np.ndarray
    beta: float
    field: tuple
    half: int
    oversampling: int

    @classmethod
    def round(cls, fwhm, field, size, oversampling):
        """Return a round profile of one FWHM, on stamps of a side of `size` pixels or a little more."""
        shapes = np.zeros((3, (DEGREE + 1) * (DEGREE + 2) // 2))
        shapes[0, 0] = np.log(fwhm)
        return cls(shapes, BETA, field, int(np.ceil(size / 2)) * oversampling, oversampling)

    def psf(self):
        """Return the profile as a PSF; each place's sums to 1."""

        def at(x, y):
            return self._samples(self.shapes @ polynomial(x, y, self.field, DEGREE), self.beta)

        return Psf(VaryingImage.interpolate(at, self.field, DEGREE), self.oversampling)

    def _samples(self, shape, beta):
        fwhm, (e1, e2) = np.exp(shape[0]), shape[1:]
        alpha2 = (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)
        nodes, share = leggauss(5)
        place = np.arange(-self.half, self.half + 1) / self.oversampling
        fine = (place[:, None] + nodes / 2).ravel()
        u, v = fine[None, :], fine[:, None]
        r2 = ((1 - e1) * u * u - 2 * e2 * u * v + (1 + e1) * v * v) / np.sqrt(1 - e1**2 - e2**2)
        values = ((1 + r2 / alpha2) ** -beta).reshape(len(place), 5, len(place), 5)
        samples = np.einsum("iajb,a,b->ij", values, share, share)
        return samples * (self.oversampling**2 / samples.sum())

    def derivatives(self):
        """Return the change of the mean samples with ln FWHM, e1, e2 and ln β, shape (4, m, m)."""
        middle, beta = self.shapes[:, 0], np.log(self.beta)
        changes = []
        for number, step in enumerate(STEPS):
            shift = np.eye(4)[number] * step
            high, low = (
                self._samples(middle + sign * shift[:3], np.exp(beta + sign * shift[3])) for sign in (1, -1)
            )
            changes.append((high - low) / (2 * step))
        return np.array(changes)

    def refined(self, x, y, stamps, weight, psf):
        """Return the profile that fits stars better, by one Gauss–Newton step.

        Flux, position and local sky of each star are free too, and marginalised; what the stars don't tell follows
        from how PSFs vary as a rule.

        Parameters
        ----------
        x, y : ndarray, shape (n,)
            Pixels.
        stamps : ndarray, shape (n, size, size)
            What the present model leaves of each star, over its flux.
        weight : ndarray, shape (n, size, size)
            Inverse variance of it.
        psf : Psf
            The present model.
        """
        terms = polynomial(x, y, self.field, DEGREE)
        information, pull = _marginalised(x, y, stamps, weight, psf, self.derivatives())
        n_terms = len(terms)
        matrix = np.einsum("ts,us,skl->ktlu", terms, terms, information[:, :3, :3])
        cross = np.einsum("ts,sk->kt", terms, information[:, :3, 3])
        normal = np.zeros((3 * n_terms + 1,) * 2)
        normal[:-1, :-1] = matrix.reshape(3 * n_terms, -1)
        normal[-1, :-1] = normal[:-1, -1] = cross.ravel()
        normal[-1, -1] = information[:, 3, 3].sum()
        right = np.append(np.einsum("ts,sk->kt", terms, pull[:, :3]).ravel(), pull[:, 3].sum())
        expected = np.repeat(np.square(VARIATION), n_terms).reshape(3, n_terms)
        expected[:, 0] = 1.0, 0.1, 0.1
        prior = 1 / np.append(expected.ravel(), BETA_FACTOR**2)
        known = np.append(self.shapes.ravel(), np.log(self.beta / BETA))
        known[0] = 0
        change = np.linalg.solve(normal + np.diag(prior), right - prior * known)
        shapes = change[:-1].reshape(3, n_terms)
        shapes[:, 0] = np.clip(shapes[:, 0], -np.array(FARTHEST[:3]), FARTHEST[:3])
        beta = self.beta * np.exp(np.clip(change[-1], -FARTHEST[3], FARTHEST[3]))
        return Profile(self.shapes + shapes, beta, self.field, self.half, self.oversampling)


def _marginalised(x, y, stamps, weight, psf, derivatives):
    """Return each star's information on the profile's parameters (n, 4, 4) and its pull on them (n, 4)."""
    information, pull = np.empty((len(x), 4, 4)), np.empty((len(x), 4))
    ones = np.ones((1, len(x)))
    size, step = psf.size, 0.05
    dx, dy = x - np.rint(x), y - np.rint(y)
    own = polynomial(x, y, psf.model.shape, psf.model.degree)
    for first in range(0, len(x), CHUNK):
        some = np.s_[first : first + CHUNK]
        place = psf.oversampling, dx[some], dy[some]

        def star(shift_x=0.0, shift_y=0.0, some=some):
            return sample_many(
                psf.model.planes, own[:, some], psf.oversampling, dx[some] + shift_x, dy[some] + shift_y, size
            )

        nuisance = [star(), star(step) - star(-step), star(0, step) - star(0, -step), np.ones_like(stamps[some])]
        changes = [sample_many(d[None], ones[:, some], *place, size) for d in derivatives]
        design = np.stack([*nuisance, *changes], axis=1).reshape(len(dx[some]), 8, -1)
        weighted = design * weight[some].reshape(len(design), 1, -1)
        normal = weighted @ design.transpose(0, 2, 1)
        right = (weighted @ stamps[some].reshape(len(design), -1, 1))[..., 0]
        scale = np.trace(normal, axis1=1, axis2=2)[:, None, None]
        inner = normal[:, :4, :4] + np.maximum(1e-12 * scale, 1e-30) * np.eye(4)
        solved = np.linalg.solve(inner, np.concatenate([normal[:, :4, 4:], right[:, :4, None]], axis=2))
        outer = normal[:, 4:, :4]
        information[some] = normal[:, 4:, 4:] - outer @ solved[..., :4]
        pull[some] = right[:, 4:] - (outer @ solved[..., 4:])[..., 0]
    return information, pull
