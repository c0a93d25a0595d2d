"""Single detections that turn out to be a MovingObject's (LDM-151, 2.3)."""

import psycopg2
import pytest

from tests.udf.test_rerun_sql import assert_sound

CLAIM = "SELECT linked, retired FROM hven.claim_dia_sources(%s, %s, %s, %s)"


@pytest.fixture
def alerted(night):
    """The night after two Visits with Alerts, without predictions, and the moving objects entered."""
    night.predict(5)
    for index in range(2):
        night.run(index)
        night.alerts(index, rule="visit")
    return night


def lone(night, count=1):
    """DiaSources of Objects found at night that have no other, with those Objects."""
    return night.rows(
        "SELECT d.dia_source_id, o.object_id FROM level1.object o JOIN level1.dia_source d USING (object_id)"
        " WHERE o.dia_sources = 1 AND o.prior_weight = 0 ORDER BY 1 LIMIT %s", count
    )  # fmt: skip


def test_an_object_of_a_single_detection_is_deleted_and_its_id_is_kept(alerted):
    (one, parent), (two, other) = lone(alerted, 2)
    assert alerted.rows(CLAIM, [one, two], [3, 4], [1.0, 2.0], [0.0, 0.0]) == [(2, 2)]
    row = "SELECT object_id, moving_object_id, ss_ra FROM level1.dia_source WHERE dia_source_id = %s"
    assert alerted.rows(row, one) == [(None, 3, 1.0)]
    assert alerted.rows("SELECT FROM level1.object WHERE object_id = ANY (%s)", [parent, other]) == []
    assert alerted.rows("SELECT FROM level1.object_flux WHERE object_id = %s", parent) == []
    retired = "SELECT moving_object_id, dia_source_id FROM level1.object_retired WHERE object_id = %s"
    assert alerted.rows(retired, parent) == [(3, one)]
    assert alerted.rows("SELECT object_id FROM level1.alert WHERE dia_source_id = %s", one) == [(parent,)]
    assert_sound(alerted)


def test_an_object_with_other_detections_is_kept_and_summed_up_anew(alerted):
    one, parent = alerted.rows(
        "SELECT d.dia_source_id, object_id FROM level1.object JOIN level1.dia_source d USING (object_id)"
        " WHERE dia_sources = 2 ORDER BY 1 LIMIT 1"
    )[0]
    assert alerted.rows(CLAIM, [one], [3], [1.0], [0.0]) == [(1, 0)]
    assert alerted.rows("SELECT dia_sources FROM level1.object WHERE object_id = %s", parent) == [(1,)]
    assert_sound(alerted)


def test_a_retired_id_is_not_given_again(alerted):
    ((one, parent),) = lone(alerted)
    alerted.rows(CLAIM, [one], [3], [1.0], [0.0])
    taken = alerted.ask("SELECT hven.association_taken(%s)", [parent & ~7])
    assert parent in [int.from_bytes(taken[n : n + 8], "big") for n in range(0, len(taken), 8)]


@pytest.mark.parametrize(
    ("ids", "moving", "message"),
    [
        ([1], [3], "claim_dia_sources: there is no DiaSource 1"),
        ([0], [99], "claim_dia_sources: there is no MovingObject 99"),
        ([0, 0], [3], "claim_dia_sources: got 2 DiaSources, 1 MovingObjects, 1 and 1 coordinates; allowed are equal"),
    ],
)
def test_an_impossible_claim_is_refused(alerted, ids, moving, message):
    one = lone(alerted)[0][0]
    ids = [one if value == 0 else value for value in ids]
    with pytest.raises(psycopg2.Error, match=message) as caught:
        alerted.rows(CLAIM, ids, moving, [1.0], [0.0])
    assert caught.value.pgcode == "VN024"
