import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udf.variability import PAIRED, SINGLE_WEIGHT, LightCurves, stetson_j, welch_stetson_i

FIELDS = ("object_ids", "filters", "tai", "flux", "error")


def curves(rows):
    """Light curves of (object, filter, tai, flux, error), sorted."""
    table = np.array(sorted(rows, key=lambda row: (row[0], row[2]))).reshape(-1, 5)
    return LightCurves(table[:, 0].astype(int), table[:, 1].astype(int), *table[:, 2:].T)


def deltas(rows):
    weight = [1 / row[4] ** 2 for row in rows]
    mean = sum(w * row[3] for w, row in zip(weight, rows, strict=True)) / sum(weight)
    return [(len(rows) / (len(rows) - 1)) ** 0.5 * (row[3] - mean) / row[4] if len(rows) > 1 else 0.0 for row in rows]


def slow_j(rows):
    """Stetson's J of the measurements of one Object in one filter, by its definition."""
    delta, total, weights, n = deltas(rows), 0.0, 0.0, 0
    while n < len(rows):
        paired = n + 1 < len(rows) and rows[n + 1][2] - rows[n][2] <= PAIRED
        product = delta[n] * delta[n + 1] if paired else delta[n] ** 2 - 1
        weight = 1.0 if paired else SINGLE_WEIGHT
        total, weights = total + weight * np.sign(product) * abs(product) ** 0.5, weights + weight
        n += 2 if paired else 1
    return total / weights


def slow_i(rows):
    """Welch and Stetson's I of the measurements of one Object, and the number of pairs."""
    delta = dict(zip(map(id, rows), [0.0] * len(rows), strict=True))
    for band in {row[1] for row in rows}:
        own = [row for row in rows if row[1] == band]
        delta |= dict(zip(map(id, own), deltas(own), strict=True))
    total, pairs, n = 0.0, 0, 0
    while n + 1 < len(rows):
        one, two = rows[n], rows[n + 1]
        if one[1] != two[1] and two[2] - one[2] <= PAIRED:
            total, pairs, n = total + delta[id(one)] * delta[id(two)], pairs + 1, n + 1
        n += 1
    return (total / (pairs * (pairs - 1)) ** 0.5 if pairs > 1 else None), pairs


row = st.tuples(
    st.integers(1, 3), st.integers(1, 2), st.integers(0, 40).map(lambda n: n / 60), st.floats(-9, 9), st.floats(0.1, 2)
)


@given(st.lists(row, max_size=25, unique_by=lambda one: (one[0], one[2])))
def test_both_indices_are_what_their_definitions_say(rows):
    got_j = {(o, f): j for o, f, j in zip(*stetson_j(curves(rows)), strict=True)}
    got_i = {o: (i, n) for o, i, n in zip(*welch_stetson_i(curves(rows)), strict=True)}
    rows = sorted(rows, key=lambda one: (one[0], one[2]))
    groups = {(o, f): [r for r in rows if r[:2] == (o, f)] for o, f in {r[:2] for r in rows}}
    want_j = {key: slow_j(own) for key, own in groups.items() if len(own) > 1}
    want_i = {o: slow_i([r for r in rows if r[0] == o]) for o in {r[0] for r in rows}}
    assert got_j == pytest.approx(want_j)
    assert got_i == pytest.approx({o: pytest.approx(both) for o, both in want_i.items() if both[1] > 1})


def test_noise_scores_near_nothing_and_a_wave_scores_high():
    random = np.random.default_rng(1)
    tai = np.repeat(np.arange(200.0), 2) + np.tile([0, 0.02], 200)
    noise = random.normal(size=400)
    rows = [[n, b, t, f, 1.0] for n, flux in enumerate((noise, noise + 5 * np.sin(tai))) for t, f, b in
            zip(tai, flux, np.tile([1, 2], 200), strict=True)]  # fmt: skip
    still, wave = welch_stetson_i(curves(rows))[1]
    assert abs(still) < 2
    assert wave == pytest.approx(25 / 2, abs=1.5)
    still, wave = stetson_j(curves(rows))[2].reshape(2, 2)
    assert (abs(still) < 0.5).all()  # the expectation for single measurements of noise is -0.35
    assert (wave > 2).all()


def test_no_measurement_gives_no_score():
    assert all(column.size == 0 for column in (*stetson_j(curves([])), *welch_stetson_i(curves([]))))
