"""Refit the WCS of many exposures of one field to each other: their own mean catalogue is a far denser reference.

The sky of each exposure is a polynomial of its pixels. In turns the stars' mean positions are found from all
exposures and each exposure is fitted to the means; at last the means are tied to a reference catalogue.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pipelines.image import Wcs
from pipelines.image.varying import polynomial
from pipelines.steps.conditions import BadInput
from pipelines.steps.wcs import fit_tan_sip, gnomonic, inverse_gnomonic

ARCSEC = 3600.0

STAR = np.dtype([
    ("ra", "f8"), ("dec", "f8"), ("scatter", "f4"), ("flux", "f8"), ("exposures", "i4"),
])  # fmt: skip
"""A star of the mean catalogue: position [deg], scatter of one axis [arcsec], median flux, number of exposures."""


class NoJointFit(BadInput):
    """Exposures that don't overlap, or whose stars can't be told."""

    condition = "no_joint_wcs"


@dataclass(frozen=True)
class JointParams:
    """How exposures are fitted to each other.

    Parameters
    ----------
    radii_arcsec : tuple of float
        Largest distance of a star from its mean position, round by round.
    degree : int
        Of each exposure's polynomial.
    tie_degree : int
        Of the polynomial that ties the mean positions to the reference catalogue.
    floor_arcsec : float
        Error that no single position is below.
    clip : float
        Rejection limit in robust sigma.
    min_exposures : int
        A star seen in fewer is left out of the mean catalogue.
    """

    radii_arcsec: tuple = (6.0, 4.0, 3.0, 2.5, 2.5, 2.5)
    degree: int = 3
    tie_degree: int = 2
    floor_arcsec: float = 0.05
    clip: float = 3.5
    min_exposures: int = 5


@dataclass(frozen=True, eq=False)
class StarList:
    """What one exposure gives: positions [pixel], their errors [arcsec], fluxes, its WCS and its shape."""

    x: np.ndarray
    y: np.ndarray
    error: np.ndarray
    flux: np.ndarray
    wcs: Wcs
    shape: tuple


def fit_jointly(lists, reference, params=None):
    """Fit the WCS of many exposures to their common mean catalogue, and that to a reference catalogue.

    Parameters
    ----------
    lists : sequence of StarList
        Of exposures that overlap, each with a WCS that is good to the first of `params.radii_arcsec`.
    reference : ndarray of REFERENCE
        Stars of the field at the exposures' epoch.
    params : JointParams, optional

    Returns
    -------
    list of Wcs
        One for each exposure, TAN-SIP.
    ndarray of STAR
        The mean catalogue, brightest first.
    list of ndarray of int
        For each exposure the index in the mean catalogue of each of its stars, −1 where it has none.

    Raises
    ------
    NoJointFit
    """
    params = params or JointParams()
    first = max(range(len(lists)), key=lambda k: len(lists[k].x))
    tangent = tuple(float(v) for v in lists[first].wcs.sky(lists[first].shape[1] / 2, lists[first].shape[0] / 2))
    terms = [polynomial(s.x, s.y, s.shape, params.degree).T for s in lists]
    plane = [ARCSEC * gnomonic(*s.wcs.sky(s.x, s.y), *tangent) for s in lists]
    means = plane[first]
    for radius in params.radii_arcsec:
        means, number = _merged(means, plane, lists, radius, params)
        plane = [
            _refitted(*values, means, params) for values in zip(terms, lists, plane, number, strict=True)
        ]
    means, number = _merged(means, plane, lists, params.radii_arcsec[-1], params)
    stars, number = _catalogue(means, number, plane, lists, params)
    correction = _tie(stars, reference, tangent, params)
    where = stars[:, :2] + correction(stars)
    sky = np.stack(inverse_gnomonic(*(where / ARCSEC).T, *tangent))
    catalogue = np.zeros(len(stars), STAR)
    catalogue["ra"], catalogue["dec"] = sky
    catalogue["scatter"], catalogue["flux"], catalogue["exposures"] = stars[:, 2:].T
    return [_wcs(s, n, catalogue, params) for s, n in zip(lists, number, strict=True)], catalogue, number


def _merged(means, plane, lists, radius, params):
    """Match every exposure with the mean positions; return new means and the number of each star in them.

    Stars that match none begin means of their own, in the first exposure that has them.
    """
    number = []
    for positions in plane:
        distance, nearest = cKDTree(means).query(positions, distance_upper_bound=radius)
        _, back = cKDTree(positions).query(means)
        found = np.isfinite(distance)
        found[found] = back[nearest[found]] == np.flatnonzero(found)
        lonely = ~np.isfinite(distance)
        own = np.where(found, nearest, -1)
        own[lonely] = len(means) + np.arange(lonely.sum())
        number.append(own)
        means = np.concatenate([means, positions[lonely]])
    all_numbers, all_places = np.concatenate(number), np.concatenate(plane)
    weight = np.concatenate([1 / (s.error**2 + params.floor_arcsec**2) for s in lists])
    for limit in (np.inf, params.clip):
        used = all_numbers >= 0
        offset = np.hypot(*(all_places - means[all_numbers]).T) * np.sqrt(weight / 2)
        used &= offset < limit * max(1.0, np.median(offset[used]) / 1.1774)
        counted = all_numbers[used]
        total = np.bincount(counted, weight[used], len(means))
        sums = [np.bincount(counted, weight[used] * axis[used], len(means)) for axis in all_places.T]
        means = np.where(total[:, None] > 0, np.stack(sums, axis=1) / np.maximum(total, 1e-9)[:, None], means)
    seen = np.bincount(all_numbers[all_numbers >= 0], minlength=len(means))
    kept = seen >= min(2, len(lists))
    renumbered = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    if not kept.any():
        raise NoJointFit(
            f"fit_jointly found no star in two of {len(lists)} exposures within {radius:g} arcsec",
            "check that the exposures overlap and that each has a WCS",
        )
    return means[kept], [renumbered[own] for own in number]


def _refitted(terms, stars, plane, number, means, params):
    """Return the positions of an exposure's stars after its polynomial was fitted to the mean positions."""
    matched = np.flatnonzero(number >= 0)
    if len(matched) < 2 * terms.shape[1]:
        return plane
    target = means[number[matched]]
    root = 1 / np.hypot(stars.error[matched], params.floor_arcsec)
    kept = np.ones(len(matched), bool)
    for _ in range(4):
        basis, right = (root[:, None] * terms[matched])[kept], (root[:, None] * target)[kept]
        coefficients = np.linalg.lstsq(basis, right, rcond=None)[0]
        size = root * np.hypot(*(terms[matched] @ coefficients - target).T)
        kept = size < params.clip * np.median(size[kept]) / 1.1774
    return terms @ coefficients


def _catalogue(means, number, plane, lists, params):
    """Return columns of the stars that enough exposures have, and the stars' numbers in it."""
    every, places = np.concatenate(number), np.concatenate(plane)
    flux = np.concatenate([s.flux for s in lists])
    seen = np.bincount(every[every >= 0], minlength=len(means))
    order = np.lexsort((flux, every))
    starts = np.searchsorted(every[order], np.arange(len(means)))
    middle = flux[order][np.minimum(starts + seen // 2, len(every) - 1)]
    used = every >= 0
    square = np.bincount(every[used], np.sum((places[used] - means[every[used]]) ** 2, axis=1) / 2, len(means))
    scatter = np.sqrt(square / np.maximum(seen - 1, 1))
    good = np.flatnonzero(seen >= min(params.min_exposures, len(lists)))
    good = good[np.argsort(-middle[good])]
    renumbered = np.full(len(means) + 1, -1)
    renumbered[good] = np.arange(len(good))
    columns = np.column_stack([means, scatter, middle, seen])[good]
    return columns, [renumbered[own] for own in number]


def _tie(stars, reference, tangent, params):
    """Return the function that shifts the mean positions on the reference's."""
    there = ARCSEC * gnomonic(reference["ra"], reference["dec"], *tangent)
    scale = np.abs(stars[:, :2]).max()
    shift = np.median(_offsets(stars, there, params.radii_arcsec[0])[1], axis=0)
    coefficients = None
    for _ in range(4):
        moved = stars[:, :2] + (shift if coefficients is None else _terms(stars, scale, params) @ coefficients)
        index, offset = _offsets(np.column_stack([moved, stars[:, 2:]]), there, params.radii_arcsec[0])
        wanted = offset + moved[index] - stars[index, :2]
        size = np.hypot(*(offset - np.median(offset, axis=0)).T)
        kept = size <= params.clip * max(np.median(size) / 1.1774, 1e-3)
        if kept.sum() < 2 * len(_terms(stars[:1], scale, params)[0]):
            raise NoJointFit(
                f"fit_jointly matched {kept.sum()} stars with {len(reference)} of the reference catalogue",
                "look up a reference catalogue that is deeper, or covers the field",
            )
        coefficients = np.linalg.lstsq(_terms(stars[index][kept], scale, params), wanted[kept], rcond=None)[0]
    return lambda stars: _terms(stars, scale, params) @ coefficients


def _terms(stars, scale, params):
    u, v = stars[:, 0] / scale, stars[:, 1] / scale
    return np.stack([u**i * v ** (n - i) for n in range(params.tie_degree + 1) for i in range(n + 1)], axis=1)


def _offsets(stars, there, radius):
    """Return which of the brighter stars have a reference star, and the way to it."""
    bright = np.arange(min(len(stars), 4 * len(there)))
    distance, nearest = cKDTree(there).query(stars[bright, :2], distance_upper_bound=radius)
    found = np.flatnonzero(np.isfinite(distance))
    return bright[found], there[nearest[found]] - stars[bright[found], :2]


def _wcs(stars, number, catalogue, params):
    """Fit an exposure's TAN-SIP to the mean catalogue."""
    matched = np.flatnonzero(number >= 0)
    mean = catalogue[number[matched]]
    weight = 1 / (stars.error[matched] ** 2 + params.floor_arcsec**2)
    pairs = np.stack([stars.x[matched], stars.y[matched], mean["ra"], mean["dec"], weight])
    return fit_tan_sip(pairs, stars.shape, params)[0]
