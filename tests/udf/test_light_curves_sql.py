import numpy as np
import psycopg2
import pytest

from udf.lomb_scargle import grid, peaks, periodogram


@pytest.fixture
def observed(night):
    for index in range(6):
        night.run(index)
    return night


def brightest(night):
    return night.ask("SELECT object_id FROM level1.object ORDER BY dia_sources DESC, object_id LIMIT 1")


def force(night, object_id, tai, flux):
    """Enter forced measurements of an Object in filter 1, with errors of 1 nJy."""
    night.do(
        "INSERT INTO level1.forced_dia_source (forced_dia_source_id, object_id, exposure_id, visit_id, detector_id,"
        " filter_id, midpoint_tai, ra, dec, healpix29, psf_flux, psf_flux_err)"
        " SELECT d.id + (f.n << 4), d.object_id, d.exposure_id, d.visit_id, d.detector_id, 1, f.tai, d.ra, d.dec,"
        " d.healpix29, f.flux, 1"
        " FROM unnest(%s::float8[], %s::float8[]) WITH ORDINALITY AS f (tai, flux, n),"
        " (SELECT *, dia_source_id AS id FROM level1.dia_source WHERE object_id = %s ORDER BY 1 LIMIT 1) d",
        np.asarray(tai).tolist(), np.asarray(flux).tolist(), object_id
    )  # fmt: skip


def test_one_call_returns_the_whole_light_curve_in_order(observed):
    one = brightest(observed)
    force(observed, one, [60000.9], [1.0])
    rows = observed.rows("SELECT kind, midpoint_tai FROM hven.light_curve(%s)", one)
    assert [kind for kind, _ in rows] == ["dia_source"] * 6 + ["forced_dia_source"]
    assert [tai for _, tai in rows] == sorted(tai for _, tai in rows)


def test_withdrawn_measurements_are_left_out(observed):
    one = brightest(observed)
    observed.do("UPDATE level1.dia_source SET time_withdrawn = 60001 WHERE object_id = %s AND filter_id = 2", one)
    assert len(observed.rows("SELECT FROM hven.light_curve(%s)", one)) == 5


def test_an_unknown_object_has_an_empty_light_curve(night):
    assert night.rows("SELECT FROM hven.light_curve(1)") == []


def test_variability_gives_a_row_for_each_object_and_filter(observed):
    ids = [one for (one,) in observed.rows("SELECT object_id FROM level1.object WHERE dia_sources > 3 LIMIT 9")]
    rows = observed.rows("SELECT object_id, filter_id, dia_sources, pairs FROM hven.variability(%s)", ids)
    own = "SELECT count(DISTINCT (object_id, filter_id)) FROM level1.dia_source WHERE object_id = ANY (%s)"
    assert {row[0] for row in rows} == set(ids)
    assert len(rows) == observed.ask(own, ids)
    assert all(row[3] >= 2 for row in rows)


def test_sql_and_python_find_the_same_period(observed):
    one, tai = brightest(observed), np.random.default_rng(1).uniform(60000, 60001, 60)
    force(observed, one, tai, 50 * np.sin(2 * np.pi * tai / 0.21))
    observed.do("DELETE FROM level1.dia_source WHERE object_id = %s", one)
    rows = observed.rows("SELECT midpoint_tai, filter_id, psf_flux, psf_flux_err FROM hven.light_curve(%s)", one)
    curve = np.array(rows, float).T
    frequency = grid(curve[0], 0.05, 1)
    best = peaks(frequency, periodogram(*curve, frequency)[0], 1)[0]
    period, power, chance = observed.rows("SELECT * FROM hven.lomb_scargle(%s, 0.05, 1)", one)[0]
    assert period == pytest.approx(1 / frequency[best])
    assert period == pytest.approx(0.21, rel=0.05)
    assert power > 0.9
    assert chance < 1e-6


def test_too_short_a_light_curve_has_no_peaks(observed):
    assert observed.rows("SELECT * FROM hven.lomb_scargle(1)") == []


def test_impossible_periods_are_refused(night):
    with pytest.raises(psycopg2.Error, match="lomb_scargle: periods are 2.0 and 1.0 d, allowed is") as caught:
        night.ask("SELECT hven.lomb_scargle(1, 2, 1)")
    assert caught.value.pgcode == "VN023"
