from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udf.association.assign import QUANTUM, assign
from udf.association.births import first_ids, untied
from udf.association.parameters import Parameters
from udf.refused import RefusedError


def by_trying_all(n, m, gain):
    """Targets of each detection (m = new) of the best assignment, by looking at every one."""
    best = None
    for choice in product(range(m + 1), repeat=n):
        real = [j for j in choice if j < m]
        if len(set(real)) < len(real) or any((i, j) not in gain for i, j in enumerate(choice) if j < m):
            continue
        worth = sum(round(gain[i, j] / QUANTUM) for i, j in enumerate(choice) if j < m)
        order = sum((n - i) * (j + 1) for i, j in enumerate(choice))
        if best is None or (-worth, order) < best[0]:
            best = (-worth, order), choice
    return best[1]


gain = st.integers(1, 4).map(float) | st.floats(-3, 9)


@st.composite
def connected(draw):
    """Pairs of up to 4 detections and 4 targets; a chain of good pairs makes them one set."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    pairs = draw(st.dictionaries(st.tuples(st.integers(0, n - 1), st.integers(0, m - 1)), gain))
    for k in range(max(n, m)):
        for i in (k, k + 1):
            pairs[min(i, n - 1), min(k, m - 1)] = draw(st.integers(1, 3).map(float))
    return n, m, pairs


@settings(deadline=None)  # the first call imports scipy
@given(connected())
def test_the_assignment_is_the_best_of_all(case):
    n, m, pairs = case
    which, target = np.array(list(pairs)).T
    made = assign(which, target, np.array(list(pairs.values())))
    got = dict(zip(which[made].tolist(), target[made].tolist(), strict=True))
    best = by_trying_all(n, m, pairs)
    total = sum(round(pairs[i, j] / QUANTUM) for i, j in got.items())
    assert total == sum(round(pairs[i, j] / QUANTUM) for i, j in enumerate(best) if j < m)
    order = [sum((n - i) * (choice.get(i, m) + 1) for i in range(n)) for choice in (got, dict(enumerate(best)))]
    assert order[0] == order[1]


def test_of_equal_pairs_the_first_go_to_the_first():
    which, target = np.divmod(np.arange(9), 3)
    made = assign(which, target, np.ones(9))
    assert (which[made] == target[made]).all()


def test_the_last_of_equal_detections_is_new():
    made = assign(np.arange(3), np.zeros(3, int), np.ones(3))
    assert made.tolist() == [True, False, False]


def test_a_pair_that_gains_nothing_is_not_made():
    assert not assign(np.array([0, 1]), np.array([0, 0]), np.array([-1.0, -np.inf])).any()


def test_nothing_is_assigned_to_nothing():
    assert assign(np.empty(0, int), np.empty(0, int), np.empty(0)).size == 0


def test_new_objects_of_one_pixel_get_ties_that_are_free():
    base = first_ids(2, np.array([1000 << 8, 1000 << 8, 7 << 8]))
    ids = untied(base, np.array([base[0] + 1]))
    assert (ids - base).tolist() == [0, 2, 0]


def test_a_ninth_object_of_one_pixel_is_refused():
    with pytest.raises(RefusedError, match="a ninth Object in the pixel of Object 8, allowed are 8"):
        untied(first_ids(0, np.full(9, 1 << 8)), np.empty(0, int))


def test_an_unknown_parameter_is_refused_by_name():
    with pytest.raises(RefusedError, match="parameter radius is unknown, allowed are radius_arcsec"):
        Parameters.of('{"radius": 1}')


def test_parameters_not_named_keep_their_values():
    assert Parameters.of('{"most_new": 7}') == Parameters(most_new=7)
