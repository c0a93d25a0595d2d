import numpy as np

from tests.udf.test_rerun_sql import assert_sound
from udf.deduplicate import mutual
from udf.plane import Places


def split(night, object_id):
    """Give two DiaSources of an Object to a new one, as if association had missed; return the new one."""
    double = object_id + 1
    night.do(
        "INSERT INTO level1.object (object_id, ra, dec, healpix29, mean_ra, mean_dec, prior_weight, first_tai,"
        " time_processed) SELECT %s, ra, dec, healpix29, mean_ra, mean_dec, 0, last_tai, 0"
        " FROM level1.object WHERE object_id = %s",
        double, object_id,
    )  # fmt: skip
    night.do(
        "UPDATE level1.dia_source SET object_id = %s WHERE dia_source_id IN (SELECT dia_source_id"
        " FROM level1.dia_source WHERE object_id = %s ORDER BY 1 DESC LIMIT 2)", double, object_id
    )  # fmt: skip
    night.ask("SELECT hven.recompute_objects(%s)", [object_id, double])
    return double


def observed(night, visits=5):
    for index in range(visits):
        night.run(index)
    often = night.rows("SELECT object_id FROM level1.object WHERE dia_sources = 5 ORDER BY 1 LIMIT 4")
    return [one for (one,) in often]


def test_an_object_and_its_double_are_merged(night):
    objects = observed(night)
    counts = "SELECT object_id, dia_sources FROM level1.object WHERE object_id = ANY (%s) ORDER BY 1"
    before = night.rows(counts, objects)
    doubles = [split(night, one) for one in objects]
    assert night.ask("SELECT hven.deduplicate_objects()")["merged"] >= len(doubles)
    assert night.rows(counts, objects) == before
    held = "SELECT FROM level1.object WHERE object_id = ANY (%s) AND time_withdrawn IS NULL"
    assert night.rows(held, doubles) == []
    assert_sound(night)


def test_two_objects_that_one_visit_saw_both_of_stay_two(night):
    object_id = observed(night)[0]
    double = split(night, object_id)
    night.do("UPDATE level1.dia_source SET visit_id = %s WHERE object_id = ANY (%s)", night.ids[0], [object_id, double])
    night.ask("SELECT hven.deduplicate_objects()")
    assert night.rows("SELECT FROM level1.object WHERE object_id = %s AND time_withdrawn IS NULL", double) == [()]


def test_batches_give_the_same(night):
    doubles = [split(night, one) for one in observed(night)]
    assert night.ask("SELECT hven.deduplicate_objects(batch => 3)")["merged"] >= len(doubles)


def test_alerts_of_a_merged_object_keep_the_id_that_they_were_sent_with(night):
    object_id = observed(night)[0]
    double = split(night, object_id)
    night.alerts(4, rule="visit")
    sent = night.rows("SELECT object_id FROM level1.alert ORDER BY 1")
    night.ask("SELECT hven.deduplicate_objects()")
    assert night.rows("SELECT object_id FROM level1.alert ORDER BY 1") == sent
    assert (double,) in sent


def test_only_mutual_nearest_ones_are_paired():
    dec = np.array([0.0, 0.1, 0.15, 5.0]) / 3600
    places = Places(np.zeros(4), dec, *np.full((2, 4), 0.01), np.zeros(4))
    number, row = np.array([(i, j) for i in range(4) for j in range(4)]).T
    assert [ends.tolist() for ends in mutual(places, number, row, 1.0, 3.0)] == [[1], [2]]


def test_health_tells_what_association_did(night):
    for index in range(4):
        found, report = night.run(index)
    health = dict(night.rows("SELECT metric, value FROM hven.association_health(%s)", night.ids[3]))
    assert health["dia_sources"] == found.size
    assert health["matched"] * found.size == report["matched"]
    assert health["new"] * found.size == report["new_objects"]
    assert 0.005 < health["separation"] < 0.2
    assert 0.7 < health["pull"] < 1.6
