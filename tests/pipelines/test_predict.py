"""NightMOPS: predictions for a Visit are where the simulator's own orbits are."""

import numpy as np
import pytest

from pipelines.mops.kepler import elements_of
from pipelines.productions.predict import places
from pipelines.simulate import orbits
from pipelines.simulate.places import position

EPOCH, FIELD = 61000.2, (150.0, 2.0)


@pytest.fixture(scope="module")
def asteroids():
    return orbits.through_field(50, *FIELD, 0.2, EPOCH, np.random.default_rng(3))


def rows_of(asteroids, residual=None):
    elements = elements_of(asteroids["position"], asteroids["velocity"], EPOCH)
    return [(number, *map(float, row), residual) for number, row in enumerate(elements, 1)]


def test_predictions_are_where_the_simulator_has_the_asteroids(asteroids):
    tai = EPOCH + 0.3
    found = places(rows_of(asteroids), FIELD, tai)
    vectors, *_ = orbits.directions(asteroids, EPOCH, tai)
    ra, dec = position(vectors)
    assert found["ids"] == list(range(1, 51))
    assert np.max(np.hypot(np.array(found["ra"]) - ra, np.array(found["dec"]) - dec)) * 3600 < 0.01


def test_what_stands_elsewhere_is_not_predicted(asteroids):
    assert places(rows_of(asteroids), (FIELD[0] + 30, FIELD[1]), EPOCH)["ids"] == []


def test_the_residual_of_the_orbit_is_the_error(asteroids):
    assert places(rows_of(asteroids, 0.2), FIELD, EPOCH)["err"] == [0.2] * 50
