"""Detection efficiency of synthetic objects in a mini Data Release, with binomial errors."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.stats import beta, norm

from db.connect import connect
from db.errors import HvenError
from db.queries import queries

MATCH_ARCSEC = 0.6
EDGE = 20  # pixels from the border of a detector within which nothing is asked of detection
HOST_ARCSEC = 1.0  # how far the host that is found may be from the true one
CONFIDENCE = 0.683
THRESHOLD = 5.0
ZERO = 31.4  # AB magnitude of 1 nJy

AXES = {
    "magnitude": np.arange(5, 35, 0.5), "snr": np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 50, 1e9]),
    "host": np.array([-1e9, 10, 30, 100, 300, 1000, 3000, 1e4, 1e9]), "separation": np.arange(0, 5.5, 0.5),
}  # fmt: skip
TITLES = {"magnitude": "AB magnitude", "snr": "signal to noise ratio", "host": "brightness under it [nJy/arcsec²]",
          "separation": "separation from the host [arcsec]"}  # fmt: skip


class NoSynthetics(HvenError):
    """A database without synthetic objects, or without any that could be found."""

    exit_status = 65


@dataclass(frozen=True)
class Bin:
    """Trials and successes between two values, with the efficiency and its interval."""

    low: float
    high: float
    tried: int
    found: int
    efficiency: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Efficiency:
    """What a mini-DR tells of detection.

    Parameters
    ----------
    curves : dict of str to list of Bin
        By `AXES`.
    half_magnitude, half_err : float
        Where half of all are found, by a fit of the error function [AB mag].
    expected : float
        Where a point source has five times the error of a faint flux, the median over differences [AB mag].
    hosted, matched : int
        Found objects with a true host, and those that the catalogue's nearest footprint gives that host.
    """

    curves: dict[str, list[Bin]]
    half_magnitude: float
    half_err: float
    expected: float
    hosted: int
    matched: int


def measure(mini: str) -> Efficiency:
    """Measure how well synthetic objects were found.

    Raises
    ------
    NoSynthetics
    """
    with closing(connect(mini)) as session, session.cursor() as cursor:
        cursor.execute("SELECT to_regclass('synthetic.synthetic_source') IS NOT NULL")
        if not cursor.fetchone()[0]:
            raise NoSynthetics(f"efficiency: {mini} holds nothing synthetic", "name a mini-DR: `hven release list`")
        cursor.execute(queries("synthetic")["events"], {"radius_arcsec": MATCH_ARCSEC, "margin": EDGE})
        events = np.array(cursor.fetchall(), float).reshape(-1, 6)
        cursor.execute(queries("synthetic")["hosted"], {"radius_arcsec": MATCH_ARCSEC})
        apart = np.array([row[2] if row[2] is not None else np.inf for row in cursor], float)
    if not len(events):
        raise NoSynthetics(f"efficiency: nothing synthetic of {mini} lies on a difference", "`hven release run` first")
    _, flux, noise, under, separation, found = events.T
    magnitude = ZERO - 2.5 * np.log10(flux)
    values = {"magnitude": magnitude, "snr": flux / noise, "host": under, "separation": separation}
    known = {axis: np.isfinite(value) for axis, value in values.items()}
    curves = {axis: binned(values[axis][there], found[there] > 0, AXES[axis]) for axis, there in known.items()}
    half, err = half_point(magnitude, found > 0)
    expected = ZERO - 2.5 * np.log10(THRESHOLD * np.median(noise))
    return Efficiency(curves, half, err, float(expected), len(apart), int((apart <= HOST_ARCSEC).sum()))


def interval(found: int, tried: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval of a binomial share (Jeffreys' prior; Brown, Cai & DasGupta 2001, Stat. Sci. 16, 101)."""
    tail = (1 - confidence) / 2
    lower = beta.ppf(tail, found + 0.5, tried - found + 0.5) if found else 0.0
    upper = beta.ppf(1 - tail, found + 0.5, tried - found + 0.5) if found < tried else 1.0
    return float(lower), float(upper)


def binned(values: np.ndarray, found: np.ndarray, edges: Sequence[float]) -> list[Bin]:
    """Return the bins between edges in which anything was tried."""
    place = np.searchsorted(edges, values, side="right") - 1
    bins = []
    for number in range(len(edges) - 1):
        inside = place == number
        if tried := int(inside.sum()):
            hits = int(found[inside].sum())
            low, high = float(edges[number]), float(edges[number + 1])
            bins.append(Bin(low, high, tried, hits, hits / tried, *interval(hits, tried)))
    return bins


def half_point(magnitude: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Return the magnitude at which half is found, and its error, by the likeliest error function of flux."""
    flux = 10 ** ((ZERO - magnitude) / 2.5)

    def unlikely(p):
        half = 10 ** ((ZERO - p[0]) / 2.5)
        share = np.clip(norm.cdf((flux / half - 1) / np.exp(p[1])), 1e-4, 1 - 1e-4)
        return -np.where(found, np.log(share), np.log(1 - share)).sum()

    start = float(np.median(magnitude[found])) if found.any() else float(magnitude.min())
    tries = [minimize(unlikely, [start + shift, -1.5], method="Nelder-Mead") for shift in (0, 1, 2)]
    best = min(tries, key=lambda one: one.fun)
    step = 0.02
    around = [unlikely([best.x[0] + d, best.x[1]]) for d in (-step, 0, step)]
    curvature = (around[0] - 2 * around[1] + around[2]) / step**2
    return float(best.x[0]), float(1 / np.sqrt(curvature)) if curvature > 0 else float("inf")
