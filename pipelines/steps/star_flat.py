"""A detector's response from stars that drift over it, where there are no flat fields (Manfroid 1995, A&AS 113, 587).

A star's magnitude is taken as its own mean + the exposure's zero + a polynomial of the place on the detector, and
all are fitted at once (as in Padmanabhan+ 2008, ApJ 674, 1217).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, hstack

from pipelines.image.varying import polynomial, surface
from pipelines.steps.conditions import BadInput

LIGHT = np.dtype([
    ("star", "i8"), ("exposure", "i8"), ("x", "f8"), ("y", "f8"), ("magnitude", "f8"), ("error", "f8"),
])  # fmt: skip
"""One measurement: numbers of star and exposure, place [pixel], magnitude to any zero and its error."""

LINEAR = 3  # terms up to the first degree: a common drift can't tell them from means and zeros


class NoStarFlat(BadInput):
    """Too few exposures, or stars that stay in place."""

    condition = "no_star_flat"


@dataclass(frozen=True)
class StarFlatParams:
    """How a star flat is fitted.

    Parameters
    ----------
    degree : int
        Of the polynomial.
    floor : float
        Error in mag that no measurement is below.
    prior : float
        Expected size in mag of a coefficient: what changes only across a common drift can't be told from the stars'
        means, and stays near 0.
    clip : float
        Rejection limit in robust sigma of a star.
    rounds : int
    min_exposures : int
        In which each star that is used was measured.
    min_drift : float
        Least median way of the stars over the detector, in parts of its width.
    """

    degree: int = 6
    floor: float = 0.003
    prior: float = 0.02
    clip: float = 4.0
    rounds: int = 4
    min_exposures: int = 20
    min_drift: float = 0.05


def fit_star_flat(light, shape, params=None):
    """Fit how a detector's response varies with the place.

    Parameters
    ----------
    light : ndarray of LIGHT
        Aperture photometry of stars in many exposures.
    shape : tuple of int
        Rows and columns of the detector.
    params : StarFlatParams, optional

    Returns
    -------
    ndarray, shape (ny, nx), float32
        Response relative to its mean over the detector; without what can't be told, such as a gradient.

    Raises
    ------
    NoStarFlat
    """
    params = params or StarFlatParams()
    light = _often(light, shape, params)
    terms = polynomial(light["x"], light["y"], shape, params.degree)[LINEAR:].T
    star = np.unique(light["star"], return_inverse=True)[1]
    by_star = _indicator(star)
    exposure = _indicator(np.unique(light["exposure"], return_inverse=True)[1])
    design = hstack([exposure, csr_array(terms)], "csr")
    prior = np.repeat([0, params.prior**-2], [exposure.shape[1], terms.shape[1]])
    error, used = light["error"], np.ones(len(light), bool)
    for _ in range(params.rounds):
        solution, residual = _solve(design, by_star, light["magnitude"], used / (error**2 + params.floor**2), prior)
        scatter = 1.4826 * _median_by(star, np.abs(residual))[star]
        used = np.abs(residual) < params.clip * np.hypot(scatter, params.floor)
        error = np.maximum(light["error"], scatter)
    coefficients = np.concatenate([np.zeros(LINEAR), solution[-terms.shape[1] :]])
    response = 10 ** (-0.4 * surface(coefficients, shape))
    return (response / response.mean(dtype=float)).astype(np.float32)


def _often(light, shape, params):
    """Return the measurements of stars that many exposures have, if those go far enough."""
    _, star, count = np.unique(light["star"], return_inverse=True, return_counts=True)
    light, star = light[count[star] >= params.min_exposures], star[count[star] >= params.min_exposures]
    way = 0.0
    if len(light):
        order = np.argsort(star, kind="stable")
        starts = np.flatnonzero(np.diff(star[order], prepend=-1))
        x, y = light["x"][order], light["y"][order]
        sides = [np.maximum.reduceat(axis, starts) - np.minimum.reduceat(axis, starts) for axis in (x, y)]
        way = float(np.median(np.hypot(*sides))) / shape[1]
    if way < params.min_drift:
        raise NoStarFlat(
            f"fit_star_flat got {len(np.unique(star))} stars in {params.min_exposures} exposures and more, which move"
            f" by {way:.3f} of the detector's width; it needs {params.min_drift:g}",
            "take flat fields, or more exposures at other pointings",
        )
    return light


def _indicator(number):
    """Return the matrix that has a 1 in each row, in the column of its number."""
    return csr_array((np.ones(len(number)), (np.arange(len(number)), number)))


def _solve(design, by_star, magnitude, weight, prior):
    """Solve the weighted normal equations with the stars' means eliminated; return the rest and the residuals."""
    weighted = (design * weight[:, None]).tocsr()
    cross = (by_star.T @ weighted).toarray()
    total = np.maximum(by_star.T @ weight, 1e-12)
    own = by_star.T @ (weight * magnitude)
    share = cross / total[:, None]
    normal = (weighted.T @ design).toarray() - share.T @ cross + np.diag(prior)
    solution = np.linalg.lstsq(normal, weighted.T @ magnitude - share.T @ own, rcond=1e-10)[0]
    return solution, magnitude - design @ solution - by_star @ ((own - cross @ solution) / total)


def _median_by(group, values):
    order = np.lexsort((values, group))
    count = np.bincount(group)
    return values[order][np.cumsum(count) - count + count // 2]
