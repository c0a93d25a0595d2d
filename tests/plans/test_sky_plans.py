"""Each way of asking about places uses an index, from whichever side, and looks at few rows in vain."""

import json

import pytest

from db.connect import connect

STARS, SETUP = 60_000, [
    "CREATE SCHEMA plans",
    "CREATE TABLE plans.star AS SELECT n AS star_id, ra, d AS dec, hven.healpix29(ra, d) AS healpix29"
    " FROM (SELECT n, random() * 360 AS ra, degrees(asin(2 * random() - 1)) AS d FROM generate_series(1, 60000) n) s",
    "CREATE TABLE plans.live AS TABLE plans.star",
    "CREATE TABLE plans.galaxy AS SELECT star_id AS galaxy_id, ra, dec + 0.0001 * sign(-dec) AS dec FROM plans.star"
    " WHERE star_id % 100 = 0",
    "CREATE TABLE plans.spectrum AS SELECT n AS spectrum_id, 1 + n % 60000 AS star_id, random() AS redshift"
    " FROM generate_series(1, 120000) n",
    "ALTER TABLE plans.star ADD PRIMARY KEY (star_id)",
    "ALTER TABLE plans.live ADD PRIMARY KEY (star_id)",
    "ALTER TABLE plans.galaxy ADD PRIMARY KEY (galaxy_id)",
    "CREATE INDEX ON plans.spectrum (star_id)",
    "CREATE INDEX star_place ON plans.star USING gist (public.spoint_deg(ra, dec))",
    "CREATE INDEX live_pixel ON plans.live (healpix29)",
    "ANALYZE plans.star, plans.live, plans.galaxy, plans.spectrum",
]  # fmt: skip


@pytest.fixture(scope="module")
def session(shared_database):
    """Return a session that has the tables; they vanish with it."""
    session = connect(shared_database)
    with session.cursor() as cursor:
        cursor.execute("SELECT setseed(0.5)")
        for statement in SETUP:
            cursor.execute(statement)
    yield session
    session.rollback()
    session.close()


def nodes(plan):
    """All nodes of a plan, and what they really saw."""
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def plan_of(session, query, values=None):
    with session.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + query, values)
        found = cursor.fetchone()[0]
    return list(nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]))


def touched(plan, relation):
    """Rows of a relation that were looked at, and the indexes that led there."""
    rows, indexes = 0, set()
    for node in plan:
        if node.get("Relation Name") == relation:
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            rows += (node["Actual Rows"] + removed) * node["Actual Loops"]
        if "Index Name" in node:
            indexes.add(node["Index Name"])
    return rows, indexes


@pytest.mark.parametrize(
    "condition",
    [
        "hven.sky_within(s.ra, s.dec, 10, 20, 3600)",
        "hven.sky_within(10, 20, s.ra, s.dec, 3600)",
        "hven.sky_in_ellipse(s.ra, s.dec, 10, 20, 3600, 1200, 30)",
        "hven.sky_in_polygon(s.ra, s.dec, hven.sky_spoly(ARRAY[9, 11, 11], ARRAY[19, 19, 21]))",
    ],
)
def test_a_region_uses_the_index(session, condition):
    rows, indexes = touched(plan_of(session, f"SELECT * FROM plans.star s WHERE {condition}"), "star")
    assert indexes == {"star_place"}
    assert rows < 30


@pytest.mark.parametrize("arguments", ["s.ra, s.dec, g.ra, g.dec", "g.ra, g.dec, s.ra, s.dec"])
@pytest.mark.parametrize("tables", ["plans.star s JOIN plans.galaxy g", "plans.galaxy g JOIN plans.star s"])
def test_a_join_uses_the_index_whichever_side_comes_first(session, tables, arguments):
    plan = plan_of(session, f"SELECT star_id, galaxy_id FROM {tables} ON hven.sky_within({arguments}, 1)")
    rows, indexes = touched(plan, "star")
    assert plan[0]["Actual Rows"] == 600
    assert "star_place" in indexes
    assert rows < 1200


def test_a_join_of_three_tables_goes_by_the_sky_first(session):
    plan = plan_of(
        session,
        "SELECT s.star_id, redshift FROM plans.spectrum x JOIN plans.star s USING (star_id)"
        " JOIN plans.galaxy g ON hven.sky_within(s.ra, s.dec, g.ra, g.dec, 1) WHERE g.galaxy_id < 1000",
    )
    assert plan[0]["Actual Rows"] == 18
    rows, indexes = touched(plan, "star")
    assert {"star_place", "spectrum_star_id_idx"} <= indexes
    assert rows < 100
    assert touched(plan, "spectrum")[0] < 100


def test_prepared_statements_use_the_index_too(session):
    with session.cursor() as cursor:
        cursor.execute(
            "PREPARE cone (float8, float8, float8) AS SELECT * FROM plans.star s"
            " WHERE hven.sky_within(s.ra, s.dec, $1, $2, $3)"
        )
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    rows, indexes = touched(plan_of(session, "EXECUTE cone (10, 20, 3600)"), "star")
    assert indexes == {"star_place"}
    assert rows < 30


@pytest.mark.parametrize(
    ("cover", "bound"),
    [
        ("hven.healpix_ranges_cone(10, 20, 3600)", 40),
        ("hven.healpix_ranges_box(350, 10, 20, 21)", 300),
        ("hven.healpix_ranges_polygon(ARRAY[9, 11, 11], ARRAY[19, 19, 21])", 40),
        ("hven.healpix_ranges_ellipse(10, 20, 3600, 1200, 30)", 30),
        ("hven.healpix_ranges_moc('5/100-110')", 300),
    ],
)
def test_a_set_reads_the_ranges_of_its_cover(session, cover, bound):
    with session.cursor() as cursor:
        cursor.execute("SELECT hven.sky_query('test', 'plans.live'::regtype, %s, 'true', 'true', false)", (cover,))
        query = cursor.fetchone()[0]
    plan = plan_of(session, query)
    assert touched(plan, "live")[1] == {"live_pixel"}
    assert 0 < plan[0]["Actual Rows"] < bound  # the exact test is left out: all rows of the cover


def test_a_small_cone_prefers_the_gist_index(session):
    with session.cursor() as cursor:
        for table, expected in (("star", "predicate"), ("live", "cover")):
            cursor.execute(
                f"SELECT hven.sky_query('test', 'plans.{table}'::regtype, 'cover', 'true', 'predicate', true)"
            )
            assert expected in cursor.fetchone()[0]


def matching(session, left, right, by_index):
    with session.cursor() as cursor:
        cursor.execute(
            "SELECT hven.sky_crossmatch_query(hven.sky_crossmatch_side(%s, NULL, NULL),"
            " hven.sky_crossmatch_side(%s, NULL, NULL), false, %s, 1)",
            (left, right, by_index),
        )
        query = cursor.fetchone()[0]
    return plan_of(session, query.replace("$2", "5.9e-12").replace("$3", "0.0003"))


def test_a_large_cross_match_is_a_hash_join(session):
    with session.cursor() as cursor:
        cursor.execute("SET LOCAL enable_mergejoin = off")  # as the function does
    plan = matching(session, "plans.live", "plans.star", False)
    assert any(node["Node Type"] == "Hash Join" for node in plan)
    assert touched(plan, "star")[0] == STARS


def test_a_small_table_is_matched_to_a_large_one_by_index(session):
    rows, indexes = touched(matching(session, "plans.galaxy", "plans.live", True), "live")
    assert indexes == {"live_pixel"}
    assert rows < 1200


def test_a_table_whose_healpix29_has_no_index_is_scanned_once(session):
    with session.cursor() as cursor:
        cursor.execute("SAVEPOINT test; DROP INDEX plans.live_pixel")
        cursor.execute("SELECT hven.sky_query('test', 'plans.live'::regtype, 'cover', 'true', 'predicate', true)")
        assert "predicate" in cursor.fetchone()[0]
        cursor.execute("ROLLBACK TO SAVEPOINT test")


def test_a_set_joins_two_tables_row_by_row(session):
    plan = plan_of(
        session,
        "SELECT s.star_id, redshift, o.ra FROM hven.sky_cone(NULL::plans.star, 10, 20, 3600) s"
        " JOIN plans.spectrum x USING (star_id) LEFT JOIN plans.live o ON o.star_id = s.star_id",
    )
    assert "spectrum_star_id_idx" in touched(plan, "spectrum")[1]
    assert touched(plan, "spectrum")[0] < 60
    assert touched(plan, "live")[0] < 60


@pytest.mark.parametrize("table", ["dia_source", "forced_dia_source"])
def test_a_light_curve_is_read_from_its_index_alone(connection, table):
    with connection.cursor() as cursor:
        cursor.execute("SELECT hven.ensure_partitions(0, 6293, 6293)")
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
    plan = plan_of(
        connection,
        f"SELECT {table}_id, midpoint_tai, filter_id, psf_flux, psf_flux_err FROM level1.{table}"
        " WHERE object_id = 777 AND time_withdrawn IS NULL",
    )
    kinds = {node["Node Type"] for node in plan} - {"Append"}
    assert kinds == {"Index Only Scan"}
