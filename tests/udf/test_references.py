"""References without constraints: the nightly check finds what dangles, the guard refuses to make it so."""

from contextlib import closing

import psycopg2
import pytest

from db.connect import connect
from migrations import upgrade

HEALPIX = 7 << 46  # a pixel of tile 7
TABLES = ("source", "dia_source", "forced_source", "forced_dia_source")
COMMON = "object_id, moving_object_id, exposure_id, visit_id, detector_id, filter_id, midpoint_tai, ra, dec, healpix29"
OBJECT = "INSERT INTO object (object_id, ra, dec, healpix29, mean_ra, mean_dec) VALUES (%s, 10, 20, %s, 10, 20)"
MOVING = ("INSERT INTO moving_object (moving_object_id, name, eccentricity, perihelion_distance, inclination)"
          " VALUES (%s, %s, 0, 1, 0)")  # fmt: skip
ALERT = ("INSERT INTO alert (dia_source_id, ivorn, object_id, visit_id, exposure_id, rule, selected_tai)"
         " VALUES (1, 'ivo://x', %s, 4096, '{}', 'visit', 58107)")  # fmt: skip
ROWS_READ = ("SELECT sum(pg_stat_get_xact_tuples_returned(inhrelid)) FROM pg_inherits"
             " WHERE inhparent = 'forced_source'::regclass")  # fmt: skip


@pytest.fixture(scope="module")
def release(hub):
    """A release of our own to insert into."""
    upgrade.create("dr8")
    upgrade.upgrade("dr8")
    yield "dr8"
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("DROP DATABASE dr8 (FORCE)")


@pytest.fixture(params=["shared_database", "release"])
def cursor(request):
    """A cursor in each partition plan, with Object 5, MovingObject 6, Visit 4096 and its exposure; rolled back."""
    with closing(connect(request.getfixturevalue(request.param))) as session, session.cursor() as cursor:
        if request.param == "shared_database":
            cursor.execute("SELECT hven.ensure_partitions(0, 0, 1)")
        cursor.execute("INSERT INTO filter (filter_id, name) VALUES (1, 'r')")
        cursor.execute("INSERT INTO detector VALUES (0, 'camera', 'R22', 10, 10, 0.2)")
        cursor.execute("INSERT INTO visit (visit_id, night, sequence, filter_id, snaps, detectors)"
                       " VALUES (4096, 1, 0, 1, 1, 1)")  # fmt: skip
        cursor.execute("INSERT INTO exposure (exposure_id, visit_id, detector_id, snap, kind, filter_id, midpoint_tai,"
                       " exposure_time) VALUES (4096 << 12, 4096, 0, 0, 'raw', 1, 58107, 30)")  # fmt: skip
        cursor.execute(OBJECT, [5, HEALPIX])
        cursor.execute(MOVING, [6, "2015 EG1"])
        yield cursor
        session.rollback()


def measure(cursor, table, object_id=None, moving_object_id=None, exposure_id=4096 << 12, visit_id=4096, **others):
    """Insert measurement 1."""
    cursor.execute("SELECT FROM information_schema.columns WHERE table_schema = current_schema AND table_name = %s"
                   " AND column_name = 'tile'", [table])  # fmt: skip
    names = f"{table}_id, {COMMON}"
    others = {"detector_id": 0, "filter_id": 1} | others
    values = [1, object_id, moving_object_id, exposure_id, visit_id, *others.values(), 58107, 10, 20, 3]
    if cursor.rowcount:
        names, values = f"{names}, tile", [*values, HEALPIX >> 46]
    if moving_object_id and table == "dia_source":
        names, values = f"{names}, ss_ra, ss_dec", [*values, 10, 20]
    cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(values))})", values)


def dangling(cursor, *bounds):
    cursor.execute(f"SELECT * FROM hven.check_references({', '.join(map(str, bounds))}) ORDER BY 1, 3")
    return cursor.fetchall()


@pytest.mark.parametrize("table", TABLES)
def test_rows_with_all_their_parents_pass(cursor, table):
    measure(cursor, table, object_id=5)
    assert dangling(cursor) == []


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("reference", "missing"), [
    ("object_id", 7), ("moving_object_id", 7), ("exposure_id", 8), ("visit_id", 9), ("detector_id", 3),
    ("filter_id", 4),
])
def test_each_missing_parent_is_found(cursor, table, reference, missing):
    measure(cursor, table, **{reference: missing})
    assert dangling(cursor) == [(table, 1, reference, missing)]


def test_the_check_looks_between_its_bounds_alone(cursor):
    measure(cursor, "source", object_id=7)
    assert dangling(cursor, 2) == dangling(cursor, 0, 0) == []
    assert len(dangling(cursor, 1, 1)) == 1


def test_an_alert_may_name_a_retired_object(cursor):
    measure(cursor, "dia_source", moving_object_id=6)
    cursor.execute(ALERT, [7])
    assert dangling(cursor) == [("alert", 1, "object_id", 7)]
    cursor.execute("INSERT INTO object_retired (object_id) VALUES (7)")
    assert dangling(cursor) == []


def test_a_measurement_may_not(cursor):
    measure(cursor, "dia_source", object_id=7)
    cursor.execute("INSERT INTO object_retired (object_id) VALUES (7)")
    assert dangling(cursor) == [("dia_source", 1, "object_id", 7)]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("parent", "number"), [("object", 5), ("moving_object", 6)])
def test_a_parent_with_measurements_stays(cursor, table, parent, number):
    measure(cursor, table, **{f"{parent}_id": number})
    with pytest.raises(psycopg2.Error) as caught:
        cursor.execute(f"DELETE FROM {parent} WHERE {parent}_id = %s", [number])
    assert caught.value.pgcode == "VN025"
    assert f"{parent} {number} can't be deleted: rows of {table} refer to it" in str(caught.value)
    assert "withdraw it (time_withdrawn) instead" in caught.value.diag.message_hint


def test_a_parent_without_measurements_goes(cursor):
    cursor.execute("DELETE FROM object")
    cursor.execute("DELETE FROM moving_object")
    assert cursor.rowcount == 1


def test_an_object_in_an_alert_goes_when_it_is_retired(cursor):
    cursor.execute(ALERT, [5])
    cursor.execute("SAVEPOINT before")
    with pytest.raises(psycopg2.Error, match="object 5 can't be deleted: rows of alert refer to it"):
        cursor.execute("DELETE FROM object")
    cursor.execute("ROLLBACK TO before")
    cursor.execute("INSERT INTO object_retired (object_id) VALUES (5)")
    cursor.execute("DELETE FROM object")


def test_the_guard_reads_indexes_alone(cursor):
    """One Object among many: no table of measurements is read from end to end."""
    cursor.execute("SELECT current_schema")
    tile = ("", "") if cursor.fetchone()[0] == "level1" else (", tile", ", 7")
    cursor.execute(f"INSERT INTO forced_source (forced_source_id, {COMMON}{tile[0]})"
                   " SELECT n, 1000 + n, NULL, 1 << 24, 4096, 0, 1, 58107, 10, 20, 3"
                   f"{tile[1]} FROM generate_series(1, 5000) AS n")  # fmt: skip
    cursor.execute("ANALYZE forced_source")
    cursor.execute(ROWS_READ)
    before = cursor.fetchone()[0]
    cursor.execute("DELETE FROM object")
    cursor.execute(ROWS_READ)
    assert cursor.fetchone()[0] == before
