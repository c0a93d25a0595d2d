"""What every function on the sky declares, and that it keeps it."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udf import deploy
from udf.sky.cover import unit_vectors

HEADS = [
    head
    for name, file in deploy.read().items()
    if name.startswith(("sky/", "light_curve", "variability"))
    for head in re.findall(r"(?s)CREATE OR REPLACE FUNCTION hven\.(\w+)(\(.*?)(?:AS \$|\nRETURN )", file.text)
]


DEGREES = st.integers(0, 360_000_000).map(lambda n: n / 1e6)


@pytest.mark.parametrize(("name", "head"), HEADS, ids=[name for name, _ in HEADS])
def test_each_states_volatility_parallel_safety_cost_and_rows(name, head):
    assert re.search("IMMUTABLE|STABLE", head)
    assert "PARALLEL" in head
    assert "COST" in head
    assert "ROWS" in head or not re.search("SETOF|RETURNS TABLE", head)


@pytest.mark.parametrize(
    "call",
    [
        "WHERE hven.sky_within(ra, dec, ra + 1e-4, dec, 1)",
        "WHERE hven.sky_in_polygon(ra, dec, hven.sky_spoly(ARRAY[ra, ra + 1, ra + 1], ARRAY[dec, dec, dec + 0.1]))",
        "WHERE hven.sky_in_box(ra, dec, 350, 10, -10, 10)",
        "WHERE hven.sky_in_ellipse(ra, dec, ra, dec, 2, 1, 0)",
        "WHERE hven.sky_in_moc(healpix29, '1/0-47')",
        "CROSS JOIN LATERAL hven.sky_cone(NULL::trial.with_gist, t.ra, t.dec, 1)",
        "CROSS JOIN LATERAL hven.sky_cone(NULL::trial.with_pixels, t.ra, t.dec, 1)",
        "CROSS JOIN LATERAL hven.sky_box(NULL::trial.with_gist, t.ra, t.ra + 1e-4, t.dec, t.dec + 1e-5)",
        "CROSS JOIN LATERAL hven.healpix_ranges_cone(t.ra, t.dec, 1)",
        "CROSS JOIN LATERAL hven.healpix_neighbours(healpix29, 29)",
        "CROSS JOIN LATERAL hven.sky_nearest(NULL::trial.with_gist, t.ra, t.dec, 1)",
        "WHERE hven.sky_separation_arcsec(ra, dec, 1, 1) > 0",
        "WHERE hven.healpix29(ra, dec) = healpix29",
    ],
)
def test_what_is_said_to_be_safe_runs_in_a_parallel_query(positions, call):
    positions.ask_nothing("SET LOCAL force_parallel_mode = on")
    rows = "(SELECT * FROM trial.with_pixels WHERE abs(dec) < 89 AND id < 2400) t"
    query = f"SELECT count(*) FROM {rows} {call}"
    plan = str(positions.ask(f"EXPLAIN {query}"))
    assert "Gather" in plan
    assert positions.ask(query)[0][0] > 0


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    DEGREES, st.one_of(DEGREES.map(lambda x: x / 2 - 90), st.sampled_from([90.0, -90.0, 89.99999])),
    st.integers(-20_000, 20_000), st.integers(-20_000, 20_000), st.integers(-2000, 2000),
)  # fmt: skip
def test_motion_is_along_a_straight_line_in_space(positions, ra, dec, pm_ra, pm_dec, years):
    values = (ra, dec, pm_ra, pm_dec, years)
    [(there, up)] = positions.ask("SELECT * FROM hven.sky_at_epoch(%s, %s, %s, %s, %s)", values)
    a, d = np.radians([ra, dec])
    east, north = [-np.sin(a), np.cos(a), 0], [-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)]
    step = np.radians(np.array([pm_ra, pm_dec]) * years / 3.6e6)
    expected = unit_vectors(ra, dec) + step @ np.array([east, north])
    assert 0 <= there < 360 or there == pytest.approx(360)
    assert unit_vectors(there, up) == pytest.approx(expected / np.linalg.norm(expected), abs=1e-14)


def test_null_crossmatches_with_nothing(positions):
    assert positions.ask("SELECT * FROM hven.sky_crossmatch('trial.bare', 'trial.bare', NULL)") == []
