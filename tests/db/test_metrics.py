"""Quality metrics: the list, verdicts, gates, and what the control system is told."""

from collections import Counter

import pytest

from db.metrics import GATES, QualityHold, hold, load, metrics
from db.queries import queries
from db.schema.quality import LEVELS
from pipelines import sdqa

EXPOSURE = 41


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


def test_gates_name_metrics_of_the_list():
    assert {metric for gate in GATES.values() for metric in gate} <= {row["metric"] for row in metrics()}


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


def test_a_failing_metric_shuts_the_gate_until_it_is_accepted(cursor):
    sdqa.write(cursor, EXPOSURE, {"detector.psf_fwhm": 9.0, "detector.pixels_usable": 0.97}, None)
    with pytest.raises(QualityHold, match=r"gate stream is shut: detector.psf_fwhm of 41 is 9 arcsec. Remedy: mend"):
        hold(cursor, "stream", [EXPOSURE])
    hold(cursor, "stream", [EXPOSURE], accepted=["detector.psf_fwhm"])
    sdqa.write(cursor, EXPOSURE, {"detector.psf_fwhm": 0.8}, None)
    hold(cursor, "stream", [EXPOSURE])


def test_a_release_is_held_by_what_was_not_measured(cursor):
    with pytest.raises(QualityHold, match=r"release.photometric_repeatability was not measured"):
        hold(cursor, "release", [1])


def test_what_is_not_measured_is_null(cursor):
    sdqa.write(cursor, EXPOSURE, {"detector.depth": float("nan")}, None)
    cursor.execute("SELECT value, verdict FROM sdqa_measurement WHERE subject_id = %s", [EXPOSURE])
    assert cursor.fetchall() == [(None, "unspecified")]


def test_the_control_system_is_told_once_and_acknowledges(cursor):
    cursor.execute("INSERT INTO filter VALUES (1, 'r') ON CONFLICT DO NOTHING")
    cursor.execute("INSERT INTO visit (visit_id, night, sequence, filter_id, snaps, detectors)"
                   " VALUES (4096 * 8000 + 7, 8000, 7, 1, 1, 4)")
    visit = 4096 * 8000 + 7
    assert [sdqa.measure_visit(cursor, visit, None) for _ in range(2)] == [1, 0]
    cursor.execute(queries("metrics")["unread"])
    ((number, about, topic, message, _),) = cursor.fetchall()
    assert (about, topic, message["metric"], message["value"]) == (visit, "quality", "visit.detectors", 0)
    cursor.execute(queries("metrics")["acknowledge"], {"feedback": [number]})
    cursor.execute(queries("metrics")["unread"])
    assert cursor.fetchall() == []
