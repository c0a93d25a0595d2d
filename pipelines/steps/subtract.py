"""Subtract a registered template after matching its PSF (Alard & Lupton 1998)."""

from dataclasses import dataclass

import numba
import numpy as np

from pipelines.image import VaryingImage, bits
from pipelines.image.masked import UNUSABLE
from pipelines.image.varying import polynomial, surface
from pipelines.steps.conditions import BadInput


class NoKernel(BadInput):
    """A pair of exposures between which no matching kernel can be fitted."""

    condition = "no_matching_kernel"


@dataclass(frozen=True)
class SubtractParams:
    """How the template is matched.

    Parameters
    ----------
    half : int
        Half width of the kernel: 20 gives 41 pixels.
    sigmas, degrees : tuple
        Widths in pixels of the Gaussians and the degrees of the polynomials that modify them.
    kernel_degree, background_degree : int
        Of the variation over the detector.
    stamp_half : int
        Half width of the fitted region round each star.
    max_stamps, min_stamps : int
    clip : float
        Stamps whose misfit is beyond so many robust sigma are dropped.
    """

    half: int = 20
    sigmas: tuple = (0.8, 1.8, 4.0)
    degrees: tuple = (4, 3, 2)
    kernel_degree: int = 2
    background_degree: int = 1
    stamp_half: int = 15
    max_stamps: int = 400
    min_stamps: int = 6
    clip: float = 3.5


def basis_rows(params):
    """Return the one-dimensional factors of the kernel basis.

    Returns
    -------
    rows : ndarray, shape (n_rows, 2 half + 1)
        u^p exp(−u² / 2σ²), each scaled to unit norm.
    pairs : ndarray of int, shape (n_basis, 2)
        Basis k is rows[pairs[k, 1]](v) · rows[pairs[k, 0]](u).
    """
    u = np.arange(-params.half, params.half + 1.0)
    rows, pairs = [], []
    for sigma, degree in zip(params.sigmas, params.degrees, strict=True):
        first = len(rows)
        for power in range(degree + 1):
            row = (u / sigma) ** power * np.exp(-(u**2) / (2 * sigma**2))
            rows.append(row / np.sqrt((row**2).sum()))
        pairs += [(first + i, first + j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.array(rows), np.array(pairs)


def basis_images(params):
    """Return the basis as images, shape (n_basis, m, m)."""
    rows, pairs = basis_rows(params)
    return rows[pairs[:, 1], :, None] * rows[pairs[:, 0], None, :]


@numba.njit(cache=True, fastmath=True)
def _convolve_stamp(image, column, row, rows, pairs, stamp_half, out):
    """Fill out (n_basis, s²) with the image convolved with each basis kernel round (column, row)."""
    half = rows.shape[1] // 2
    size = 2 * stamp_half + 1
    tall = size + 2 * half
    across = np.empty((rows.shape[0], tall, size), np.float32)
    for r in range(rows.shape[0]):
        for j in range(tall):
            jj = row - stamp_half - half + j
            for i in range(size):
                across[r, j, i] = 0
            for k in range(2 * half + 1):
                weight = np.float32(rows[r, 2 * half - k])
                for i in range(size):
                    across[r, j, i] += weight * image[jj, column - stamp_half - half + i + k]
    for b in range(pairs.shape[0]):
        for j in range(size):
            for i in range(size):
                out[b, j * size + i] = 0
            for k in range(2 * half + 1):
                weight = np.float32(rows[pairs[b, 1], 2 * half - k])
                for i in range(size):
                    out[b, j * size + i] += weight * across[pairs[b, 0], j + k, i]


def stamp_equations(reference, target, weight, x, y, params):
    """Return each stamp's normal equations for kernel and constant background.

    Returns
    -------
    matrices : ndarray, shape (n, k, k)
    vectors : ndarray, shape (n, k)
    power : ndarray, shape (n,)
        Weighted sum of squares of the target; with the other two it gives χ² of any solution.
    pixels : ndarray, shape (n,)
        Number of pixels with weight.
    """
    rows, pairs = basis_rows(params)
    half, count = params.stamp_half, len(pairs)
    design = np.ones((count + 1, (2 * half + 1) ** 2), np.float32)
    matrices, vectors = np.empty((len(x), count + 1, count + 1)), np.empty((len(x), count + 1))
    power, pixels = np.empty(len(x)), np.empty(len(x))
    for n, (column, row) in enumerate(zip(x, y, strict=True)):
        cut = np.s_[row - half : row + half + 1, column - half : column + half + 1]
        _convolve_stamp(reference, column, row, rows, pairs, half, design[:count])
        w, data = weight[cut].ravel(), target[cut].ravel()
        weighted = design * w
        matrices[n], vectors[n] = weighted @ design.T, weighted @ data
        power[n], pixels[n] = (w * data * data).sum(), (w > 0).sum()
    return matrices, vectors, power, pixels


def choose_stamps(x, y, flux, shape, params):
    """Choose the brightest sources, far enough from the border and from each other, over the whole detector.

    The detector is divided into 8 × 8 cells and each gives its brightest, so that the kernel's variation is
    fitted from everywhere.
    """
    margin = params.half + params.stamp_half + 1
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (column >= margin) & (column < shape[1] - margin) & (row >= margin) & (row < shape[0] - margin)
    order = np.argsort(-flux)
    order = order[inside[order]]
    taken = np.zeros((shape[0] // params.stamp_half + 2, shape[1] // params.stamp_half + 2), bool)
    share = np.zeros((8, 8), int)
    chosen = []
    for k in order:
        cell = row[k] // params.stamp_half, column[k] // params.stamp_half
        region = 8 * row[k] // shape[0], 8 * column[k] // shape[1]
        if not taken[cell] and share[region] < max(params.max_stamps // 64, 1):
            chosen.append(k)
            taken[cell] = True
            share[region] += 1
    return np.array(chosen, int)


def fit_kernel(reference, target, weight, x, y, params):
    """Fit the kernel that turns `reference` into `target`, with its variation, from stamps round (x, y).

    Returns
    -------
    VaryingImage
        The kernel.
    ndarray
        Coefficients of the background difference, for `surface`.
    dict
        SDQA values: n_stamps, reduced_chi2, kernel_sum.
    """
    shape = target.shape
    matrices, vectors, power, pixels = stamp_equations(reference, target, weight, x, y, params)
    solution = np.zeros(0)
    kept = pixels > 0.5 * (2 * params.stamp_half + 1) ** 2
    degree = params.kernel_degree
    for _ in range(4):
        while degree and 3 * len(polynomial(0, 0, shape, degree)) > kept.sum():
            degree -= 1
        if kept.sum() < params.min_stamps:
            raise NoKernel(
                f"fit_kernel got {kept.sum()} usable stamps; it needs {params.min_stamps}",
                "check that science exposure and template overlap and are not saturated or clouded out",
            )
        solution, chi2 = _solve((matrices, vectors, power), x, y, kept, degree, shape, params)
        misfit = np.log(np.maximum(chi2, 1e-9) / pixels.clip(1))
        middle = np.median(misfit[kept])
        spread = 1.4826 * np.median(np.abs(misfit[kept] - middle))
        good = (pixels > 0.5 * (2 * params.stamp_half + 1) ** 2) & (
            misfit < middle + params.clip * max(spread, 0.05)
        )
        if np.array_equal(good, kept):
            break
        kept = good
    planes = np.tensordot(solution["kernel"], basis_images(params), axes=1)
    report = {"n_stamps": int(kept.sum()), "reduced_chi2": np.exp(middle), "kernel_sum": planes[0].sum()}
    return VaryingImage(planes, shape), solution["background"], report


def _solve(equations, x, y, kept, degree, shape, params):
    """Solve for all coefficients at once: each is a polynomial of position."""
    matrices, vectors, power = equations
    count = matrices.shape[1] - 1
    terms = polynomial(x, y, shape, max(degree, params.background_degree)).T
    n_kernel = (degree + 1) * (degree + 2) // 2
    n_background = (params.background_degree + 1) * (params.background_degree + 2) // 2
    columns = [(b, t) for b in range(count) for t in range(n_kernel)] + [
        (count, t) for t in range(n_background)
    ]
    basis, term = np.array(columns).T
    size = len(columns)
    normal, right = np.zeros((size, size)), np.zeros(size)
    for n in np.flatnonzero(kept):
        design = terms[n, term]
        normal += matrices[n][np.ix_(basis, basis)] * np.outer(design, design)
        right += vectors[n][basis] * design
    scale = 1 / np.sqrt(np.diag(normal))
    normal = normal * np.outer(scale, scale)
    solution = scale * np.linalg.solve(normal + 1e-9 * np.eye(size), scale * right)
    local = np.zeros((len(x), count + 1))
    np.add.at(local.T, basis, (terms[:, term] * solution).T)
    chi2 = power - 2 * (local * vectors).sum(1) + np.einsum("ni,nij,nj->n", local, matrices, local)
    kernel = solution[: count * n_kernel].reshape(count, n_kernel).T
    return {"kernel": kernel, "background": solution[count * n_kernel :]}, chi2


def subtract(science, template, x, y, flux, params=None):
    """Subtract a template on the same pixels from a science exposure.

    The sharper of the two is convolved, so that noise is never amplified by a deconvolution; the result is in
    the science exposure's counts either way.

    Parameters
    ----------
    science, template : Exposure
        On the same pixel grid, without sky, each with its PSF; the template may cover a part.
    x, y, flux : ndarray
        Sources to match on.
    params : SubtractParams, optional

    Returns
    -------
    Exposure
        The difference. Its variance is the sum of both; its noise is correlated: see `decorrelate`.
    VaryingImage
        The matching kernel.
    dict
        SDQA values of the fit, and `convolved`: "template" or "science".

    Raises
    ------
    NoKernel
    """
    params = params or SubtractParams()
    middle = (science.shape[1] / 2, science.shape[0] / 2)
    sharper = template.psf.fwhm(*middle) <= science.psf.fwhm(*middle)
    reference, target = (template, science) if sharper else (science, template)
    bad = reference.pixels.unusable | target.pixels.unusable
    ref_image, target_image = (
        np.where(p.pixels.unusable, 0, p.pixels.image).astype(np.float32) for p in (reference, target)
    )
    variance = reference.pixels.variance + target.pixels.variance
    weight = np.where(bad, 0, 1 / np.maximum(variance, 1e-9)).astype(np.float32)
    chosen = choose_stamps(x, y, flux, science.shape, params)
    kernel, background, report = fit_kernel(
        ref_image,
        target_image,
        weight,
        np.rint(x[chosen]).astype(int),
        np.rint(y[chosen]).astype(int),
        params,
    )
    difference = target_image - kernel.convolve(ref_image) - surface(background, science.shape)
    noise = VaryingImage(kernel.at(*middle)[None] ** 2, kernel.shape)
    variance = target.pixels.variance + np.maximum(noise.convolve(reference.pixels.variance), 0)
    if not sharper:  # the difference has the template's scale and sign
        factor = np.float32(-1 / kernel.at(*middle).sum())
        difference, variance = difference * factor, variance * factor**2
    mask = science.pixels.mask | _template_mask(template.pixels.mask)
    report["convolved"] = "template" if sharper else "science"
    note = "subtract: {n_stamps} stamps, chi2 {reduced_chi2:.2f}, {convolved} convolved".format(**report)
    observation = science.observation.with_(kind="difference")
    difference = science.with_image(difference, note, mask=mask, variance=variance)
    return difference.with_(observation=observation, psf=target.psf), kernel, report


def _template_mask(mask):
    """Translate the template's mask: saturation there has a plane of its own."""
    saturated = (mask & bits("SAT")) != 0
    kept = mask & (bits(*UNUSABLE) & ~bits("SAT", "CR"))
    return np.where(saturated, kept | bits("SAT_TEMPLATE"), kept)
