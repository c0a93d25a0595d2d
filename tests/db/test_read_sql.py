"""Queries as pandas and astropy: integers stay integers, units and NULLs are kept."""

import numpy as np
import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, select

from hven_api import Point, read_sql

BIG = (1 << 62) + 1  # a float8 would lose its last bit


@pytest.fixture
def rows(connection):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE rows (id int8, flux float4, flag bool, name text, seen timestamptz, at float4[])"
        )
        cursor.execute("COMMENT ON COLUMN rows.flux IS 'PSF flux [nJy]'; COMMENT ON COLUMN rows.id IS 'Number'")
        cursor.execute("INSERT INTO rows VALUES (%s, 0.1, true, 'a', '2026-01-01 01:00+01', '{0.1,2}')", (BIG,))
        cursor.execute("INSERT INTO rows DEFAULT VALUES")
    return connection


def test_pandas_keeps_integers_beside_nulls(rows):
    frame = read_sql("SELECT * FROM rows ORDER BY id", rows)
    assert frame["id"].dtype == "Int64"
    assert frame["id"][0] == BIG
    assert frame["id"].isna().tolist() == [False, True]
    assert frame["flag"].dtype == "boolean"
    assert frame["flux"].dtype == "float32"
    assert frame["flux"][0] == np.float32(0.1)
    assert np.isnan(frame["flux"][1])
    assert str(frame["seen"][0]) == "2026-01-01 00:00:00+00:00"


def test_pandas_knows_units(rows):
    assert read_sql("SELECT flux, flux AS f, 2 * flux AS twice FROM rows", rows).attrs["units"] == {
        "flux": "nJy",
        "f": "nJy",
    }


def test_astropy_keeps_units_and_masks_nulls(rows):
    table = read_sql("SELECT * FROM rows ORDER BY id", rows, as_="table")
    assert (table["flux"].unit, table["flux"].description) == ("nJy", "PSF flux")
    assert (table["id"].unit, table["id"].description) == (None, "Number")
    assert table["id"].dtype == np.int64
    assert table["id"][0] == BIG
    assert all(table[name].mask.tolist() == [False, True] for name in table.colnames)
    assert table["at"][0].dtype == np.float32


def test_arrays_of_one_length_stay_one_a_row(rows):
    chains = read_sql("SELECT ARRAY[n, n::int8] AS chain FROM generate_series(1, 2) AS n", rows)["chain"]
    assert [chain.tolist() for chain in chains] == [[1, 1], [2, 2]]


def test_without_nulls_nothing_is_masked(rows):
    assert not read_sql("SELECT * FROM rows WHERE id IS NOT NULL", rows, as_="table").has_masked_columns


@pytest.mark.parametrize("as_", ["pandas", "table"])
def test_no_rows_keep_their_types(rows, as_):
    found = read_sql("SELECT * FROM rows WHERE false", rows, as_=as_)
    assert len(found) == 0
    assert str(found["id"].dtype).lower() == "int64"
    assert found["flux"].dtype == "float32"


def test_positions_come_in_degrees(rows):
    assert read_sql("SELECT public.spoint_deg(10, -20) AS at", rows)["at"][0] == Point(10.0, -20.0)


def test_parameters_and_selectables(rows):
    assert len(read_sql("SELECT * FROM rows WHERE id = %(id)s", rows, {"id": np.int64(BIG)})) == 1
    table = Table("rows", MetaData(), Column("id", BigInteger))
    assert read_sql(select(table).where(table.c.id == BIG), rows)["id"].tolist() == [BIG]


def test_a_database_is_opened_by_its_name(database):
    assert read_sql("SELECT current_database()::text AS name", database)["name"][0] == database


def test_columns_of_one_name_are_refused(rows):
    with pytest.raises(ValueError, match="give each a name of its own with AS"):
        read_sql("SELECT id, id FROM rows", rows)


def test_another_form_is_refused(rows):
    with pytest.raises(ValueError, match="allowed are 'pandas' and 'table'"):
        read_sql("SELECT 1", rows, as_="polars")
