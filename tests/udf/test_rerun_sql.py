"""A Visit that is associated again, or late, or in parts."""

import numpy as np
import pytest

from db.load import Digest, LoadReport
from tests.udf.test_summaries_sql import assert_same, everything, state

FEW = slice(None, None, 20)
"""A few detections of every detector."""
LINKS = "SELECT dia_source_id, object_id FROM level1.dia_source WHERE time_withdrawn IS NULL ORDER BY 1"


def links(night):
    """Objects of the DiaSources that hold, by id without the attempt."""
    return {one >> 4: parent for one, parent in night.rows(LINKS)}


def assert_sound(night):
    """Assert that summaries are those of the rows, and that no Object that holds is without reason."""
    before = state(night)
    night.ask("SELECT hven.recompute_objects(%s)", everything(night))
    assert_same(before, state(night))
    unfounded = "SELECT FROM level1.object WHERE prior_weight = 0 AND (dia_sources = 0) <> (time_withdrawn IS NOT NULL)"
    assert night.rows(unfounded) == []


@pytest.mark.parametrize("attempt", [0, 1])
def test_a_rerun_after_later_visits_and_alerts_changes_no_link(night, attempt):
    for index in range(3):
        night.run(index)
        night.alerts(index)
    before, objects = links(night), everything(night)
    _, report = night.run(0, attempt=attempt)
    assert report["pass"] == 2
    assert report["new_objects"] == 0
    assert links(night) == before
    assert everything(night) == objects
    assert_sound(night)


def test_what_a_rerun_does_not_find_again_is_withdrawn_not_deleted(night):
    found, first = night.run(0)
    _, report = night.run(0, part=FEW, attempt=1)
    assert 0 < report["withdrawn_objects"] <= first["new_objects"]
    assert night.ask("SELECT count(*) FROM level1.dia_source WHERE time_withdrawn IS NOT NULL") >= found.size * 0.9
    assert_sound(night)


def test_objects_that_later_visits_hold_keep_their_id_when_their_discovery_is_withdrawn(night):
    night.run(0)
    new = {one for (one,) in night.rows("SELECT object_id FROM level1.object WHERE prior_weight = 0")}
    night.run(1)
    shared = new & {one for (one,) in night.rows("SELECT object_id FROM level1.object WHERE dia_sources = 2")}
    assert shared
    night.run(0, part=FEW, attempt=1)
    held = {one for (one,) in night.rows("SELECT object_id FROM level1.object WHERE time_withdrawn IS NULL")}
    assert shared <= held
    assert_sound(night)


def test_an_object_that_is_found_again_in_a_later_rerun_is_revived(night):
    night.run(0)
    before, objects = links(night), everything(night)
    night.run(0, part=FEW, attempt=1)
    night.run(0, attempt=2)
    assert links(night) == before
    assert everything(night) == objects
    assert_sound(night)


def test_detectors_that_come_late_are_associated_in_a_second_pass(night):
    night.run(0)
    whole = links(night)
    night.do("ROLLBACK TO SAVEPOINT test")
    late = 3
    night.run(0, part=lambda found: found["detector_id"] != late)
    first = links(night)
    _, report = night.run(0, part=lambda found: found["detector_id"] == late)
    assert report["pass"] == 2
    assert report["withdrawn_objects"] == 0
    assert first.items() < links(night).items()
    same = [links(night)[one] == parent for one, parent in whole.items()]
    assert np.mean(same) > 0.99
    assert_sound(night)


def test_an_object_is_not_matched_twice_in_one_visit(night):
    night.run(0, part=lambda found: found["detector_id"] == 0)
    job = night.job()  # that brings the same detections once more, as another detector's
    columns = "dia_source_id + (1::bigint << 23) AS dia_source_id, 1::smallint AS detector_id"
    rest = night.ask(
        "SELECT string_agg(attname, ', ') FROM pg_attribute WHERE attrelid = 'staging.dia_source'::regclass"
        " AND attnum > 0 AND attname NOT IN ('dia_source_id', 'detector_id', 'job_id')"
    )
    night.do(f"INSERT INTO staging.dia_source (dia_source_id, detector_id, {rest}, job_id)"
             f" SELECT {columns}, {rest}, %s FROM level1.dia_source", job)  # fmt: skip
    digest = Digest(
        *night.rows("SELECT count(*), bit_xor(dia_source_id), bit_xor(healpix29) FROM staging.dia_source")[0]
    )
    night.finish(job, [LoadReport("staging.dia_source", digest[0], digest)])
    night.associate(0)
    parents = [one for (one,) in night.rows("SELECT object_id FROM level1.dia_source WHERE object_id IS NOT NULL")]
    assert len(parents) == len(set(parents)) > digest[0]


def test_a_detector_that_finds_nothing_the_second_time_loses_its_rows(night):
    night.run(0)
    detector = night.ask("SELECT min(detector_id) FROM level1.dia_source")
    job = night.job(detector_id=detector)
    night.finish(job, [])
    night.associate(0, [job])
    assert night.rows("SELECT FROM level1.dia_source WHERE detector_id = %s AND time_withdrawn IS NULL", detector) == []
    assert night.ask("SELECT count(*) FROM level1.dia_source WHERE time_withdrawn IS NULL") > 20
    assert_sound(night)
