"""numpy's values in a query: as numbers of SQL, never as the text that numpy 2 prints."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as hnp

from db import adapt
from db.adapt import NotStorable

many = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def one(connection, query: str, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchone()[0]


SCALARS = {
    "float64": (np.float64(0.1), "float8", 0.1),
    "float32": (np.float32(0.1), "float8", float(np.float32(0.1))),
    "negative": (np.float64(-1.5), "float8", -1.5),
    "tiny": (np.float64(5e-324), "float8", 5e-324),
    "nan": (np.float64("nan"), "float8", None),
    "plain nan": (float("nan"), "float8", None),
    "int64": (np.int64(-(2**63)), "int8", -(2**63)),
    "uint8": (np.uint8(200), "int2", 200),
    "bool": (np.bool_(True), "bool", True),
    "str": (np.str_("it's"), "text", "it's"),
    "masked": (np.ma.masked, "int8", None),
    "NaT": (np.datetime64("NaT"), "timestamptz", None),
    "array of no dimension": (np.array(7), "int8", 7),
}


@pytest.mark.parametrize("case", SCALARS)
def test_a_scalar_comes_back(connection, case):
    value, kind, expected = SCALARS[case]
    assert one(connection, f"SELECT (%s)::{kind}", value) == expected


def test_a_negative_number_after_a_minus_is_no_comment(connection):
    assert one(connection, "SELECT 1 -%s", np.float64(-1.0)) == 2
    assert one(connection, "SELECT 1 -%s", np.int64(-1)) == 2


def test_a_time_is_taken_as_utc(connection):
    when = np.datetime64("2026-01-01T00:00:00.000001")
    assert one(connection, "SELECT extract(epoch FROM %s)::text", when) == "1767225600.000001"


dtypes = (
    hnp.integer_dtypes()
    | hnp.floating_dtypes(sizes=(32, 64))
    | hnp.boolean_dtypes()
    | hnp.unsigned_integer_dtypes(sizes=(8, 16, 32))
)
finite = {"allow_nan": False, "allow_infinity": False}


@given(values=hnp.arrays(dtypes, hnp.array_shapes(max_dims=2, max_side=4), elements=finite))
@many
def test_an_array_comes_back(connection, values):
    returned = one(connection, "SELECT %s" + "::float8[]" * (values.dtype.kind == "f"), values)
    assert returned == values.tolist()


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "?"])
def test_an_empty_array_has_its_type(connection, dtype):
    assert one(connection, "SELECT pg_typeof(%s)::text", np.array([], dtype)).endswith("[]")


REFUSED = {
    "a query's parameter got inf": np.float64("inf"),
    "a query's parameter got -inf": float("-inf"),
    "an array parameter got masked values, NaN or infinity": np.array([1, np.nan]),
    "got masked values": np.ma.array([1, 2], mask=[0, 1]),
    "an array parameter got dtype <U1": np.array(["a"]),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_may_not_be_stored_is_refused(connection, message):
    with pytest.raises(NotStorable, match=message):
        one(connection, "SELECT %s", REFUSED[message])


def test_registering_again_changes_nothing(connection):
    adapt.register()
    adapt.register(connection)
    assert one(connection, "SELECT %s::float8", np.float64(0.5)) == 0.5


def test_registering_opens_no_transaction(connection):
    connection.rollback()
    adapt.register(connection)
    assert connection.info.transaction_status == 0
