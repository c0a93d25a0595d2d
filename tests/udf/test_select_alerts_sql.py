import numpy as np
import psycopg2
import pytest

from udf.plane import separations

ALERTS = "SELECT dia_source_id, version, cites_as, object_id, is_moving, rule FROM level1.alert ORDER BY 1, 2"


@pytest.fixture
def associated(night):
    """The night after the association of its first Visit, and that Visit's detections by id."""
    night.predict(0)
    found, _ = night.run(0)
    return night, found


def passing(found, rule):
    """Which detections pass a Snap rule, by its words."""
    sign = np.sign(found["psf_flux"])
    snaps = (found["snap_flux"] / found["snap_flux_err"]).astype("f4") * sign[:, None]
    return {
        "each_snap": (snaps >= 5).all(axis=1),
        "visit_and_each_snap": (snaps >= 3).all(axis=1) & (found["snr"] >= 5),
        "visit": found["snr"] >= 5,
    }[rule]


@pytest.mark.parametrize("rule", ["each_snap", "visit_and_each_snap", "visit"])
def test_a_detection_becomes_an_alert_by_the_snap_rule(associated, rule):
    night, found = associated
    good = night.rows("SELECT NOT rejected FROM level1.dia_source ORDER BY dia_source_id")
    expected = passing(found, rule) & np.ravel(good) & (found["truth"] != -2)  # without cosmic rays
    report = night.alerts(0, rule=rule, snap_fraction=9)
    assert report["alerts"] == expected.sum() > 50
    ids = [one for (one,) in night.rows("SELECT dia_source_id FROM level1.dia_source ORDER BY 1")]
    assert [row[0] for row in night.rows(ALERTS)] == np.array(ids)[expected].tolist()
    assert {row[5] for row in night.rows(ALERTS)} == {rule}


def test_a_flux_that_one_snap_alone_has_is_no_alert(associated):
    night, _ = associated
    one = night.ask("SELECT dia_source_id FROM level1.dia_source WHERE psf_flux > 0 ORDER BY snr DESC LIMIT 1")
    night.do("UPDATE level1.dia_source_snap SET psf_flux = 2 * psf_flux, psf_flux_err = psf_flux / 8"
             " WHERE dia_source_id = %s AND snap = 1", one)  # fmt: skip
    night.alerts(0)
    assert one not in [row[0] for row in night.rows(ALERTS)]


def test_a_snap_that_looks_like_a_cosmic_ray_is_no_alert(associated):
    night, _ = associated
    one = night.ask("SELECT dia_source_id FROM level1.dia_source ORDER BY snr DESC LIMIT 1")
    night.do("UPDATE level1.dia_source_snap SET cosmic_ray_like = true WHERE dia_source_id = %s AND snap = 2", one)
    night.alerts(0)
    assert one not in [row[0] for row in night.rows(ALERTS)]


def test_a_visit_of_one_snap_is_judged_by_its_sum(associated):
    night, found = associated
    night.do("UPDATE level1.visit SET snaps = 1")
    night.do("DELETE FROM level1.dia_source_snap")
    rejected = night.ask("SELECT count(*) FROM level1.dia_source WHERE rejected")
    assert night.alerts(0)["alerts"] == found.size - rejected
    exposures = night.rows("SELECT DISTINCT cardinality(exposure_id) FROM level1.alert")
    assert exposures == [(1,)]


def test_known_moving_objects_are_alerted_and_marked(associated):
    night, found = associated
    assert (found["truth"] <= -3).sum() >= 2
    matched = night.ask("SELECT count(*) FROM level1.dia_source WHERE moving_object_id > 0 AND ss_ra IS NOT NULL")
    assert matched >= (found["truth"] <= -3).sum() - 1
    night.alerts(0, rule="visit")
    assert sum(row[4] for row in night.rows(ALERTS)) >= matched - 1


def test_each_alert_waits_in_the_outbox_and_has_its_exposures(associated):
    night, _ = associated
    alerts = night.alerts(0)["alerts"]
    both = "level1.outbox JOIN level1.alert USING (dia_source_id, version)"
    waiting = night.rows(f"SELECT state, stream, cardinality(exposure_id) FROM {both}")
    assert waiting == [("waiting", "full", 2)] * alerts


def test_selecting_again_changes_nothing(associated):
    night, _ = associated
    night.alerts(0)
    before = night.rows(ALERTS)
    report = night.alerts(0)
    assert (report["alerts"], report["retracted"]) == (0, 0)
    assert night.rows(ALERTS) == before


def test_after_a_rerun_alerts_are_superseded_or_retracted(associated):
    night, _ = associated
    sent = night.alerts(0)["alerts"]
    night.run(0, part=slice(None, None, 2), attempt=1)
    report = night.alerts(0)
    assert report["superseding"] + report["retracted"] == sent
    assert report["superseding"] >= sent / 3
    assert report["retracted"] >= sent / 3
    assert night.rows("SELECT cites FROM level1.alert WHERE cites NOT IN (SELECT ivorn FROM level1.alert)") == []
    assert night.alerts(0)["retracted"] == 0


def test_what_was_retracted_and_comes_back_supersedes_the_retraction(associated):
    night, _ = associated
    night.alerts(0)
    before = {row[0] for row in night.rows(ALERTS)}
    night.alerts(0, threshold=1e9)
    night.alerts(0)
    third = night.rows("SELECT dia_source_id, cites_as FROM level1.alert WHERE version = 3 ORDER BY 1")
    assert [one for one, cites in third if cites == "supersedes"] == sorted(before)


def test_objects_with_alerts_are_listed_to_be_forced_until_they_expire(associated):
    night, _ = associated
    night.alerts(0, force_days=10)
    listed = night.rows("SELECT FROM level1.force_list JOIN level1.alert USING (object_id) WHERE expires_tai > 60009")
    assert len(listed) == night.ask("SELECT count(object_id) FROM level1.alert")
    night.do("UPDATE level1.visit SET midpoint_tai = midpoint_tai + 11 WHERE visit_id = %s", night.ids[1])
    night.run(1)
    report = night.alerts(1, force_days=10)
    kept = night.ask("SELECT count(*) FROM level1.force_list WHERE since_visit_id = %s", night.ids[0])
    assert 0 < report["expired"] == len(listed) - kept


def test_the_list_is_bounded_by_priority(associated):
    night, _ = associated
    report = night.alerts(0, most_forced=20)
    kept = night.rows("SELECT priority FROM level1.force_list")
    assert len(kept) == 20
    assert report["dropped"] == night.ask("SELECT count(object_id) FROM level1.alert") - 20
    both = "level1.alert a JOIN level1.dia_source d USING (dia_source_id)"
    assert sorted(kept) == sorted(night.rows(f"SELECT d.snr FROM {both} WHERE a.object_id IS NOT NULL"))[-20:]


def test_a_transient_in_a_galaxy_names_its_host(associated):
    night, _ = associated
    galaxy, ra, dec = night.rows("SELECT object_id, ra, dec FROM level1.object WHERE extendedness = 1 LIMIT 1")[0]
    one = night.ask("SELECT max(dia_source_id) FROM level1.dia_source WHERE object_id IS NOT NULL")
    night.do("UPDATE level1.object SET extendedness = 0 WHERE object_id <> %s", galaxy)
    night.do("UPDATE level1.object SET ixx = 4, iyy = 1, ixy = 0 WHERE object_id = %s", galaxy)
    hosts = []
    for east, north in ((3, 0), (0, 3), (0, 1.9), (4.1, 0)):
        night.do("UPDATE level1.dia_source SET ra = %s + %s / cos(radians(%s)), dec = %s WHERE dia_source_id = %s",
                 ra, east / 3600, dec, dec + north / 3600, one)  # fmt: skip
        night.do("DELETE FROM level1.outbox")
        night.do("DELETE FROM level1.alert")
        night.alerts(0, rule="visit")
        hosts.append(night.ask("SELECT host_object_id FROM level1.alert WHERE dia_source_id = %s", one))
    assert hosts == [galaxy, None, galaxy, None]


def test_hosts_of_the_simulated_transients_are_near_them(associated):
    night, _ = associated
    night.alerts(0, rule="visit")
    rows = night.rows("SELECT d.ra, d.dec, h.ra, h.dec FROM level1.alert JOIN level1.dia_source d USING (dia_source_id)"
                      " JOIN level1.object h ON h.object_id = host_object_id")  # fmt: skip
    assert len(rows) >= 3
    assert (separations(*np.array(rows).T) < 10).all()


def test_an_exposure_with_many_alerts_stands_out(night):
    for index in range(4):
        night.run(index)
        night.alerts(index, rule="visit")
    night.do("UPDATE level1.visit SET filter_id = 1")
    night.add_exposures(4)
    assert night.rows("SELECT * FROM hven.exposures_with_many_alerts(1000)") == []
    kept = night.ask("SELECT min(dia_source_id >> 23) FROM level1.alert")
    night.do("DELETE FROM level1.outbox o WHERE (o.dia_source_id >> 23) <> %s", kept)
    night.do("DELETE FROM level1.alert a WHERE (a.dia_source_id >> 23) <> %s", kept)
    many = night.rows("SELECT visit_id, detector_id, expected FROM hven.exposures_with_many_alerts()")
    assert many == [(kept >> 8 & 2**26 - 1, kept & 255, 0)]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rule": "snap"}, "select_alerts: rule is snap, allowed are each_snap, visit_and_each_snap, visit"),
        ({"treshold": 5}, "select_alerts: parameter treshold is unknown, allowed are rule, threshold"),
        ({"threshold": "5"}, "select_alerts: parameter threshold is '5', allowed is a number from 0"),
    ],
)
def test_an_impossible_parameter_is_refused(associated, parameters, message):
    with pytest.raises(psycopg2.Error, match=message) as caught:
        associated[0].alerts(0, **parameters)
    assert caught.value.pgcode == "VN023"


def test_a_visit_that_is_not_associated_has_no_alerts(night):
    with pytest.raises(psycopg2.Error, match=r"select_alerts: Visit \d+ is ready, allowed is associated") as caught:
        night.alerts(0)
    assert caught.value.pgcode == "VN020"


def test_dia_sources_of_other_months_are_not_read(associated):
    night, _ = associated
    night.do("CREATE TEMPORARY TABLE earlier AS SELECT * FROM level1.dia_source")
    night.do("UPDATE earlier SET dia_source_id = dia_source_id - (60::bigint << 43)")
    first = night.ask("SELECT night FROM level1.visit LIMIT 1") - 60
    night.ask("SELECT hven.ensure_partitions(0, %s, %s)", first, first)
    night.do("INSERT INTO level1.dia_source SELECT * FROM earlier")
    month = night.ask("SELECT tableoid::regclass FROM level1.dia_source ORDER BY dia_source_id LIMIT 1")
    read = "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relid = %s::regclass"
    before = night.ask(read, month)
    assert night.alerts(0)["alerts"] > 50
    assert night.ask(read, month) == before
