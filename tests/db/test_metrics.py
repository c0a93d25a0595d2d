"""Quality metrics: the list, verdicts, gates, and what the control system is told."""

from collections import Counter

import numpy as np
import pytest

from db.ids import ExposureId, Kind, MeasurementId, VisitId, pack
from db.metrics import QualityError, QualityHold, accept, hold, load, metrics
from db.queries import queries
from db.schema.quality import LEVELS
from pipelines import sdqa
from udf.association.parameters import Parameters

VISIT, DETECTOR = 4096 * 8000 + 7, 3
EXPOSURE = int(pack(ExposureId(VISIT, DETECTOR, 0, Kind.CALIBRATED)))
ROW = """INSERT INTO dia_source (dia_source_id, exposure_id, visit_id, detector_id, filter_id, midpoint_tai, ra, dec,
                                 healpix29, object_id, reliability)
         VALUES (%(key)s, 1, %(visit)s, 0, 1, 58000, 10, 10, 1, %(object)s, %(reliability)s)"""


@pytest.fixture
def cursor(connection):
    with connection.cursor() as cursor:
        yield cursor


def ask(cursor, query, *values):
    cursor.execute(query, values)
    return cursor.fetchone()[0]


def test_about_fifty_metrics_have_a_unit_a_description_and_ordered_specifications():
    listed = metrics()
    levels = Counter(row["level"] for row in listed)
    assert levels["detector"] + levels["visit"] >= 48
    assert levels.keys() <= set(LEVELS)
    for row in listed:
        assert row["metric"].startswith(f"{row['level']}.")
        given = [row[name] for name in ("minimum", "design", "stretch") if row[name] is not None]
        assert given == sorted(given, reverse=row["better"] == "lower")
        assert not (given and row["better"] == "neither")


def test_gates_are_data_in_every_database(cursor):
    cursor.execute("SELECT gate, count(*) FROM sdqa_metric WHERE gate IS NOT NULL GROUP BY gate ORDER BY gate")
    assert cursor.fetchall() == [("release", 2), ("stream", 6)]


def test_the_specifications_of_the_srd_are_kept(cursor):
    cursor.execute("SELECT reference, design, minimum, stretch, unit FROM sdqa_metric WHERE reference ~ 'SRD (PA1|AM1)'"
                   " ORDER BY reference")
    assert cursor.fetchall() == [("LSST SRD AM1", 10, 20, 5, "mas"), ("LSST SRD PA1", 5, 8, 3, "mmag")]


def test_an_upgraded_database_has_the_list(cursor):
    assert ask(cursor, "SELECT count(*) FROM sdqa_metric") == len(metrics())
    assert load(cursor) == 0


@pytest.mark.parametrize(("value", "better", "verdict"), [
    (3, "lower", "stretch"), (5, "lower", "design"), (8, "lower", "minimum"), (8.1, "lower", "fail"),
    (None, "lower", "fail"), (4, "neither", "unspecified"), (2, "higher", "fail"),
])
def test_verdict(cursor, value, better, verdict):
    assert ask(cursor, "SELECT hven.sdqa_verdict(%s, %s, 8, 5, 3)", value, better) == verdict


def test_higher_is_better_where_it_is(cursor):
    assert ask(cursor, "SELECT hven.sdqa_verdict(0.96, 'higher', 0.5, 0.95, 0.99)") == "design"


def test_a_failing_metric_shuts_the_gate_until_it_is_mended(cursor):
    sdqa.write(cursor, EXPOSURE, {"detector.psf_ellipticity": 0.4, "detector.pixels_usable": 0.97}, None)
    shut = r"gate stream is shut: detector.psf_ellipticity of \d+ is 0.4. Remedy: mend the cause, or accept"
    with pytest.raises(QualityHold, match=shut):
        hold(cursor, "stream", [EXPOSURE])
    sdqa.write(cursor, EXPOSURE, {"detector.psf_ellipticity": 0.1}, None)
    hold(cursor, "stream", [EXPOSURE])


def test_a_release_is_held_by_what_was_not_measured_until_somebody_accepts_it(cursor):
    wanted = [row["metric"] for row in metrics() if row["gate"] == "release"]
    with pytest.raises(QualityHold, match=r"release.photometric_repeatability was not measured"):
        hold(cursor, "release", [1])
    for metric in wanted:
        accept(cursor, metric, 1, "there is one night only")
    hold(cursor, "release", [1])
    cursor.execute("SELECT DISTINCT reason, accepted_by = session_user FROM sdqa_waiver")
    assert cursor.fetchall() == [("there is one night only", True)]


def test_what_holds_nothing_can_not_be_accepted(cursor):
    with pytest.raises(QualityError, match="detector.depth holds nothing; allowed are detector.pixels_usable, "):
        accept(cursor, "detector.depth", EXPOSURE, "")


def alert_of(cursor, detector):
    """Let an Alert of a detector wait in the outbox; return its outbox_id."""
    made = pack(MeasurementId(0, VISIT, detector, 0, 1, 0))
    cursor.execute("INSERT INTO alert (dia_source_id, ivorn, visit_id, exposure_id, rule, selected_tai)"
                   " VALUES (%s, %s, %s, '{}', 'visit', 58000)", [int(made), f"ivo://test#{detector}", VISIT])
    return ask(cursor, "INSERT INTO outbox (dia_source_id, version, stream) VALUES (%s, 1, 'full') RETURNING outbox_id",
               int(made))


def held(cursor):
    cursor.execute("SELECT outbox_id, metric FROM hven.held_alerts() ORDER BY outbox_id")
    return cursor.fetchall()


def test_alerts_of_a_bad_detector_are_held_and_those_of_others_are_not(cursor):
    bad, _ = alert_of(cursor, DETECTOR), alert_of(cursor, DETECTOR + 1)
    assert held(cursor) == []
    sdqa.write(cursor, EXPOSURE, {"detector.zeropoint_err": 0.9}, None)
    assert held(cursor) == [(bad, "detector.zeropoint_err")]
    accept(cursor, "detector.zeropoint_err", EXPOSURE, "thin cloud")
    assert held(cursor) == []


def test_a_bad_visit_holds_all_its_alerts(cursor):
    both = [alert_of(cursor, DETECTOR), alert_of(cursor, DETECTOR + 1)]
    sdqa.write(cursor, VISIT, {"visit.dia_sources_rejected": 0.7}, None)
    assert held(cursor) == [(one, "visit.dia_sources_rejected") for one in both]
    sdqa.write(cursor, VISIT, {"visit.dia_sources_rejected": 0.01}, None)
    assert held(cursor) == []


def test_detections_that_are_not_believed_do_not_count_as_rejected(cursor):
    least = Parameters().min_reliability
    cursor.execute("SELECT hven.ensure_partitions(0, 8000, 8000)")
    for number, (parent, reliability) in enumerate([(5, 0.9), (None, None), (None, least), (None, least - 0.01)]):
        key = int(pack(MeasurementId(0, VISIT, DETECTOR, 0, 1, number)))
        cursor.execute(ROW, {"key": key, "visit": VISIT, "object": parent, "reliability": reliability})
    sdqa.measure_visit(cursor, VISIT, None)
    query = "SELECT value FROM sdqa_measurement WHERE metric = %s AND subject_id = %s"
    assert ask(cursor, query, "visit.dia_sources_rejected", VISIT) == pytest.approx(2 / 3)
    assert ask(cursor, query, "visit.dia_sources_associated", VISIT) == pytest.approx(1 / 3)


def test_quality_that_can_not_be_written_is_told_and_harms_nothing_else(cursor):
    cursor.execute("CREATE TEMPORARY TABLE kept (one int)")
    with sdqa.guarded(cursor, VISIT, EXPOSURE):
        cursor.execute("INSERT INTO kept VALUES (2)")
        cursor.execute("SELECT 1 / 0")
    cursor.execute("INSERT INTO kept VALUES (1)")
    assert ask(cursor, "SELECT array_agg(one) FROM kept") == [1]
    cursor.execute("SELECT visit_id, message FROM ocs_feedback WHERE topic = 'assessment failed'")
    ((visit, message),) = cursor.fetchall()
    assert (visit, message["subject"]) == (VISIT, EXPOSURE)
    assert "division by zero" in message["reason"]


def test_images_that_can_not_be_assessed_give_a_reason_and_no_values():
    values, reason = sdqa.assess_detector(None, None, None, None)
    assert values == {}
    assert "AttributeError" in reason


def test_what_is_not_measured_is_null(cursor):
    sdqa.write(cursor, EXPOSURE, {"detector.depth": float("nan")}, None)
    cursor.execute("SELECT value, verdict FROM sdqa_measurement WHERE subject_id = %s", [EXPOSURE])
    assert cursor.fetchall() == [(None, "unspecified")]


def test_the_control_system_is_told_once_and_acknowledges(cursor):
    cursor.execute("INSERT INTO filter VALUES (1, 'r') ON CONFLICT DO NOTHING")
    cursor.execute("INSERT INTO visit (visit_id, night, sequence, filter_id, snaps, detectors)"
                   " VALUES (%s, 8000, 7, 1, 1, 4)", [VISIT])
    assert [sdqa.measure_visit(cursor, VISIT, None) for _ in range(2)] == [1, 0]
    cursor.execute(queries("metrics")["unread"])
    ((number, about, topic, message, _),) = cursor.fetchall()
    assert (about, topic, message["metric"], message["value"]) == (VISIT, "quality", "visit.detectors", 0)
    cursor.execute(queries("metrics")["acknowledge"], {"feedback": [number]})
    cursor.execute(queries("metrics")["unread"])
    assert cursor.fetchall() == []


def test_metrics_are_rolled_up_over_visit_night_field_and_all(cursor):
    cursor.execute("INSERT INTO filter VALUES (1, 'r') ON CONFLICT DO NOTHING")
    for number, (night, field, seeing) in enumerate([(8000, "COSMOS", 0.6), (8000, "COSMOS", 0.8), (8001, "M31", 1.4)]):
        visit = 4096 * night + number
        cursor.execute("INSERT INTO visit (visit_id, night, sequence, filter_id, snaps, detectors, field)"
                       " VALUES (%s, %s, %s, 1, 1, 1, %s)", [visit, night, number, field])
        sdqa.write(cursor, int(pack(ExposureId(visit, 0, 0, Kind.CALIBRATED))), {"detector.psf_fwhm": seeing}, None)
    cursor.execute("SELECT coalesce(visit_id - 4096 * 8000, night, 0), field, measurements, median FROM sdqa_rollup"
                   " WHERE metric = 'detector.psf_fwhm' AND (visit_id IS NULL OR visit_id = 4096 * 8000) ORDER BY 1, 2")
    assert cursor.fetchall() == [
        (0, "COSMOS", 2, 0.7), (0, "M31", 1, 1.4), (0, None, 1, 0.6), (0, None, 3, 0.8),
        (8000, None, 2, 0.7), (8001, None, 1, 1.4),
    ]


def test_repeatability_of_a_release_is_that_of_its_stars(cursor):
    """40 stars in 8 Visits, with scatters of 4 mmag and 7 mas that were put in."""
    draw = np.random.default_rng(5)
    stars, visits = 40, 8
    ra, dec = 150 + draw.uniform(0, 0.3, stars), draw.uniform(0, 0.3, stars)
    cursor.execute("SELECT hven.ensure_partitions(0, 8000, 8000)")
    cursor.executemany("INSERT INTO object (object_id, ra, dec, healpix29, mean_ra, mean_dec, extendedness)"
                       " VALUES (%s, %s, %s, 1, 0, 0, 0)", [(n, ra[n], dec[n]) for n in range(stars)])
    rows = []
    for number in range(visits):
        seen = int(pack(VisitId(8000, number)))
        flux = 1e6 * 10 ** (-0.4 * draw.normal(0, 4e-3, stars))
        error = draw.normal(0, 7 / 3.6e6, (2, stars))
        for n in range(stars):
            rows.append((int(pack(MeasurementId(0, seen, 0, 0, n, 0))), n, (seen << 12) + 1, seen, ra[n] + error[0][n],
                         dec[n] + error[1][n], flux[n]))
    cursor.executemany("INSERT INTO source (source_id, object_id, exposure_id, visit_id, detector_id, filter_id,"
                       " midpoint_tai, ra, dec, healpix29, psf_flux, psf_flux_err)"
                       " VALUES (%s, %s, %s, %s, 0, 1, 58000, %s, %s, 1, %s, 1000)", rows)
    cursor.execute("SELECT * FROM hven.measure_release(1)")
    found = {metric: (value, verdict) for metric, value, verdict in cursor}
    value, verdict = found["release.photometric_repeatability"]
    assert (value, verdict) == (pytest.approx(4, rel=0.2), "design")
    value, verdict = found["release.astrometric_repeatability"]  # each of two stars adds its scatter
    assert (value, verdict) == (pytest.approx(7 * 2**0.5, rel=0.2), "design")
    hold(cursor, "release", [1])
