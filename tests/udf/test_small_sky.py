"""Angles, magnitudes, names and footprints."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from db.connect import connect
from db.ids import ObjectId, pack
from db.load import load
from pipelines.productions import simulated_sky as rows
from pipelines.simulate.places import projected
from pipelines.simulate.sky import Parameters, make_visits

POSITION = st.tuples(
    st.integers(0, 359_999_999).map(lambda n: n / 1e6), st.integers(-90_000_000, 90_000_000).map(lambda n: n / 1e6)
)


@pytest.fixture(scope="module")
def ask(shared_database):
    """Return a function that gives the first row of a query; what it changes is rolled back."""
    session = connect(shared_database)

    def first_row(query, values=None):
        with session.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone() if cursor.description else None

    yield first_row
    session.rollback()
    session.close()


@settings(deadline=None)
@given(POSITION, POSITION)
def test_separation_and_position_angle_equal_astropy(ask, a, b):
    query = "SELECT hven.sky_separation_arcsec(%s, %s, %s, %s), hven.sky_position_angle(%s, %s, %s, %s)"
    separation, angle = ask(query, (*a, *b) * 2)
    here, there = (SkyCoord(*p, unit="deg") for p in (a, b))
    assert separation == pytest.approx(here.separation(there).arcsec, rel=1e-9, abs=1e-9) or separation > 647_000
    assert 0 <= angle <= 360
    if 1 < separation < 600_000 and abs(a[1]) < 89.999:
        expected = here.position_angle(there).deg
        assert (angle - expected + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)


def test_tiny_separations_are_exact(ask):
    [separation] = ask("SELECT hven.sky_separation_arcsec(123.4, 56.7, 123.4, 56.7 + 1e-9)")
    assert separation == pytest.approx(3.6e-6, rel=1e-5)


@settings(deadline=None)
@given(st.floats(-3, 9).map(lambda x: 10**x), st.floats(0, 1))
def test_magnitudes_equal_astropy_and_come_back(ask, flux, error):
    values = (flux, flux, error * flux)
    magnitude, magnitude_err = ask("SELECT hven.ab_magnitude(%s::float8), hven.ab_magnitude_err(%s, %s)", values)
    assert magnitude == pytest.approx((flux * u.nJy).to(u.ABmag).value, abs=1e-9)
    back = ask("SELECT hven.ab_flux(%s), hven.ab_flux_err(%s, %s)", (magnitude, magnitude, magnitude_err))
    assert back == (pytest.approx(flux, rel=1e-12), pytest.approx(error * flux, rel=1e-12))
    assert magnitude_err == pytest.approx(2.5 / np.log(10) * error, rel=1e-12)


@pytest.mark.parametrize("flux", ["0", "-5", "NULL", "'NaN'", "'Infinity'"])
def test_a_flux_that_is_not_positive_has_no_magnitude(ask, flux):
    assert ask(f"SELECT hven.ab_magnitude({flux}), hven.ab_magnitude_err({flux}, 1)") == (None, None)


@pytest.mark.parametrize(
    ("release", "ra", "dec", "tie", "name"),
    [
        (2, 3.144377, -12.582472, 0, "LSST-DR2 J001234.65-123456.8"),
        (0, 359.99999, 89.99999, 0, "LSST-DR0 J235959.99+895959.9"),
        (1, 0.0, -0.00002, 1, "LSST-DR1 J000000.00-000000.0b"),
        (47, 150.1, 2.2, 25, "LSST-DR47 J100024.00+021200.0z"),
        (50, 150.1, 2.2, 26, "LSST-MINI3 J100024.00+021200.0-26"),
    ],
)
def test_names_are_truncated_positions(ask, release, ra, dec, tie, name):
    assert ask("SELECT hven.object_name(%s, %s, %s, %s)", (pack(ObjectId(release, 7, 0)), ra, dec, tie)) == (name,)


def test_coinciding_names_get_ties_in_the_order_of_ids(ask):
    places = [(10.0, 5.0), (10.0000001, 5.0000001), (10.0, -5.0), (10.01, 5.0)]
    for n, (ra, dec) in enumerate(places):
        ask(
            "INSERT INTO level1.object (object_id, ra, dec, healpix29, mean_ra, mean_dec)"
            " VALUES (%s, %s, %s, hven.healpix29(%s, %s), %s, %s)",
            (n + 1, *(ra, dec) * 3),
        )
    ties = ask("SELECT array_agg((object_id, name_tie)::text ORDER BY object_id) FROM hven.object_name_ties()")
    assert ties == (["(1,0)", "(2,1)", "(3,0)", "(4,0)"],)


@pytest.fixture
def polar_visits(connection):
    """Return the parameters and Visits of a sky near the pole, whose Exposures are in the database."""
    sky = Parameters(ra=0.1, dec=-89.0)
    visits = make_visits(sky, 1, 4)
    load(connection, "level1.filter", rows.filters())
    load(connection, "level1.detector", rows.detectors(sky))
    load(connection, "level1.visit", rows.visits(visits, sky))
    with connection.cursor() as cursor:
        for visit in visits:
            for exposure in rows.difference_exposures(visit, sky):
                names, slots = ", ".join(exposure), ", ".join(["%s"] * len(exposure))
                cursor.execute(f"INSERT INTO level1.exposure ({names}) VALUES ({slots})", list(exposure.values()))
    return sky, visits


def test_exposures_that_cover_a_place_are_found_by_index(connection, polar_visits):
    _, visits = polar_visits
    offsets = [projected(200.0, -89.2, visit["ra"], visit["dec"]) for visit in visits]
    half = np.tan(np.radians(1.75)) * 206264.8
    expected = sum(max(abs(x), abs(y)) < half for x, y in offsets)
    assert expected > 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT visit_id), count(*) FROM hven.exposures_covering(200, -89.2)")
        assert cursor.fetchone() == (expected, expected)
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT exposure_id FROM hven.exposures_covering(200, -89.2)")
        assert "exposure_footprint_idx" in str(cursor.fetchall())
