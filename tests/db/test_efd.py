"""The archive copy of the Engineering and Facility Database."""

from contextlib import closing

import pytest

from db.connect import MAINTENANCE, connect, dsn
from db.efd import EfdError, sync
from pipelines.productions.telemetry import make_source
from pipelines.simulate.telemetry import TOPICS

FIRST = 60700.0


@pytest.fixture
def source(template):
    """Return the name of a database with a day and a half of four topics."""
    make_source("efd_source", FIRST, 1.5, TOPICS[3:7])
    yield "efd_source"
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("DROP DATABASE efd_source (FORCE)")


def change(database, statement, *values):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else cursor.rowcount


OF_TOPIC = "FROM efd.sample JOIN efd.topic USING (topic_id) WHERE name = %s"
SPOIL = """
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.value[1] := 0; RETURN NEW; END';
CREATE TRIGGER spoil BEFORE INSERT ON efd.sample FOR EACH ROW EXECUTE FUNCTION spoil()
"""
TELEMETRY_PLAN = """
EXPLAIN SELECT e.tai, s.*
FROM (SELECT 60700 + i / 100.0::float8 AS tai FROM generate_series(1, 80) AS i) AS e,
     hven.telemetry('focus', e.tai) AS s
"""


def copy(source, database):
    return list(sync(dsn(source), database))


def test_every_sample_arrives_with_unit_and_missing_values(source, database):
    days = copy(source, database)
    assert all(day.copied for day in days)
    (there,) = change(source, "SELECT count(*), count(nullif(temperature, 'NaN')), sum(time_tai) FROM weather")
    here = change(database, f"SELECT count(*), count(value[1]), sum(time_tai) {OF_TOPIC}", "weather")
    assert here == [there]
    described = change(database, "SELECT field[2], field_unit[2] FROM efd.topic WHERE name = 'weather'")
    assert described == [("pressure", "hPa")]
    assert change(database, "SELECT sum(samples) FROM efd.sync") == change(database, "SELECT count(*) FROM efd.sample")


def test_second_synchronisation_copies_nothing(source, database):
    copy(source, database)
    assert not any(day.copied for day in copy(source, database))


def test_late_and_new_samples_are_copied_and_nothing_else(source, database):
    copy(source, database)
    change(source, "INSERT INTO focus VALUES (%s, 1, 2), (%s, 3, 4)", FIRST + 0.500001, FIRST + 2.5)
    copied = [(day.topic, day.day) for day in copy(source, database) if day.copied]
    assert copied == [("focus", 60700), ("focus", 60702)]
    written = "SELECT count(*) FROM efd.sync JOIN efd.topic USING (topic_id) WHERE name = 'focus'"
    assert change(database, written) == [(3,)]


def test_interruption_keeps_the_days_before_it(source, database):
    days = sync(dsn(source), database)
    first = next(days)
    next(days)
    days.close()
    again = copy(source, database)
    assert (again[0].topic, again[0].day, again[0].copied) == (first.topic, first.day, False)
    assert sum(day.copied for day in again) == len(again) - 1


def test_times_with_zone_become_tai(source, database):
    change(source, "CREATE TABLE clock (moment timestamptz, ticks integer)")
    change(source, "INSERT INTO clock VALUES ('2025-01-25 12:00:00Z', 7)")
    copy(source, database)
    found = change(database, f"SELECT time_tai, value {OF_TOPIC}", "clock")
    assert found == [(pytest.approx(60700.5 + 37 / 86400, abs=1e-9), [7.0])]


def test_changed_fields_are_refused(source, database):
    copy(source, database)
    change(source, "ALTER TABLE focus ADD COLUMN tilt float8")
    with pytest.raises(EfdError, match=r"topic focus has the fields z, temperature, tilt, its copy z, temperature\."):
        copy(source, database)


def test_copy_that_differs_is_refused_and_not_kept(source, database):
    change(database, SPOIL)
    with pytest.raises(EfdError, match="is not what the source sent"):
        copy(source, database)
    assert change(database, "SELECT count(*) FROM efd.sample") == [(0,)]


def test_source_without_topics_and_source_out_of_reach(source, database):
    with pytest.raises(EfdError, match="schema nowhere of the source has no table with a time"):
        list(sync(dsn(source), database, schema="nowhere"))
    with pytest.raises(EfdError, match="the source can't be reached"):
        list(sync(dsn(source).replace("efd_source", "no_such_database"), database))


def test_nearest_sample_in_time_is_found(source, database):
    copy(source, database)
    oracle = "SELECT time_tai, nullif(fwhm, 'NaN') FROM seeing_monitor ORDER BY abs(time_tai - %s), time_tai LIMIT 1"
    for tai in (FIRST + 0.3, FIRST - 20 / 86400, FIRST + 1.2):
        ((time, value),) = change(database, "SELECT * FROM hven.telemetry('seeing_monitor', %s, 90)", tai)
        assert change(source, oracle, tai) == [(time, value[0])]
    assert change(database, "SELECT * FROM hven.telemetry('seeing_monitor', %s, 60)", FIRST - 1) == []
    assert change(database, "SELECT hven.telemetry_field('weather', 'no_such', %s)", FIRST + 0.3) == [(None,)]


def test_telemetry_of_a_moment_reads_two_rows_by_the_key(source, database):
    copy(source, database)
    text = "\n".join(line for (line,) in change(database, TELEMETRY_PLAN))
    assert "Function Scan on telemetry" not in text  # inlined
    assert text.count("using sample_pkey") == 2
