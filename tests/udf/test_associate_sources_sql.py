import numpy as np
import psycopg2
import pytest

from pipelines.simulate.places import shifted
from tests.udf.test_real_association import rows_of


def stage(night, count=200, attempt=0, release=0, noise=0.03):
    """Stage Sources of Objects of the sky, one in ten of nothing; return the Objects' ids by Source (0 = none)."""
    ids, *places = zip(*night.rows("SELECT object_id, ra, dec FROM object ORDER BY 1 LIMIT %s", count), strict=True)
    ra, dec = shifted(*np.array(places), *np.random.default_rng(4).normal(0, noise, (2, count)))
    truth = np.array(ids)
    nothing = np.arange(count) % 10 == 0
    dec, truth = np.where(nothing, dec + 0.5, dec), np.where(nothing, 0, truth)
    table = {"ra": ra, "dec": dec, "ra_err": np.full(count, noise), "dec_err": np.full(count, noise)}
    staged, order = rows_of(night.ids[0], table)
    job = night.job()
    staged |= {"source_id": staged.pop("dia_source_id") + attempt + (release << 57), "job_id": np.full(count, job),
               "midpoint_tai": np.full(count, 60000.6)}  # fmt: skip
    night.stage_rows(job, staged, table="staging.source")
    return truth[order]


def test_sources_find_their_objects_and_make_none(night):
    objects = night.ask("SELECT count(*) FROM level1.object")
    truth = stage(night)
    report = night.ask("SELECT hven.associate_sources(%s)", night.ids[0])
    rows = night.rows("SELECT coalesce(object_id, 0) FROM level1.source ORDER BY source_id")
    assert np.mean(np.ravel(rows) == truth) > 0.99
    assert report["sources"] == truth.size
    assert report["unmatched"] == pytest.approx((truth == 0).sum(), abs=2)
    assert night.ask("SELECT count(*) FROM level1.object") == objects
    assert night.rows("SELECT FROM staging.source") == []


def test_another_attempt_takes_the_place_of_the_first(night):
    stage(night)
    night.ask("SELECT hven.associate_sources(%s)", night.ids[0])
    truth = stage(night, attempt=1)
    night.ask("SELECT hven.associate_sources(%s)", night.ids[0])
    held = "SELECT count(*) FROM level1.source WHERE time_withdrawn IS NULL"
    assert night.ask(held) == truth.size == night.ask("SELECT count(*) / 2 FROM level1.source")


def test_staged_sources_that_differ_from_the_report_are_refused(night):
    stage(night)
    night.do("DELETE FROM staging.source WHERE source_id IN (SELECT min(source_id) FROM staging.source)")
    with pytest.raises(psycopg2.Error, match="associate_sources: Visit .*: staging.source of job .*: 199") as caught:
        night.ask("SELECT hven.associate_sources(%s)", night.ids[0])
    assert caught.value.pgcode == "VN021"


def test_a_visit_without_sources_is_no_fault(night):
    assert night.ask("SELECT hven.associate_sources(%s)", night.ids[0])["sources"] == 0


def test_an_unknown_parameter_is_refused_by_name(night):
    with pytest.raises(psycopg2.Error, match="associate_sources: parameter radius is unknown, allowed are") as caught:
        night.ask("SELECT hven.associate_sources(%s, parameters => %s)", night.ids[0], '{"radius": 1}')
    assert caught.value.pgcode == "VN023"
