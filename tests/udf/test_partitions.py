"""Partitions by time come with the nights and are merged into years."""

import psycopg2
import pytest

from db.ids import MeasurementId, VisitId, pack

NIGHT = 8107  # 20 December 2017
ROW = """INSERT INTO dia_source (dia_source_id, exposure_id, visit_id, detector_id, filter_id, midpoint_tai, ra, dec,
                                 healpix29, object_id)
         VALUES (%s, 1, %s, 0, 1, %s, 10, 10, 1, 7)"""


@pytest.fixture
def cursor(connection):
    with connection.cursor() as cursor:
        yield cursor


def ask(cursor, query, *values):
    cursor.execute(query, values)
    return cursor.fetchall()


def partitions(cursor, table="dia_source"):
    found = ask(cursor, "SELECT relid::text FROM pg_partition_tree(%s) WHERE isleaf ORDER BY 1", table)
    return [name for (name,) in found]


def observe(cursor, *nights, release=0):
    for night in nights:
        cursor.execute("SELECT hven.ensure_partitions(%s, %s, %s)", (release, night, night))
        visit = int(pack(VisitId(night, 1)))
        cursor.execute(ROW, (int(pack(MeasurementId(release, visit, 0, 0, 0, 0))), visit, 50000 + night))


def test_a_month_is_made_once_for_all_its_nights(cursor):
    assert ask(cursor, "SELECT hven.ensure_partitions(0, %s, %s)", NIGHT, NIGHT) == [(5,)]
    assert ask(cursor, "SELECT hven.ensure_partitions(0, %s, %s)", NIGHT - 5, NIGHT + 5) == [(0,)]
    assert partitions(cursor) == ["dia_source_r00_2017_12"]


def test_nights_on_both_sides_of_new_year_lie_in_their_months(cursor):
    observe(cursor, NIGHT, NIGHT + 12, NIGHT + 11)  # 20 December, 1 January, 31 December
    found = ask(cursor, "SELECT tableoid::regclass::text, count(*) FROM dia_source GROUP BY 1 ORDER BY 1")
    assert found == [("dia_source_r00_2017_12", 2), ("dia_source_r00_2018_01", 1)]


def test_a_night_without_partition_is_refused_not_lost(cursor):
    with pytest.raises(psycopg2.errors.CheckViolation, match="no partition of relation"):
        cursor.execute(ROW, (1, 1, 50000))


def test_a_merged_year_holds_every_row_under_one_partition(cursor):
    observe(cursor, NIGHT - 60, NIGHT - 30, NIGHT, NIGHT + 12)
    before = ask(cursor, "SELECT * FROM dia_source ORDER BY dia_source_id")
    assert ask(cursor, "SELECT hven.merge_year(0, 2017)") == [(3,)]
    assert partitions(cursor) == ["dia_source_r00_2017", "dia_source_r00_2018_01"]
    assert ask(cursor, "SELECT * FROM dia_source ORDER BY dia_source_id") == before


def test_a_late_row_of_a_merged_year_finds_its_place(cursor):
    observe(cursor, NIGHT)
    cursor.execute("SELECT hven.merge_year(0, 2017)")
    observe(cursor, NIGHT - 90)
    assert partitions(cursor) == ["dia_source_r00_2017"]


def test_a_light_curve_of_a_merged_year_reads_its_index(cursor):
    observe(cursor, NIGHT - 60, NIGHT)
    cursor.execute("SELECT hven.merge_year(0, 2017)")
    cursor.execute("SET LOCAL enable_seqscan = off")
    plan = ask(cursor, "EXPLAIN SELECT psf_flux FROM dia_source WHERE object_id = 7 ORDER BY dia_source_id")
    assert "Index" in plan[0][0] and "dia_source_r00_2017_object_id" in plan[0][0]


def test_releases_have_partitions_of_their_own(cursor):
    observe(cursor, NIGHT)
    observe(cursor, NIGHT, release=1)
    assert partitions(cursor) == ["dia_source_r00_2017_12", "dia_source_r01_2017_12"]


@pytest.mark.parametrize(("call", "message"), [
    ("hven.ensure_partitions(0, 20, 10)", "release 0, nights 20 to 10; allowed are release 0 to 63"),
    ("hven.merge_year(0, 2040)", "got 2040, which is not over"),
    ("hven.merge_year(64, 2017)", "got release 64 and year 2017; allowed are release 0 to 63, years 1995 to 2040"),
    ("hven.merge_year(0, 1800)", "got release 0 and year 1800"),
    ("hven.merge_year(0, NULL)", "got release 0 and year NULL"),
])
def test_impossible_times_are_refused(cursor, call, message):
    with pytest.raises(psycopg2.Error, match=message) as caught:
        cursor.execute(f"SELECT {call}")
    assert caught.value.pgcode == "VN002"
