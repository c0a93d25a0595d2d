"""The loader: every value comes back, every fault is named, nothing is half written."""

import json
from datetime import UTC, datetime

import numpy as np
import psycopg2
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.cells import LoadError
from db.load import Digest, LoadReport, load

INTEGERS = {f"int{size}": st.integers(-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1) for size in (2, 4, 8)}
FINITE = {size: st.floats(width=8 * size, allow_nan=False, allow_infinity=False) for size in (4, 8)}
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS["int8"] | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)
)
NUMBERS = {
    "bool": (st.booleans(), "?"),
    "int2": (INTEGERS["int2"], "i2"),
    "int4": (INTEGERS["int4"], "i4"),
    "int8": (INTEGERS["int8"], "i8"),
    "float4": (FINITE[4], "f4"),
    "float8": (FINITE[8], "f8"),
}
TEXTS = {"text": TEXT, "bytea": st.binary(max_size=40), "jsonb": JSON.map(json.dumps)}
WIDENED = {"float4": "::float8", "float4[]": "::float8[]"}  # as text, a float4 has only the digits it needs
many = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def table(connection, columns: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS loaded; CREATE TEMP TABLE loaded ({columns})")
    return "loaded"


def rows_of(connection, query: str) -> list:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def kept(connection, data, cast: str = "") -> list:
    load(connection, "loaded", data, chunk=7)
    found = [value for (value,) in rows_of(connection, f"SELECT value{cast} FROM loaded ORDER BY n")]
    return [bytes(value) if isinstance(value, memoryview) else value for value in found]


def numbered(values) -> dict:
    return {"n": np.arange(len(values)), "value": values}


def objects(values) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize("kind", NUMBERS)
@given(data=st.data())
@many
def test_numbers_come_back(connection, kind, data):
    strategy, dtype = NUMBERS[kind]
    table(connection, f"n int8, value {kind}")
    expected = data.draw(st.lists(st.none() | strategy, max_size=30))
    values = np.ma.array(
        [0 if value is None else value for value in expected],
        dtype=data.draw(st.sampled_from("<>")) + dtype,
        mask=[value is None for value in expected],
    )
    step = data.draw(st.sampled_from([1, 2]))
    assert kept(connection, numbered(np.ma.repeat(values, step)[::step]), WIDENED.get(kind, "")) == expected


@pytest.mark.parametrize("kind", TEXTS)
@given(data=st.data())
@many
def test_texts_come_back(connection, kind, data):
    table(connection, f"n int8, value {kind}")
    given = data.draw(st.lists(st.none() | TEXTS[kind], max_size=30))
    expected = [value and json.loads(value) for value in given] if kind == "jsonb" else given
    assert kept(connection, numbered(objects(given))) == expected


@given(st.lists(st.none() | st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)), max_size=30))
@many
def test_times_come_back(connection, expected):
    table(connection, "n int8, value timestamp")
    assert kept(connection, numbered(np.array(expected, "M8[us]"))) == expected


@pytest.mark.parametrize("kind", NUMBERS)
@given(data=st.data())
@many
def test_arrays_of_one_shape_come_back(connection, kind, data):
    strategy, dtype = NUMBERS[kind]
    table(connection, f"n int8, value {kind}[]")
    matrix = st.lists(st.lists(strategy, min_size=2, max_size=2), min_size=3, max_size=3)
    expected = data.draw(st.lists(st.none() | matrix, max_size=12))
    values = np.ma.zeros((len(expected), 3, 2), ">" + dtype)
    for row, value in enumerate(expected):
        values[row] = np.ma.masked if value is None else value
    assert kept(connection, numbered(values), WIDENED.get(f"{kind}[]", "")) == expected


@pytest.mark.parametrize("kind", NUMBERS)
@given(data=st.data())
@many
def test_arrays_that_differ_in_length_come_back(connection, kind, data):
    strategy, dtype = NUMBERS[kind]
    table(connection, f"n int8, value {kind}[]")
    expected = data.draw(st.lists(st.none() | st.lists(strategy, max_size=5), max_size=12))
    given = [value if value is None else np.array(value, dtype) for value in expected]
    assert kept(connection, numbered(objects(given)), WIDENED.get(f"{kind}[]", "")) == expected


def test_an_arrow_table_comes_back(connection):
    columns = {
        "id": pa.chunked_array([[1, 2], [3, None]]),
        "flux": pa.array([1.5, None, float("nan"), 2.5], pa.float32()),
        "flag": pa.array([True, False, None, True]),
        "name": pa.array(["a", None, "", "é"]).dictionary_encode(),
        "chain": pa.array([[1, 2], None, [], [3]]),
        "seen": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None, None, None], pa.timestamp("ms", "UTC")),
    }
    table(connection, "id int8, flux float4, flag bool, name text, chain int8[], seen timestamptz")
    load(connection, "loaded", pa.table(columns).slice(1))
    assert rows_of(connection, "SELECT id, flux, flag, name, chain, seen FROM loaded") == [
        (2, None, False, None, None, None),
        (3, None, None, "", [], None),
        (None, 2.5, True, "é", [3], None),
    ]


def test_an_astropy_table_is_converted_to_the_units_of_the_table(connection):
    table(connection, "flux float4, radius float8, name text")
    with connection.cursor() as cursor:
        cursor.execute("COMMENT ON COLUMN loaded.flux IS 'Flux [nJy]'; COMMENT ON COLUMN loaded.radius IS 'R [arcsec]'")
    columns = [MaskedColumn([1, 2], unit="uJy", mask=[0, 1]), MaskedColumn([1, 2], unit="arcmin"), [b"a", b"bc"]]
    load(connection, "loaded", Table(columns, names=["flux", "radius", "name"]))
    load(connection, "loaded", QTable([[3] * u.nJy], names=["flux"]))
    assert rows_of(connection, "SELECT flux, radius, name FROM loaded") == [
        (1000, 60, "a"),
        (None, 120, "bc"),
        (3, None, None),
    ]


def test_a_unit_of_another_kind_is_refused(connection):
    table(connection, "flux float4")
    with connection.cursor() as cursor:
        cursor.execute("COMMENT ON COLUMN loaded.flux IS 'Flux [nJy]'")
    with pytest.raises(LoadError, match=r"flux \(float4\) is in nJy, got deg"):
        load(connection, "loaded", QTable([[3] * u.deg], names=["flux"]))


def test_a_masked_structured_array_comes_back(connection):
    table(connection, "id int8, shape float4[]")
    rows = np.ma.zeros(3, [("id", "i8"), ("shape", "f4", (2,))])
    rows["id"], rows["shape"] = [1, 2, 3], [[1, 2], [np.nan, np.nan], [5, 6]]
    rows.mask["shape"][2] = True
    load(connection, "loaded", rows)
    assert rows_of(connection, "SELECT * FROM loaded") == [(1, [1, 2]), (2, None), (3, None)]


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_the_digest_is_that_of_sql(connection, rows):
    table(connection, "id int8, healpix29 int8")
    healpix29 = np.ma.array(np.arange(rows) ** 3, mask=np.arange(rows) == 2)
    report = load(connection, "loaded", {"id": 7 + np.arange(rows), "healpix29": healpix29})
    query = "SELECT count(*), coalesce(bit_xor(id), 0), coalesce(bit_xor(healpix29), 0) FROM loaded"
    assert report == LoadReport("loaded", rows, Digest(*rows_of(connection, query)[0]))


def test_a_duplicate_is_looked_for_where_staging_has_no_key(connection):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE staging.thing (thing_id int8); CREATE TEMP TABLE thing (thing_id int8)")
    with pytest.raises(LoadError, match="thing_id .* got 5 twice"):
        load(connection, "staging.thing", {"thing_id": [5, 5]})
    assert load(connection, "thing", {"thing_id": [5, 5]}).digest == (2, 0, None)


def test_ids_that_are_null_are_no_duplicates(connection):
    table(connection, "id int8 UNIQUE")
    assert load(connection, "loaded", {"id": np.ma.masked_equal([0, 0, 3], 0)}).digest == (3, 3, None)


def test_raw_bytes_keep_their_zeros(connection):
    table(connection, "n int8, value bytea")
    assert kept(connection, numbered(np.array([b"a\0", b"\0\0"], "V2"))) == [b"a\0", b"\0\0"]


def test_a_table_without_ids_has_no_digest_of_them(connection):
    table(connection, "x float4")
    assert load(connection, "loaded", {"x": np.zeros(2)}).digest == (2, None, None)


def test_columns_left_out_get_their_default(connection):
    table(
        connection,
        "id int8, kept bool NOT NULL DEFAULT true, x float4, twice float4 GENERATED ALWAYS AS (2 * x) STORED",
    )
    load(connection, "loaded", {"x": np.ones(1)})
    assert rows_of(connection, "SELECT * FROM loaded") == [(None, True, 1, 2)]


GOOD = {"id": np.arange(3), "ra": np.full(3, 10.0), "dec": np.zeros(3), "flux": np.ones(3), "count": np.ones(3, "i4")}
BAD = {
    "ra": (np.array([0, 360.0, 1]), r"loaded.ra \(float8\) got 360.0 in row 1; allowed are 0 <= ra < 360"),
    "dec": (np.array([0, 0, -90.1]), r"got -90.1 in row 2; allowed are -90 <= dec <= 90"),
    "ra at NULL": (np.array([0, np.nan, 1]), r"ra \(float8\) got NULL, NaN or a masked value in row 1"),
    "flux infinite": (np.array([0, np.inf, 1]), r"flux \(float4\) got inf in row 1; allowed are finite"),
    "flux overflowing": (np.array([0, 1e39, 1]), r"flux \(float4\) got inf in row 1; allowed are finite"),
    "count overflowing": (np.full(3, 40000), r"integers from 40000 to 40000; allowed are -32768 to 32767"),
    "count of floats": (np.ones(3), r"count \(int2\) got dtype float64; allowed is int16"),
    "flux of texts": (np.array(["a"] * 3), r"got dtype <U1; allowed is float32"),
    "flux of arrays": (np.ones((3, 2)), r"got values of shape \(2,\).*give one value a row"),
    "id twice": (np.array([1, 2, 1]), r"id \(int8\) got 1 twice, 1 duplicates in all"),
    "id there already": (np.array([7, 8, 9]), r"is there already \(duplicate key.*\(id\)=\(9\) already exists"),
    "name of bytes that are no text": (np.array([b"\xff"] * 3), r"name \(text\) got values that are not large_string"),
    "name of numbers": (np.ones(3), r"name \(text\) got dtype float64; allowed are texts"),
    "raw of cut bytes": (np.array([b"a"] * 3), r"raw \(bytea\) got dtype .S1; allowed are bytes"),
    "flux too short": (np.ones(2), r"columns of different lengths .*'flux': 2"),
    "colour": (np.ones(3), r"loaded has no column colour to load; it has id, ra, dec, flux, count, shape, name, raw"),
    "shape of numbers": (np.ones(3), r"shape \(float4\[\]\) got values of shape \(\).*give one array a row"),
    "shape with NaN": (np.array([[1, np.nan]] * 3), r"got \[1.0, nan\] in row 0; allowed are arrays of values"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_fault_is_named_and_nothing_is_stored(connection, fault):
    columns = "id int8 PRIMARY KEY, ra float8 NOT NULL, dec float8 NOT NULL, flux float4, count int2"
    table(connection, f"{columns}, shape float4[], name text, raw bytea")
    load(connection, "loaded", {name: values[:1] + 9 for name, values in GOOD.items()})
    values, message = BAD[fault]
    with pytest.raises(LoadError, match=message):
        load(connection, "loaded", GOOD | {fault.split()[0]: values}, chunk=1)
    assert rows_of(connection, "SELECT count(*) FROM loaded") == [(1,)]


def test_a_missing_column_is_named(connection):
    table(connection, "ra float8 NOT NULL, dec float8 NOT NULL")
    with pytest.raises(LoadError, match="loaded needs the column dec"):
        load(connection, "loaded", {"ra": np.zeros(1)})


def test_a_missing_table_is_named(connection):
    with pytest.raises(LoadError, match=r"table staging.nothing does not exist here"):
        load(connection, "staging.nothing", {"ra": np.zeros(1)})


def test_a_type_without_binary_form_is_named(connection):
    table(connection, "x float4, at public.spoint")
    with pytest.raises(LoadError, match=r"loaded.at \(spoint\) has no binary form"):
        load(connection, "loaded", {"x": np.zeros(1)})


def test_a_type_that_the_loader_does_not_know_is_named(connection):
    table(connection, "x numeric")
    with pytest.raises(LoadError, match=r"loaded.x \(numeric\) is of a type that Hven does not pack"):
        load(connection, "loaded", {"x": np.zeros(1)})


def test_other_input_is_refused(connection):
    table(connection, "x float4")
    with pytest.raises(LoadError, match="got list; allowed are structured arrays, astropy Tables and Arrow"):
        load(connection, "loaded", [1, 2])


def test_a_table_that_was_altered_is_looked_up_again(connection):
    table(connection, "x float4")
    load(connection, "loaded", {"x": np.zeros(1)})
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE loaded ALTER x TYPE float8")
    with pytest.raises(LoadError, match="the server refused the batch .insufficient data"):
        load(connection, "loaded", {"x": np.zeros(1)})
    assert load(connection, "loaded", {"x": np.zeros(1)}).rows == 1


def test_in_autocommit_mode_a_load_is_a_transaction(database):
    from db.connect import connect

    session = connect(database)
    session.autocommit = True
    table(session, "x float4")
    with pytest.raises(LoadError):
        load(session, "loaded", {"x": np.array([1.0, np.inf])}, chunk=1)
    assert load(session, "loaded", {"x": np.ones(2)}, chunk=1).rows == 2
    assert rows_of(session, "SELECT count(*) FROM loaded") == [(2,)]
    session.close()


def test_a_server_that_goes_away_is_named(database):
    from db.connect import connect

    session, other = connect(database), connect(database)
    table(session, "x float4")
    other.autocommit = True
    rows_of(other, f"SELECT pg_terminate_backend({session.info.backend_pid})")
    with pytest.raises((LoadError, psycopg2.Error), match="terminat|closed|ended the connection"):
        load(session, "loaded", {"x": np.ones(2)})
    other.close()
