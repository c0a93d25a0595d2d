"""Views of the catalogue: what they show, and that they cost only what is asked of them."""

import json

import numpy as np
import pytest
from scipy.stats import kstest

from db import databases, views
from db.connect import engine
from db.ids import ObjectId, pack

OBJECT = "INSERT INTO object (object_id, ra, dec, healpix29, mean_ra, mean_dec) VALUES (%s, 10, 20, 1, 10, 20)"
SIDE_TABLES = ("object", "object_footprint", "object_flux", "object_variability", "object_photoz", "object_segment")
FOR_THE_NIGHT = {
    *("weight_xx", "weight_yy", "weight_xy", "prior_weight", "weighted_x", "weighted_y", "name_tie"),
    *("dia_flux_origin", "sum_weight", "sum_weight_flux", "sum_weight_flux2", "sum_flux", "sum_flux2"),
    *("method", "filter_id", "first_tai", "last_tai", "points"),
}
"""Columns that serve the association, or whose meaning a row per Object does not keep."""


@pytest.fixture
def cursor(connection):
    with connection.cursor() as opened:
        yield opened


@pytest.fixture(scope="module")
def described(shared_database):
    layout = databases.layout(shared_database)
    with engine(shared_database).connect() as connection:
        tables = layout.tables()
        yield tables, {view.name: view for view in views.read(connection, layout, tables)}


def relations(cursor, query):
    cursor.execute(f"EXPLAIN (FORMAT json) {query}")
    plan = json.dumps(cursor.fetchone()[0])
    return {name for name in SIDE_TABLES if f'"Relation Name": "{name}"' in plan}


@pytest.mark.parametrize(
    ("columns", "read"),
    [
        ("ra, dec, random_id", {"object"}),
        ("footprint_ixx", {"object", "object_footprint"}),
        ("g_mean_flux, z_peak", {"object", "object_flux", "object_photoz"}),
    ],
)
def test_object_wide_reads_only_the_tables_asked_for(cursor, columns, read):
    assert relations(cursor, f"SELECT {columns} FROM object_wide WHERE object_id = 5") == read


def test_object_wide_finds_one_object_by_its_key(cursor):
    cursor.execute("SET LOCAL enable_seqscan = off")  # whatever other tests have left of dead rows and statistics
    cursor.execute("EXPLAIN SELECT * FROM object_wide WHERE object_id = 5")
    assert "object_pkey" in "".join(line for (line,) in cursor)


def test_name_is_that_of_the_seed(cursor):
    cursor.execute(OBJECT, (int(pack(ObjectId(2, 5, 0))),))
    cursor.execute("SELECT name FROM object_wide")
    assert cursor.fetchall() == [("LSST-DR2 J004000.00+200000.0",)]


def test_object_wide_puts_fluxes_into_columns_of_their_bands(cursor):
    cursor.execute("INSERT INTO filter (filter_id, name) VALUES (2, 'g'), (3, 'r')")
    cursor.execute(OBJECT, (7,))
    cursor.execute("INSERT INTO object_flux (object_id, filter_id, mean_flux) VALUES (7, 2, 10), (7, 3, 20)")
    cursor.execute("SELECT g_mean_flux, r_mean_flux, i_mean_flux FROM object_wide WHERE object_id = 7")
    assert cursor.fetchall() == [(10, 20, None)]


def test_best_model_type_is_that_of_the_best_model(cursor):
    cursor.execute(OBJECT, (7,))
    cursor.execute("INSERT INTO model_type VALUES ('a', '1', '{f}', '{nJy}', 'A'), ('b', '1', '{f}', '{nJy}', 'B')")
    for model_type, best in (("a", False), ("b", True)):
        cursor.execute(
            "INSERT INTO object_model (object_id, model_type, filter_id, is_best, method, value, covariance)"
            " VALUES (7, %s, 0, %s, 'stackfit', '{1}', '{{1}}')", (model_type, best),
        )
    cursor.execute("SELECT best_model_type FROM object_wide")
    assert cursor.fetchall() == [("b",)]


def test_random_id_is_uniform_over_neighbouring_objects(cursor):
    ids = pack(ObjectId(2, np.arange(3000), 0))
    cursor.executemany(OBJECT, [(int(one),) for one in ids])
    cursor.execute("SELECT random_id FROM object_wide")
    values = np.array(cursor.fetchall())[:, 0]
    assert values.min() >= 0
    assert values.max() < 1
    assert kstest(values, "uniform").pvalue > 0.01


def test_object_wide_shows_every_column_of_the_side_tables(described):
    tables, view = described
    shown = {column.info["doc"].rsplit("(")[-1].rstrip(")") for column in view["object_wide"].columns}
    shown |= set(view["object_wide"].columns.keys())
    missing = {
        f"{name}.{column.name}"
        for name in SIDE_TABLES for column in tables.tables[f"level1.{name}"].columns
        if not {column.name, f"{name}.{column.name}"} & (shown | FOR_THE_NIGHT)
    }
    assert missing == set()


def test_source_sg_names_the_small_object_model_as_table_3_does(described):
    tables, view = described
    names = set(view["source_sg"].columns.keys())
    source = set(tables.tables["level1.source"].columns.keys())
    assert names - source == {name.replace("so_", "sg_") for name in source if name.startswith("so_")}


def test_views_are_in_tap_schema_with_units(cursor):
    cursor.execute(
        "SELECT table_type, unit, ucd FROM tap_schema.tables JOIN tap_schema.columns USING (table_name)"
        " WHERE table_name = 'level1.object_wide' AND column_name = 'g_mean_flux'"
    )
    assert cursor.fetchall() == [("view", "nJy", "phot.flux.density")]
