"""What association adds up is what all measurements together give."""

import numpy as np
import pytest

from pipelines.simulate.places import shifted
from udf.association.near import DRIFT_ARCSEC
from udf.plane import Places, offsets, turned

POSITION = "mean_ra, mean_dec, ra_err, dec_err, ra_dec_cov, weight_xx, weight_yy, weight_xy, weighted_x, weighted_y"
STATE = {
    "positions": f"SELECT object_id, {POSITION}, prior_weight, dia_sources, first_tai, last_tai FROM level1.object"
                 " WHERE dia_sources > 0 ORDER BY 1",
    "fluxes": "SELECT object_id, filter_id, mean_dia_flux, mean_dia_flux_err, variance, chi2, dia_sources, stetson_j,"
              " amplitude, min_flux, max_flux, first_tai, last_tai, sum_weight FROM level1.object_flux ORDER BY 1, 2",
    "both": "SELECT object_id, welch_stetson_i, pairs FROM level1.object_variability ORDER BY 1",
    "moved": "SELECT object_id, healpix29 FROM level1.object_moved ORDER BY 1",
}  # fmt: skip


def state(night):
    """All summaries, as arrays by table; NULL is NaN."""
    return {name: np.array(night.rows(query), dtype=float) for name, query in STATE.items()}


def assert_same(one, two, rtol=1e-9):
    for name, table in one.items():
        assert table.shape == two[name].shape, name
        # Columns of type real are rounded to 6e-8.
        np.testing.assert_allclose(table, two[name], rtol=2e-7 if name in ("fluxes", "both") else rtol, atol=1e-9)


def everything(night):
    return [one for (one,) in night.rows("SELECT object_id FROM level1.object ORDER BY 1")]


@pytest.fixture
def observed(night):
    for index in range(6):
        night.run(index)
    return night


def test_sums_that_were_added_to_equal_a_recomputation(observed):
    before = state(observed)
    observed.ask("SELECT hven.recompute_objects(%s)", everything(observed))
    assert len(before["fluxes"]) > 1000
    assert len(before["both"]) > 50
    assert_same(before, state(observed))


def test_a_recomputation_changes_nothing_the_second_time(observed):
    observed.ask("SELECT hven.recompute_objects(%s)", everything(observed))
    once = state(observed)
    observed.ask("SELECT hven.recompute_objects(%s)", everything(observed))
    for name, table in state(observed).items():
        np.testing.assert_array_equal(table, once[name])


def test_mean_positions_are_the_weighted_means_of_the_measurements(observed):
    rows = observed.rows(
        "SELECT o.object_id, o.ra, o.dec, o.mean_ra, o.mean_dec, o.ra_err, o.dec_err, o.ra_dec_cov, o.prior_weight,"
        " d.ra, d.dec, d.ra_err, d.dec_err, d.ra_dec_cov"
        " FROM level1.object o JOIN level1.dia_source d USING (object_id) ORDER BY 1"
    )
    table = np.array(rows, dtype=float)
    for own in np.split(table, np.flatnonzero(np.diff(table[:, 0])) + 1)[:200]:
        ra0, dec0, mean_ra, mean_dec, ra_err, dec_err, cov, prior = own[0, 1:9]
        x, y, turn = offsets(own[:, 9], own[:, 10], ra0, dec0)
        xx, yy, xy = turned(Places(own[:, 9], own[:, 10], own[:, 11] ** 2, own[:, 12] ** 2, own[:, 13]), turn)
        inverse = np.linalg.inv(np.moveaxis(np.array([[xx, xy], [xy, yy]]), 2, 0))
        total = inverse.sum(axis=0) + prior * np.eye(2)
        mean = np.linalg.solve(total, np.einsum("nij,nj->i", inverse, np.stack([x, y], axis=-1)))
        got = np.ravel(offsets(np.array([mean_ra]), np.array([mean_dec]), ra0, dec0)[:2])
        np.testing.assert_allclose(got, mean, atol=1e-9)
        np.testing.assert_allclose([[ra_err**2, cov], [cov, dec_err**2]], np.linalg.inv(total), rtol=1e-6, atol=1e-9)


def test_fluxes_are_summed_up_as_numpy_does(observed):
    rows = observed.rows("SELECT object_id, filter_id, psf_flux, psf_flux_err FROM level1.dia_source"
                         " WHERE object_id IS NOT NULL ORDER BY 1, 2")  # fmt: skip
    table = np.array(rows, dtype=float)
    summed = {tuple(row[:2]): row[2:7] for row in state(observed)["fluxes"]}
    for own in np.split(table, np.flatnonzero(np.diff(table[:, :2], axis=0).any(axis=1)) + 1):
        flux, weight = own[:, 2], own[:, 3] ** -2
        mean = np.average(flux, weights=weight)
        variance = flux.var(ddof=1) if flux.size > 1 else np.nan
        expected = mean, weight.sum() ** -0.5, variance, (weight * (flux - mean) ** 2).sum(), flux.size
        np.testing.assert_allclose(summed[tuple(own[0, :2])], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("centre", [(0.0, 89.9999), (359.99999, 0.0), (0.0, -90.0), (10.0, 30.0)])
def test_sql_weighs_positions_as_python_does(night, centre):
    random = np.random.default_rng(5)
    ra, dec = shifted(*np.repeat(np.array(centre)[:, None], 50, axis=1), *random.normal(0, 1, (2, 50)))
    error = random.uniform(0.01, 0.1, (2, 50)).astype("f4")
    both = (error.prod(axis=0) * random.uniform(-0.9, 0.9, 50)).astype("f4")
    got = night.rows(
        "SELECT w.* FROM unnest(%s::float8[], %s::float8[], %s::real[], %s::real[], %s::real[]) AS p (a, d, e, f, c),"
        " hven.position_weight(a, d, e, f, c, %s, %s) w",
        *map(np.ndarray.tolist, (ra, dec, *error, both)), *centre
    )  # fmt: skip
    x, y, turn = offsets(ra, dec, *centre)
    squares = error.astype(float) ** 2
    xx, yy, xy = turned(Places(ra, dec, *squares, both.astype(float)), turn)
    determinant = xx * yy - xy**2
    expected = np.stack([x, y, yy / determinant, xx / determinant, -xy / determinant], axis=-1)
    np.testing.assert_allclose(np.array(got), expected, rtol=1e-8, atol=1e-8)


def test_missing_errors_count_as_a_fifth_of_an_arcsecond(night):
    got = night.rows("SELECT xx, yy, xy FROM hven.position_weight(10, 0, NULL, 0.1, 0, 10, 0)")
    assert np.allclose(got, [[25, 25, 0]])


def test_an_object_that_moved_beyond_the_drift_is_indexed_where_it_is(observed):
    object_id = observed.ask("SELECT object_id FROM level1.object WHERE dia_sources > 3 ORDER BY 1 LIMIT 1")
    observed.do("UPDATE level1.dia_source SET dec = dec + 2.0 / 3600 WHERE object_id = %s", object_id)
    observed.do("UPDATE level1.object SET prior_weight = 0 WHERE object_id = %s", object_id)
    observed.ask("SELECT hven.recompute_objects(%s)", [object_id])
    place = observed.rows(
        "SELECT m.object_id, m.healpix29 = hven.healpix29(o.mean_ra, o.mean_dec)"
        " FROM level1.object_moved m JOIN level1.object o USING (object_id)"
    )
    assert place == [(object_id, True)]


def test_an_object_that_was_never_detected_stays_as_the_release_had_it(night):
    before = night.rows("SELECT * FROM level1.object ORDER BY 1 LIMIT 9")
    night.ask("SELECT hven.recompute_objects(%s)", everything(night))
    assert night.rows("SELECT * FROM level1.object ORDER BY 1 LIMIT 9") == before


def test_python_and_sql_allow_the_same_drift(night):
    assert night.ask("SELECT hven.drift_arcsec()") == DRIFT_ARCSEC


KEPT = """
    SELECT object_id, hven.point(midpoint_tai, psf_flux, psf_flux_err, filter_id) FROM level1.dia_source
    WHERE time_withdrawn IS NULL AND object_id IN (SELECT object_id FROM level1.object WHERE dia_sources > 1)
    EXCEPT ALL
    SELECT v.object_id, substr(v.points, 18 * n + 1, 18)
    FROM level1.object_variability v, generate_series(0, length(v.points) / 18 - 1) n
"""


def test_light_curves_that_are_kept_are_those_of_the_measurements(observed):
    own = "SELECT count(*) FROM level1.dia_source WHERE object_id IN (SELECT object_id FROM level1.object_variability)"
    assert observed.rows(KEPT) == []
    assert observed.ask("SELECT sum(length(points)) / 18 FROM level1.object_variability") == observed.ask(own) > 1000


def test_a_light_curve_that_was_lost_is_read_once_more(night):
    for index in range(4):
        night.run(index)
    night.do("UPDATE level1.object_variability SET points = NULL WHERE object_id %% 3 = 0")
    night.do("DELETE FROM level1.object_variability WHERE object_id %% 3 = 1")
    night.run(4)
    before = state(night)
    night.ask("SELECT hven.recompute_objects(%s)", [int(one) for one in before["both"][:, 0]])
    assert_same(before, state(night))
