import numpy as np
import psycopg2
import pytest

from db.connect import connect
from pipelines.productions import simulated_sky
from pipelines.simulate.detections import DETECTION, detect
from udf.sky.healpix import pixels


def test_detections_find_the_objects_that_they_are(night):
    objects = [one for (one,) in night.rows("SELECT object_id FROM level1.object ORDER BY healpix29, object_id")]
    found, report = night.run(0)
    mine = [one for (one,) in night.rows("SELECT object_id FROM level1.dia_source ORDER BY dia_source_id")]
    truth = found["truth"]
    known = [(got, objects[t]) for got, t in zip(mine, truth, strict=True) if 0 <= t < len(objects)]
    assert report["dia_sources"] == found.size
    assert sum(got == right for got, right in known) >= 0.99 * len(known) > 100


def test_a_second_detection_of_something_new_finds_the_same_object(night):
    first, _ = night.run(0)
    night.run(1)
    transients = first["truth"] >= night.sky.objects.size
    assert transients.sum() >= 3
    again = night.rows("SELECT count(*) FROM level1.dia_source JOIN level1.object o USING (object_id)"
                       " WHERE o.time_processed IS NOT NULL GROUP BY o.object_id HAVING count(*) = 2")  # fmt: skip
    assert len(again) >= 3


def test_the_rejected_are_kept_and_flagged(night):
    _, report = night.run(0, min_reliability=0.8)
    assert report["rejected"] > 5
    kept = night.ask("SELECT count(*) FROM level1.dia_source WHERE rejected AND object_id IS NULL")
    assert kept == report["rejected"]


def test_staging_is_empty_afterwards_and_the_order_is_logged(night):
    found, _ = night.run(0)
    assert night.rows("SELECT FROM staging.dia_source") == night.rows("SELECT FROM staging.dia_source_snap") == []
    assert night.rows("SELECT visit_id, pass, dia_sources FROM level1.order_log") == [(night.ids[0], 1, found.size)]
    assert night.ask("SELECT state FROM level1.visit WHERE visit_id = %s", night.ids[0]) == "associated"


def test_a_visit_without_detections_is_associated(night):
    job = night.job()
    night.stage_rows(job, simulated_sky.staged_dia_sources(np.empty(0, DETECTION), night.visits[0], job_id=job))
    assert night.associate(0, [job])["dia_sources"] == 0
    assert night.ask("SELECT count(*) FROM level1.order_log") == 1


@pytest.mark.parametrize(
    "tamper",
    [
        "DELETE FROM staging.dia_source WHERE dia_source_id IN (SELECT min(dia_source_id) FROM staging.dia_source)",
        "UPDATE staging.dia_source SET healpix29 = 1 WHERE psf_flux IN (SELECT max(psf_flux) FROM staging.dia_source)",
        "DELETE FROM staging.dia_source_snap WHERE snap = 2",
        "UPDATE queue.job SET state = 'running'",
    ],
)
def test_staged_rows_that_differ_from_the_report_are_refused(night, tamper):
    night.stage(0)
    night.do(tamper)
    message = r"associate_visit: Visit \d+: staging.dia_source.* of job \d+: .* staged, .* reported"
    with pytest.raises(psycopg2.Error, match=message) as caught:
        night.associate(0)
    assert caught.value.pgcode == "VN021"
    assert "Delete the Visit's staged rows" in caught.value.diag.message_hint


def test_staged_rows_that_vanished_altogether_are_refused_when_the_job_is_named(night):
    job, found = night.stage(0)
    night.do("DELETE FROM staging.dia_source")
    with pytest.raises(psycopg2.Error, match=f"staging.dia_source of job {job}: 0 rows staged, {found.size} reported"):
        night.associate(0, [job])


def test_absurdly_many_new_objects_leave_all_in_staging(night):
    night.stage(0)
    night.do("SAVEPOINT before")
    with pytest.raises(psycopg2.Error, match=r"associate_visit: \d+ new Objects, allowed are 3") as caught:
        night.associate(0, most_new=3)
    assert caught.value.pgcode == "VN022"
    night.do("ROLLBACK TO before")
    assert night.ask("SELECT count(*) FROM staging.dia_source") > 100
    assert night.associate(0)["new_objects"] > 3


def test_an_unknown_visit_is_refused(night):
    with pytest.raises(psycopg2.Error, match="associate_visit: there is no Visit 1") as caught:
        night.ask("SELECT hven.associate_visit(1)")
    assert caught.value.pgcode == "VN020"


def test_an_unknown_parameter_is_refused(night):
    with pytest.raises(psycopg2.Error, match="associate_visit: parameter radius is unknown") as caught:
        night.associate(0, radius=1)
    assert caught.value.pgcode == "VN023"


def test_a_snapshot_that_can_t_see_other_visits_is_refused(shared_database):
    session = connect(shared_database)
    session.set_session(isolation_level="REPEATABLE READ")
    with session.cursor() as cursor, pytest.raises(psycopg2.Error, match="isolation is repeatable read"):
        cursor.execute("SELECT hven.associate_visit(1)")
    session.close()


def test_each_step_is_timed(night):
    _, report = night.run(0)
    assert {"solve", "association_candidates", "association_link"} <= set(report["milliseconds"])


def test_an_object_far_from_its_indexed_place_is_found_at_its_mean_position(night):
    _, found = night.stage(0)
    one = int(np.flatnonzero((found["truth"] >= 0) & (found["truth"] < night.sky.objects.size))[0])
    ids = [one for (one,) in night.rows("SELECT object_id FROM level1.object ORDER BY healpix29, object_id")]
    wanted = ids[found["truth"][one]]
    elsewhere = "dec = dec + 0.01, healpix29 = hven.healpix29(ra, dec + 0.01)"
    night.do(f"UPDATE level1.object SET {elsewhere} WHERE object_id = %s", wanted)
    night.ask("SELECT hven.mark_moved(%s)", [wanted])
    night.associate(0)
    assert night.rows("SELECT object_id FROM level1.dia_source ORDER BY dia_source_id")[one] == (wanted,)


def test_new_objects_whose_names_coincide_get_places_in_the_order_of_discovery(night):
    for index, north in enumerate([(0.01, 0.05), (0.01, 0.05, 0.09, 0.12)]):
        found = detect(night.sky, night.visits[index])[: len(north)].copy()
        for name, value in {"ra": 150.00001, "ra_err": 0.002, "dec_err": 0.002, "ra_dec_cov": 0}.items():
            found[name] = value
        found["rank"] = np.arange(found.size)
        found["detector_id"], found["extendedness"], found["reliability"], found["psf_flux"] = 0, 0, 1, 1000
        found["dec"] = 2 + np.array(north) / 3600  # names are of cells of 0.1″
        found["healpix29"] = pixels(found["ra"], found["dec"])
        job = night.job()
        night.stage_rows(job, simulated_sky.staged_dia_sources(found, night.visits[index], job_id=job))
        night.associate(index, floor_arcsec=0.001)
    ties = night.rows("SELECT name_tie FROM level1.object WHERE abs(ra - 150.00001) < 1e-9 ORDER BY dec")
    assert ties == [(0,), (1,), (2,), (0,)]
    names = "SELECT count(DISTINCT hven.object_name(object_id, ra, dec, name_tie)) FROM level1.object o"
    assert night.ask(f"{names} WHERE prior_weight = 0") == 4
