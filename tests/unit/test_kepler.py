"""Two-body orbits by their elements."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.mops.kepler import ELEMENTS, GM_SUN, elements_of, ephemeris, states
from pipelines.simulate import orbits
from pipelines.simulate.places import position

EPOCH = 60000.0


def one(q, e, i=10.0, node=20.0, turn=30.0, perihelion=EPOCH):
    return np.array([(q, e, i, node, turn, perihelion)], ELEMENTS)


orbit = st.builds(
    one, st.floats(0.1, 40), st.one_of(st.floats(0, 0.99), st.floats(1.01, 4)), st.floats(0.5, 179.5),
    st.floats(0, 359.9), st.floats(0, 359.9), st.floats(EPOCH - 300, EPOCH + 300),
)  # fmt: skip


@settings(deadline=None)
@given(orbit, st.floats(-2000, 2000))
def test_energy_and_angular_momentum_stay(elements, days):
    r, v = states(elements, EPOCH + days)
    q, e = elements["perihelion_distance"][0], elements["eccentricity"][0]
    energy = (v**2).sum() / 2 - GM_SUN / np.linalg.norm(r)
    assert energy == pytest.approx(-GM_SUN * (1 - e) / q / 2, rel=1e-7, abs=1e-10)
    assert np.linalg.norm(np.cross(r, v)) == pytest.approx(np.sqrt(GM_SUN * q * (1 + e)), rel=1e-9)


@settings(deadline=None)
@given(orbit, st.floats(-100, 100))
def test_elements_give_the_state_that_they_were_made_from(elements, days):
    state = states(elements, EPOCH + days)
    again = states(elements_of(*state, EPOCH + days), EPOCH + days + 50)
    assert np.allclose(again[0], states(elements, EPOCH + days + 50)[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("e", [0.999999, 1.0, 1.000001])
def test_nearly_parabolic_orbits_agree_with_barker(e):
    r, _ = states(one(1.0, e), EPOCH + 80)
    w = 3 * np.sqrt(GM_SUN / 2) / 2 * 80  # Barker's equation of a parabola with q = 1
    y = np.cbrt(w + np.sqrt(w**2 + 1))
    assert np.linalg.norm(r) == pytest.approx(1 + (y - 1 / y) ** 2, rel=1e-5)


def test_places_are_those_of_the_simulator():
    moving = orbits.through_field(50, 40.0, 10.0, 1.0, EPOCH, np.random.default_rng(3))
    elements = elements_of(moving["position"], moving["velocity"], EPOCH)
    found = ephemeris(elements, EPOCH + 7)
    ra, dec = position(orbits.directions(moving, EPOCH, EPOCH + 7)[0])
    assert np.abs((found["ra"] - ra) * np.cos(np.radians(dec))).max() * 3600 < 1e-4
    assert np.abs(found["dec"] - dec).max() * 3600 < 1e-4


def test_rates_are_differences_of_places():
    elements = one(1.5, 0.2)
    before, at, after = (ephemeris(elements, EPOCH + 5 + step) for step in (-0.1, 0, 0.1))
    assert at["dec_rate"] == pytest.approx((after["dec"] - before["dec"]) / 0.2, rel=1e-4)
