import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.ids import (
    BITS,
    HIGHEST,
    ExposureId,
    MeasurementId,
    ObjectId,
    VisitId,
    bounds,
    night_of,
    object_pixel,
    pack,
    slot_of_day,
)

NAMES = {
    ObjectId: "object_id",
    VisitId: "visit_id",
    ExposureId: "exposure_id",
    MeasurementId: "measurement_id",
}


@pytest.fixture(scope="module")
def ask(shared_database):
    """Return a function that runs one SELECT and gives its first row."""
    from db.connect import connect

    session = connect(shared_database)
    session.autocommit = True

    def first_row(query, values=()):
        with session.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone()

    yield first_row
    session.close()


def parts_of(kind):
    fields = zip(kind._fields, BITS[kind], strict=True)
    return st.tuples(*(st.integers(0, HIGHEST.get((kind, f), 2**b - 1)) for f, b in fields)).map(
        lambda t: kind(*t)
    )


@settings(deadline=None)
@given(st.sampled_from(list(BITS)).flatmap(parts_of))
def test_sql_packs_and_unpacks_like_python(ask, parts):
    name, slots = NAMES[type(parts)], ", ".join(["%s"] * len(parts))
    assert ask(f"SELECT hven.pack_{name}({slots})", tuple(parts)) == (pack(parts),)
    assert ask(f"SELECT * FROM hven.unpack_{name}(%s)", (pack(parts),)) == tuple(parts)


def test_the_measurements_of_a_visit_lie_between_two_ids(ask):
    assert ask("SELECT hven.first_measurement_id(3, 77), hven.last_measurement_id(3, 77)") == bounds(3, 77)


@settings(deadline=None)
@given(st.floats(50001, 66000), st.integers(-180_000, 180_000).map(lambda m: m / 1000))
def test_sql_dates_like_python(ask, mjd, longitude):
    both = ask("SELECT hven.night_of(%s, %s), hven.slot_of_day(%s, %s)", (mjd, longitude) * 2)
    assert both == (night_of(mjd, longitude), slot_of_day(mjd, longitude))


def test_null_in_null_out(ask):
    assert ask("SELECT hven.pack_visit_id(NULL, 1), hven.object_pixel(NULL)") == (None, None)
    assert ask("SELECT hven.object_pixel(1234567)") == (object_pixel(1234567),)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("hven.pack_visit_id(16384, 0)", "ids: night is 16384, allowed is 0 to 16383"),
        ("hven.pack_object_id(1, 13510798882111488)", "ids: pixel is 13510798882111488"),
        ("hven.pack_measurement_id(1, 1, 256, 0, 0, 0)", "ids: detector is 256, allowed is 0 to 255"),
        ("hven.unpack_visit_id(-1)", "ids: VisitId is -1, allowed is 0 to 67108863"),
        ("hven.unpack_exposure_id(3)", "ids: kind is 3, allowed is 0 to 2"),
    ],
)
def test_a_part_out_of_range_is_vn001(ask, call, message):
    with pytest.raises(psycopg2.Error, match=message) as caught:
        ask(f"SELECT {call}")
    assert caught.value.pgcode == "VN001"
    assert caught.value.diag.message_hint


def test_packing_is_inlined(ask, shared_database):
    plan = ask("EXPLAIN (VERBOSE, FORMAT JSON) SELECT hven.pack_visit_id(n, 0) FROM generate_series(1, 9) n")[
        0
    ]
    assert "pack_visit_id" not in str(plan)
