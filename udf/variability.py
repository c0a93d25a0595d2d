"""Variability of light curves in several filters: Stetson's J and Welch and Stetson's I, for many Objects at once.

Both compare deviations δ = √(n / (n - 1)) (flux - mean) / error from the weighted mean of the n fluxes in a filter.
Real variation lasts longer than the time between two measurements of a pair, noise does not. Pairs are made in the
order of time: two successive measurements at most `PAIRED` apart, each in one pair at most, earliest first.
"""

from dataclasses import dataclass

import numpy as np

from udf.steps import POINT

PAIRED = 1 / 24  # d
SINGLE_WEIGHT = 0.5  # of a measurement without partner, where a pair's is 1


@dataclass(frozen=True)
class LightCurves:
    """Fluxes of Objects: all of one Object together, in the order of time.

    Attributes
    ----------
    object_ids, filters : ndarray of int64
    tai : ndarray
        [d]
    flux, error : ndarray
        Of any one unit.
    """

    object_ids: np.ndarray
    filters: np.ndarray
    tai: np.ndarray
    flux: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, *columns):
        """Light curves of measurements in any order."""
        object_ids, _, tai, flux, _ = columns
        order = np.argsort(object_ids, kind="stable")  # in index order they come in runs: far faster than lexsort
        in_order = (np.diff(tai[order]) > 0) | _begins(object_ids[order])[1:]
        if not in_order.all():
            order = np.lexsort([flux, tai, object_ids])
        return cls(*(column[order] for column in columns))

    def __getitem__(self, index):
        """Some of the measurements."""
        columns = self.object_ids, self.filters, self.tai, self.flux, self.error
        return LightCurves(*(column[index] for column in columns))


def kept(columns):
    """Columns of `LightCurves` of the light curves that are kept: ids, numbers of points, points."""
    ids, counts, points = columns
    return np.repeat(ids, counts), points["filter"].astype(np.int64), points["tai"], points["flux"], points["error"]


def points(object_ids, filters, tai, flux, error):
    """Measurements as `object_variability.points` holds them, in their order, as bytes: what `kept` reads."""
    found = np.empty(tai.size, POINT)
    found["tai"], found["flux"], found["error"], found["filter"] = tai, flux, error, filters
    return found.tobytes()


def spread(object_ids, ids, *columns, absent=0):
    """Columns that some ids have as columns of all, with `absent` for the others; both ascend."""
    row = np.searchsorted(object_ids, ids)
    wholes = []
    for column in columns:
        wholes.append(np.full(object_ids.size, absent, column.dtype))
        wholes[-1][row] = column
    return wholes


def stetson_j(curves, only=None):
    """Stetson's J (Stetson 1996, PASP 108, 851) of each Object and filter, or in `only` one, with two fluxes or more.

    J = Σ w sgn(P) √|P| / Σ w, where P = δ₁δ₂ and w = 1 for a pair of measurements in the filter, P = δ² - 1 and
    w = `SINGLE_WEIGHT` for a single one.

    Returns
    -------
    object_ids, filters : ndarray of int64
    stetson_j : ndarray
    """
    curves = curves if only is None else curves[np.flatnonzero(curves.filters == only)]  # faster than by a mask
    curves = curves[_by_filter(curves)]
    first = np.flatnonzero(_begins(curves.object_ids, curves.filters))
    size = np.diff(first, append=curves.tai.size)
    deviation = _deviations(curves)
    leads = _pairs(~_begins(curves.object_ids, curves.filters)[1:] & (np.diff(curves.tai) <= PAIRED))
    product = deviation**2 - 1
    product[:-1][leads] = deviation[:-1][leads] * deviation[1:][leads]
    weight = np.full(product.size, SINGLE_WEIGHT)
    weight[:-1][leads], weight[1:][leads] = 1.0, 0.0
    score = _sums(weight * np.sign(product) * np.sqrt(np.abs(product)), first) / _sums(weight, first)
    many = size > 1
    return curves.object_ids[first][many], curves.filters[first][many], score[many]


def welch_stetson_i(curves):
    """Welch and Stetson's I (1993, AJ 105, 1813) of each Object with two pairs or more.

    I = Σ δ₁δ₂ / √(n (n - 1)) over n pairs of measurements in different filters.

    Returns
    -------
    object_ids : ndarray of int64
    welch_stetson_i : ndarray
    pairs : ndarray of int
    """
    deviation = _deviations(curves)
    same = ~_begins(curves.object_ids)[1:] & (np.diff(curves.filters) != 0) & (np.diff(curves.tai) <= PAIRED)
    leads = np.append(_pairs(same), np.zeros(min(deviation.size, 1), bool))
    first = np.flatnonzero(_begins(curves.object_ids))
    pairs = _sums(leads, first).astype(int)
    total = _sums(np.where(leads, deviation * np.roll(deviation, -1), 0.0), first)
    many = pairs > 1
    return curves.object_ids[first][many], total[many] / np.sqrt(pairs[many] * (pairs[many] - 1.0)), pairs[many]


def _begins(*keys):
    """Whether each element begins a new run of equal keys."""
    changes = np.any([np.diff(key) != 0 for key in keys], axis=0)
    return np.append(np.ones(min(keys[0].size, 1), bool), changes)


def _by_filter(curves):
    """Order by Object and filter that leaves each filter in the order of time."""
    return np.argsort(_begins(curves.object_ids).cumsum() << 16 | curves.filters, kind="stable")


def _deviations(curves):
    """δ of measurements, those of one Object together; 0 where there is but one in the filter."""
    present = np.bincount(curves.filters) > 0
    group = (_begins(curves.object_ids).cumsum() - 1) * present.sum() + (present.cumsum() - 1)[curves.filters]
    weight = 1 / curves.error.astype(float) ** 2
    size, weights, fluxes = (np.bincount(group, values) for values in (None, weight, weight * curves.flux))
    mean = fluxes / np.where(size > 0, weights, 1)
    return (np.sqrt(size / np.maximum(size - 1, 1))[group] * (curves.flux - mean[group])) / curves.error


def _pairs(linked):
    """Which measurements lead a pair, if `linked` says which may be paired with the next one: every second of a run."""
    number = np.arange(linked.size)
    run = number - np.maximum.accumulate(np.where(linked, -1, number))  # from 1 for the first of a run
    return linked & (run % 2 == 1)


def _sums(values, first):
    """Sums of the groups that begin at indices."""
    return np.add.reduceat(values.astype(float), first) if first.size else np.empty(0)
