"""Fit the kernel that matches one PSF to another (Alard & Lupton 1998; Alard 2000)."""

from dataclasses import dataclass

import numba
import numpy as np

from pipelines.image import VaryingImage
from pipelines.image.varying import polynomial, polynomial_terms
from pipelines.steps.conditions import BadInput
from pipelines.steps.robust import relative_misfit

GUESSED = 2  # degree of the PSF models' variation, and so of the kernel that they tell
RIDGE = 0.05  # of each stamp's pixels: more makes the kernel of faint stars the PSF models'
NEGLIGIBLE = 1e-9  # of a kernel's factor: smaller ones would turn into denormal numbers, which are slow


class NoKernel(BadInput):
    """A pair of exposures between which no matching kernel can be fitted."""

    condition = "no_matching_kernel"


@dataclass(frozen=True)
class KernelParams:
    """How the matching kernel is fitted.

    Parameters
    ----------
    half : int
        Half width of the kernel: 20 gives 41 pixels.
    widths : float
        It is at least so many FWHM of the wider PSF: where a kernel ends, the brightest stars get rings.
    sigmas, degrees : tuple
        Widths in pixels of the Gaussians and the degrees of the polynomials that modify them.
    degree : int
        Highest of the variation of kernel and background over the detector: from 2 on, that which half of the
        stamps predict the other half with best.
    stamp_half : int
        Half width of the fitted region round each star.
    max_stamps, min_stamps : int
    min_snr : float
        Of a source to be fitted.
    clip : float
        Stamps whose misfit is beyond so many robust sigma are dropped.
    """

    half: int = 20
    widths: float = 3.0
    sigmas: tuple = (0.7, 1.4, 2.8, 5.6, 10.0)
    degrees: tuple = (4, 3, 2, 0, 0)
    degree: int = 4
    stamp_half: int = 20
    max_stamps: int = 800
    min_stamps: int = 6
    min_snr: float = 20.0
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
            row /= np.sqrt((row**2).sum())
            rows.append(np.where(np.abs(row) > NEGLIGIBLE, row, 0))
        pairs += [(first + i, first + j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.array(rows), np.array(pairs)


def gram(params):
    """Return the scalar products of the basis kernels, and zeros for the background, shape (k, k)."""
    rows, pairs = basis_rows(params)
    products = rows @ rows.T
    inner = products[np.ix_(pairs[:, 0], pairs[:, 0])] * products[np.ix_(pairs[:, 1], pairs[:, 1])]
    return np.pad(inner, (0, 1))


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
                if weight == 0:
                    continue
                for i in range(size):
                    across[r, j, i] += weight * image[jj, column - stamp_half - half + i + k]
    for b in range(pairs.shape[0]):
        for j in range(size):
            for i in range(size):
                out[b, j * size + i] = 0
            for k in range(2 * half + 1):
                weight = np.float32(rows[pairs[b, 1], 2 * half - k])
                if weight == 0:
                    continue
                for i in range(size):
                    out[b, j * size + i] += weight * across[pairs[b, 0], j + k, i]


def choose_stamps(x, y, flux, shape, params):
    """Choose the brightest sources, far enough from the border and from each other, over the whole detector.

    The detector is divided into 8 × 8 cells and each gives its brightest, so that the kernel's variation is
    fitted from everywhere.

    Returns
    -------
    ndarray of int
        Brightest first.
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


def stamp_equations(image, target, weight, places, params):
    """Return each stamp's normal equations for the coefficients of the basis and a constant background.

    Parameters
    ----------
    image, target, weight : ndarray
        Image to convolve, image to match, and the weight of its pixels.
    places : ndarray of int, shape (n, 2)
        Columns and rows of the stamps' middles.

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
    matrices, vectors = np.empty((len(places), count + 1, count + 1)), np.empty((len(places), count + 1))
    power, pixels = np.empty(len(places)), np.empty(len(places))
    for n, (column, row) in enumerate(places):
        cut = np.s_[row - half : row + half + 1, column - half : column + half + 1]
        _convolve_stamp(image, column, row, rows, pairs, half, design[:count])
        w, data = weight[cut].ravel(), target[cut].ravel()
        exact = design.astype(float)  # sums of a bright star in single precision err by more than the ridge
        weighted = exact * w
        matrices[n], vectors[n] = weighted @ exact.T, weighted @ data
        power[n], pixels[n] = (w * data * data).sum(), (w > 0).sum()
    return matrices, vectors, power, pixels


def kernel_between(psf, target, shape, params, nodes=6):
    """Return the coefficients (k, n_terms) of the kernel that turns one PSF model into another.

    They are noiseless, but know nothing of an offset between the images: a first guess for `fit_kernel`.
    """
    y, x = np.meshgrid(*(np.linspace(0, n - 1, nodes) for n in shape), indexing="ij")
    x, y = np.rint(x.ravel()), np.rint(y.ravel())
    size = 2 * params.stamp_half + 1
    wide = psf.stamps(x, y, size + 2 * params.half).astype(np.float32)
    narrow = np.pad(target.stamps(x, y, size), ((0, 0), *[(params.half, params.half)] * 2)).astype(np.float32)
    middle = np.array([[params.stamp_half + params.half] * 2])
    products = gram(params)
    local = []
    for stamp, goal in zip(wide, narrow, strict=True):
        matrices, vectors, _, _ = stamp_equations(stamp, goal, np.ones_like(goal), middle, params)
        ridge = 1e-4 * np.sum(stamp**2) * products + 1e-12 * np.eye(len(products))
        local.append(np.linalg.solve(matrices[0] + ridge, vectors[0]))
    terms = polynomial(x, y, shape, GUESSED)
    return np.linalg.lstsq(terms.T, np.array(local), rcond=None)[0].T


def fit_kernel(image, target, weight, noise, places, guess, params):
    """Fit the kernel that turns `image` into `target`, with its variation, from stamps round `places`.

    Least squares, drawn towards `guess` by RIDGE times as much as noise of the weights' variance in `image` would
    draw towards zero: what the stars do not show stays as the PSF models have it. The real noise of `image` draws
    towards zero; as much again towards the guess makes up for it.

    Parameters
    ----------
    image, target, weight : ndarray
        Image to convolve, image to match, and the weight of its pixels.
    noise : ndarray
        Variance of the pixels of `image`.
    places : ndarray of int, shape (n, 2)
        Columns and rows of the stamps' middles.
    guess : ndarray
        Of `kernel_between`. Stamps that fit it far worse than others of their brightness are left out at first.
    params : KernelParams

    Returns
    -------
    VaryingImage
        The kernel.
    ndarray
        Coefficients of the background difference, for `surface`.
    dict
        SDQA values: n_stamps, reduced_chi2, kernel_sum.
    """
    equations = matrices, vectors, power, pixels = stamp_equations(image, target, weight, places, params)
    half, products = params.stamp_half, gram(params)
    enough = pixels > 0.5 * (2 * half + 1) ** 2
    believed = (guess @ polynomial(*places.T, target.shape, GUESSED)).T
    believed *= _scale(believed, equations, enough)
    share = weight * noise
    shares = [share[r - half : r + half + 1, c - half : c + half + 1].sum() for c, r in places]
    drawn = vectors + (RIDGE * pixels + shares)[:, None] * (believed @ products)
    stiff = matrices + RIDGE * pixels[:, None, None] * products
    kept = _alike(_misfit(believed, equations), power, enough, params.clip)
    if kept.sum() < params.min_stamps:
        raise NoKernel(
            f"fit_kernel got {kept.sum()} usable stamps; it needs {params.min_stamps}",
            "check that science exposure and template overlap and are not saturated or clouded out",
        )
    every = polynomial(*places.T, target.shape, params.degree)
    terms = every[: _best_degree(stiff, drawn, every, kept, equations, params)]
    for _ in range(2):  # more would drop a corner whose stamps fit worse and worse
        solution = _solve(stiff[kept], drawn[kept], terms[:, kept])
        misfit = _misfit((solution @ terms).T, equations)
        used, kept = kept, _alike(misfit, power, enough, params.clip)
    kernel = kernel_of(solution, target.shape, params)
    report = {
        "n_stamps": int(used.sum()),
        "reduced_chi2": np.exp(np.median(misfit[used])),
        "kernel_sum": kernel.planes[0].sum(),
    }
    return kernel, solution[-1], report


def _scale(local, equations, enough):
    """Return the ratio of the images' fluxes, which PSF models do not know."""
    matrices, vectors, _, _ = equations
    ratios = (local * vectors).sum(1) / np.maximum(np.einsum("ni,nij,nj->n", local, matrices, local), 1e-12)
    return np.median(ratios[enough]) if enough.any() else 1.0


def _best_degree(stiff, drawn, every, kept, equations, params):
    """Return how many terms predict best, by polynomials fitted to one half of the stamps, those of the other."""
    halves = np.arange(len(kept)) % 2 == 0
    least, scores = min(2, params.degree), {}
    for degree in range(least, params.degree + 1):
        count = len(polynomial_terms(degree))
        local = np.empty(drawn.shape)
        if min((kept & halves).sum(), (kept & ~halves).sum()) < 2 * count:
            break
        for half in (halves, ~halves):
            terms = every[:count]
            solution = _solve(stiff[kept & ~half], drawn[kept & ~half], terms[:, kept & ~half])
            local[half] = (solution @ terms[:, half]).T
        scores[count] = _misfit(local, equations)[kept].mean()
    return min(scores, key=scores.get, default=len(polynomial_terms(least)))


def _misfit(local, equations):
    """Return the logarithm of each stamp's χ² per pixel with its own coefficients, `local` (n, k)."""
    matrices, vectors, power, pixels = equations
    chi2 = power - 2 * (local * vectors).sum(1) + np.einsum("ni,nij,nj->n", local, matrices, local)
    return np.log(np.maximum(chi2, 1e-9) / pixels.clip(1))


def _alike(misfit, power, enough, clip):
    """Return which stamps fit as well as others of their brightness: of the brightest, the model's error sets it."""
    relative = relative_misfit(misfit, power)
    spread = 1.4826 * np.median(np.abs(relative[enough])) if enough.any() else 0
    return enough & (relative < clip * max(spread, 0.05))


def kernel_of(solution, shape, params):
    """Return the VaryingImage of coefficients (k, n_terms) of the basis and a constant background."""
    return VaryingImage(np.tensordot(solution[:-1].T, basis_images(params), axes=1), shape)


def _solve(stiff, drawn, terms):
    """Return coefficients (k, n_terms), each a polynomial of position, of all stamps together."""
    count, n_terms = drawn.shape[1], len(terms)
    squares = (terms[:, None] * terms[None]).reshape(n_terms**2, -1)
    normal = (squares @ stiff.reshape(-1, count**2)).reshape(n_terms, n_terms, count, count).transpose(2, 0, 3, 1)
    normal = normal.reshape(count * n_terms, count * n_terms)
    scale = 1 / np.sqrt(np.diag(normal))
    right = (terms @ drawn).T.ravel() * scale
    return (scale * np.linalg.solve(normal * np.outer(scale, scale), right)).reshape(count, n_terms)
