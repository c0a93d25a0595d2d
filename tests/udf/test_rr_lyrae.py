"""Periods of SDSS Stripe 82's RR Lyrae (Sesar+ 2010) by a robust Fourier series of one shape in all filters."""

import gzip
import tarfile

import numpy as np
import pytest

from tests.pipelines.shared_data import SHARED, needs_data
from udf.lomb_scargle import grid
from udf.pulsation import pulsation_periods

DATA = "lightcurves_s82_linear"
pytestmark = needs_data(DATA)
PRECISION = 1e-4
LEAST_SHARE = 0.95
FILTERS = (1, 2, 3)  # g, r and i


def stars():
    """Number → published period [d] and the light curve."""
    folder = SHARED / DATA / "S82_RRLyr"
    with gzip.open(folder / "table2.dat.gz", "rt") as file:
        rows = [line.split() for line in file if line.split() and line.split()[0].isdigit()]
    periods = {int(row[0]): float(row[2]) for row in rows}
    with tarfile.open(folder / "table1.tar.gz") as archive:
        for member in sorted(
            (one for one in archive.getmembers() if one.name.endswith(".dat")), key=lambda one: one.name
        ):
            number = member.name.rsplit("/", 1)[-1].removesuffix(".dat")
            if number.isdigit() and int(number) in periods:
                yield periods[int(number)], curve(np.loadtxt(archive.extractfile(member)))


def curve(table):
    """Times, filters, magnitudes and errors; SDSS marks what is missing by -99."""
    parts = []
    for one in FILTERS:
        time, mag, error = table[:, 2 + 3 * one], table[:, 3 + 3 * one], table[:, 4 + 3 * one]
        good = (mag > 0) & (error > 0) & (time > 0)
        parts.append((time[good], np.full(good.sum(), one), mag[good], np.maximum(error[good], 0.01)))
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def found(period, measured):
    tai, band, mag, error = measured
    best, _ = pulsation_periods(tai, band, mag, error, grid(tai, 0.2, 1.0), 1)
    return abs(best[0] / period - 1) < PRECISION


def test_the_first_few_have_their_periods():
    chosen = [star for _, star in zip(range(6), stars(), strict=False)]
    assert sum(found(*star) for star in chosen) >= 5


@pytest.mark.long
def test_nearly_all_have_their_periods():
    hits = [found(*star) for star in stars()]
    assert len(hits) > 450
    assert np.mean(hits) >= LEAST_SHARE
