"""Each region twice, as predicate and as set, against the same question asked of every position in Python."""

import numpy as np
import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udf.sky import cover
from udf.sky.healpix import pixels

CONES = [
    (0.0, 90.0, 3600.0), (123.0, -90.0, 20.0), (0.0, 0.0, 1800.0), (359.9999, 0.0001, 60.0), (90.0, 60.0, 30.0),
    (180.0, 41.8, 100.0), (10.0, 20.0, 90_000.0), (10.0, 20.0, 648_000.0), (10.0, 20.0, 0.0), (300.0, 89.9, 1200.0),
]  # fmt: skip
TABLES = ("with_gist", "with_pixels", "bare")


def separations(positions, ra, dec):
    """By the haversine, in arcsec."""
    ra1, dec1, ra2, dec2 = map(np.radians, (positions.ra, positions.dec, ra, dec))
    h = np.sin((dec2 - dec1) / 2) ** 2 + np.cos(dec1) * np.cos(dec2) * np.sin((ra2 - ra1) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.minimum(h, 1)))) * 3600


@pytest.mark.parametrize("cone", CONES)
@pytest.mark.parametrize("table", TABLES)
def test_cones_are_exact(positions, cone, table):
    expected = np.flatnonzero(separations(positions, *cone[:2]) <= cone[2]).tolist()
    assert positions.ids(f"SELECT id FROM hven.sky_cone(NULL::trial.{table}, %s, %s, %s)", cone) == expected
    if cone[2] <= 324_000:  # a quarter of a circle, where pgSphere's end
        predicate = f"SELECT id FROM trial.{table} t WHERE hven.sky_within(t.ra, t.dec, %s, %s, %s)"
        assert positions.ids(predicate, cone) == expected


def test_no_pair_is_lost_or_won_at_the_radius(positions):
    """Cones whose radius is the distance to a neighbour, and a little less and more."""
    half = positions.ra.size // 2
    lost = "SELECT count(*) FROM trial.with_gist a JOIN trial.with_gist b ON b.id = a.id + %s WHERE NOT {}"
    close = "hven.sky_within(a.ra, a.dec, b.ra, b.dec, hven.sky_separation_arcsec(a.ra, a.dec, b.ra, b.dec) {})"
    assert positions.ask(lost.format(close.format("+ 1e-9")), (half,)) == [(0,)]
    assert positions.ask(lost.format("NOT " + close.format("- 1e-9")), (half,)) == [(0,)]


def test_the_predicate_finds_by_index_all_that_it_accepts(positions):
    """Pairs by the index equal pairs by a nested loop; positions that pgSphere moves included."""
    join = "SELECT a.id, b.id FROM trial.with_gist a JOIN trial.{} b ON hven.sky_within(a.ra, a.dec, b.ra, b.dec, {})"
    for radius in ("2", "30 + b.id % 2", "b.id % 60"):
        by_index = set(positions.ask(join.format("with_gist", radius) + " WHERE b.id % 41 = 0"))
        with positions.session.cursor() as cursor:
            cursor.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
        assert by_index == set(positions.ask(join.format("with_gist", radius) + " WHERE b.id % 41 = 0"))
        with positions.session.cursor() as cursor:
            cursor.execute("RESET enable_indexscan; RESET enable_bitmapscan")


NANODEGREES = 10**9
RA = st.one_of(
    st.integers(0, 360 * NANODEGREES).map(lambda n: n / NANODEGREES),
    st.sampled_from([0.0, 90.0, 180.0, 270.0, 359.9999999, 360.0, -0.5]),
)
DEC = st.one_of(
    st.integers(-90 * NANODEGREES, 90 * NANODEGREES).map(lambda n: n / NANODEGREES),
    st.sampled_from([90.0, -90.0, 89.9999, -89.99, 0.0, 41.8103149]),
)
ON_TABLES = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ON_TABLES
@given(RA, DEC, st.floats(-1, 5.8).map(lambda x: 10**x), st.sampled_from(TABLES))
def test_any_cone_is_what_brute_force_finds(positions, ra, dec, radius, table):
    distance = separations(positions, ra, dec)
    sure, possible = (set(np.flatnonzero(distance <= radius + slack)) for slack in (-1e-7, 1e-7))
    found = positions.ids(f"SELECT id FROM hven.sky_cone(NULL::trial.{table}, %s, %s, %s)", (ra, dec, radius))
    assert len(found) == len(set(found))
    assert sure <= set(found) <= possible


@ON_TABLES
@given(RA, st.floats(0.001, 360), DEC, DEC, st.sampled_from(TABLES))
def test_any_box_is_what_brute_force_finds(positions, west, width, dec1, dec2, table):
    south, north, east = min(dec1, dec2), max(dec1, dec2), west + width
    eastward = (positions.ra - west) % 360
    in_dec = (positions.dec >= south) & (positions.dec <= north)
    sure, possible = (
        set(np.flatnonzero(in_dec & ((eastward <= east - west + slack) | (slack > 0) & (eastward >= 360 - slack))))
        for slack in (-1e-9, 1e-9)
    )
    query = f"SELECT id FROM hven.sky_box(NULL::trial.{table}, %s, %s, %s, %s)"
    found = positions.ids(query, (west, east, south, north))
    assert sure - set(np.flatnonzero(eastward == 0)) <= set(found) <= possible


@pytest.mark.parametrize(
    "ellipse",
    [(0.0, 0.0, 3600.0, 1200.0, 30.0), (77.0, 90.0, 7200.0, 60.0, 120.0), (200.0, -30.0, 200_000.0, 50_000.0, 350.0)],
)
@pytest.mark.parametrize("table", TABLES)
def test_ellipses_are_exact(positions, ellipse, table):
    ra, dec, major, minor, angle = ellipse
    region = cover.ellipse(ra, dec, major * cover.ARCSEC, minor * cover.ARCSEC, angle)
    expected = np.flatnonzero(region(cover.unit_vectors(positions.ra, positions.dec)) <= 0).tolist()
    assert expected
    slots = "%s, %s, %s, %s, %s)"
    assert positions.ids(f"SELECT id FROM hven.sky_ellipse(NULL::trial.{table}, {slots}", ellipse) == expected
    predicate = f"SELECT id FROM trial.{table} t WHERE hven.sky_in_ellipse(t.ra, t.dec, {slots}"
    assert positions.ids(predicate, ellipse) == expected


@pytest.mark.parametrize(
    "box",
    [
        (359.0, 1.0, -1.0, 0.5),
        (10.0, 200.0, -90.0, -20.0),
        (0.0, 360.0, 89.0, 90.0),
        (200.0, 20.0, -5.0, 70.0),
        (0.0, 0.0, -90.0, 90.0),
    ],
)
@pytest.mark.parametrize("table", TABLES)
def test_boxes_are_exact(positions, box, table):
    west, east, south, north = box
    in_ra = (positions.ra - west) % 360 <= (east - west) % 360 if east - west < 360 else positions.ra >= 0
    expected = np.flatnonzero(in_ra & (positions.dec >= south) & (positions.dec <= north)).tolist()
    assert positions.ids(f"SELECT id FROM hven.sky_box(NULL::trial.{table}, %s, %s, %s, %s)", box) == expected
    predicate = f"SELECT id FROM trial.{table} t WHERE hven.sky_in_box(t.ra, t.dec, %s, %s, %s, %s)"
    assert positions.ids(predicate, box) == expected


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ([359.0, 1.0, 1.5, 0.1, 359.5], [-1.0, -0.7, 1.0, 0.1, 0.9]),
        ([0.0, 90.0, 180.0, 270.0], [88.0, 89.0, 88.0, 89.5]),
        ([10.0, 120.0, 80.0, 60.0], [-10.0, -20.0, 60.0, 0.0]),
        ([0.0, 120.0, 240.0], [-20.0, -20.0, -20.0]),
    ],
)
@pytest.mark.parametrize("table", TABLES)
def test_polygons_are_exact_but_for_their_rims(positions, ra, dec, table):
    value = cover.polygon(np.array(ra), np.array(dec))(cover.unit_vectors(positions.ra, positions.dec))
    sure, doubtful = set(np.flatnonzero(value < -2e-9)), set(np.flatnonzero(np.abs(value) <= 2e-9))
    assert sure
    vertices = "%s::float8[], %s::float8[])"
    by_set = f"SELECT id FROM hven.sky_polygon(NULL::trial.{table}, {vertices}"
    by_predicate = f"SELECT id FROM trial.{table} t WHERE hven.sky_in_polygon(ra, dec, hven.sky_spoly({vertices})"
    for query in (by_set, by_predicate):
        assert sure <= set(positions.ids(query, (ra, dec))) <= sure | doubtful


@pytest.mark.parametrize("table", TABLES)
def test_coverage_maps_are_exact(positions, table):
    moc = "1/0,40-45 3/600-640 7/100000"
    lowest, highest = [0, 40, 600 / 16, 100_000 / 4**6], [1, 46, 641 / 16, 100_001 / 4**6]
    place = pixels(positions.ra, positions.dec) / 4.0**28
    inside = np.any([(place >= low) & (place < high) for low, high in zip(lowest, highest, strict=True)], axis=0)
    expected = np.flatnonzero(inside).tolist()
    assert positions.ids(f"SELECT id FROM hven.sky_moc(NULL::trial.{table}, %s::public.smoc)", (moc,)) == expected
    if table != "bare":
        predicate = f"SELECT id FROM trial.{table} WHERE hven.sky_in_moc(healpix29, %s::public.smoc)"
        assert positions.ids(predicate, (moc,)) == expected


@pytest.mark.parametrize("table", TABLES)
def test_the_nearest_come_nearest_first(positions, table):
    distance = separations(positions, 10.0, -20.0)
    expected = np.argsort(distance)[:5]
    query = f"SELECT id FROM hven.sky_nearest(NULL::trial.{table}, 10, -20, 36000, 5)"
    assert [row[0] for row in positions.ask(query)] == expected.tolist()
    assert positions.ask(f"SELECT * FROM hven.sky_nearest(NULL::trial.{table}, 77, 33.3, 0)") == []


def test_ranges_of_many_cones_cover_them(positions):
    pairs = positions.ask(
        "WITH cones AS (SELECT array_agg(ra ORDER BY id) AS ra, array_agg(dec ORDER BY id) AS dec,"
        " array_agg(5.0::float8 ORDER BY id) AS radius FROM trial.bare)"
        " SELECT r.cone - 1, o.id FROM cones, hven.healpix_ranges_cones(ra, dec, radius) r"
        " JOIN trial.with_pixels o ON o.healpix29 BETWEEN r.lowest AND r.highest"
        " JOIN trial.bare c ON c.id = r.cone - 1 AND hven.sky_separation_arcsec(c.ra, c.dec, o.ra, o.dec) <= 5"
    )
    near = "hven.sky_within(a.ra, a.dec, b.ra, b.dec, 5)"
    direct = positions.ask(f"SELECT a.id, b.id FROM trial.with_gist a JOIN trial.with_gist b ON {near}")
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == set(direct)


ROW = "NULL::trial.bare"
BAD = [
    ("sky_cone({}, 10, 20, -1)", "VN011", "radius is -1, allowed is 0 to 648000 arcsec"),
    ("sky_polygon({}, ARRAY[0,120,240], ARRAY[10,10,10])", "VN012", "hemisphere about the middle of its vertices"),
    ("sky_cone({}, 10, 20, 648001)", "VN011", "radius is 648001"),
    ("sky_cone({}, 10, 20, 'NaN')", "VN011", "radius is NaN"),
    ("sky_cone({}, 10, 90.5, 1)", "VN010", r"position is \(10, 90.5\)"),
    ("sky_cone({}, 'NaN', 9, 1)", "VN010", r"position is \(NaN, 9\)"),
    ("sky_cone(NULL::public.spoint, 10, 20, 1)", "VN013", "sky_cone: spoint is not a table with columns ra and dec"),
    ("sky_cone(NULL::pg_class, 10, 20, 1)", "VN013", "sky_cone: pg_class is not a table with columns ra and dec"),
    ("sky_cone(NULL::trial.nothing, 10, 20, 1)", "42704", 'type "trial.nothing" does not exist'),
    ("sky_nearest({}, 10, 20, 1, -1)", "VN011", "neighbours is -1, allowed is 0 or more"),
    ("exposures_covering(10, 95)", "VN010", r"position is \(10, 95\)"),
    ("healpix_ranges_moc('3/1 nonsense')", "22P02", "moc"),
    ("sky_at_epoch(10, 95, 1, 1, 1)", "VN010", r"position is \(10, 95\)"),
    ("sky_separation_arcsec(10, 95, 1, 1)", "VN010", r"position is \(10, 95\)"),
    ("sky_position_angle(10, 5, 1, -95)", "VN010", r"position is \(1, -95\)"),
    ("healpix29(10, 95)", "VN010", r"position is \(10, 95\)"),
    ("healpix29(ARRAY[10, 11], ARRAY[5])", "VN014", "2 right ascensions and 1 declinations"),
    ("healpix_ranges_cones(ARRAY[10], ARRAY[5], ARRAY[1, 2])", "VN014", "got 2 radii and 1 positions"),
    ("healpix_ranges_cones(ARRAY[10], ARRAY[5], ARRAY[-1])", "VN011", "radius is -1"),
    ("sky_nearest({}, 10, -91, 1)", "VN010", r"position is \(10, -91\)"),
    ("sky_ellipse({}, 10, 20, 5, 6, 0)", "VN011", "axes are 5 and 6 arcsec"),
    ("sky_ellipse({}, 10, 20, 5, 0, 0)", "VN011", "axes are 5 and 0 arcsec"),
    ("sky_box({}, 10, 20, 5, -5)", "VN011", "declinations are 5 and -5, allowed is dec_south <= dec_north"),
    ("sky_box({}, 10, 20, -95, 5)", "VN010", r"position is \(10, -95\)"),
    ("sky_polygon({}, ARRAY[]::float8[], ARRAY[]::float8[])", "VN012", "the polygon has 0 vertices"),
    (
        "sky_polygon({}, ARRAY[1,2,3], ARRAY[1,2])",
        "VN014",
        "got 3 right ascensions and 2 declinations, allowed are equal numbers",
    ),
    ("sky_polygon({}, ARRAY[1,2,NULL], ARRAY[1,2,3])", "VN014", "got NULL in an array"),
    ("sky_polygon({}, ARRAY[0,1,0,1], ARRAY[0,1,1,0])", "VN012", "crosses itself: side 1 and side 3 meet"),
    ("sky_polygon({}, ARRAY[0,120,240], ARRAY[0,0,0])", "VN012", "hemisphere"),
]


@pytest.mark.parametrize(("call", "code", "message"), BAD)
def test_bad_input_is_one_clear_error(positions, call, code, message):
    with pytest.raises(psycopg2.Error, match=message) as caught:
        positions.ask(f"SELECT * FROM hven.{call.format(ROW)}")
    assert caught.value.pgcode == code
    assert caught.value.diag.message_hint or not code.startswith("VN")


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("hven.sky_within(ra, dec, 10, 20, -1)", "VN011"),
        ("hven.sky_within(ra, dec, 10, 95, 1)", "VN010"),
        ("hven.sky_within(10, 95, ra, dec, 1)", "VN010"),
        ("hven.sky_within(ra, dec, 10, 20, id - 100000)", "VN011"),
        ("hven.sky_in_ellipse(ra, dec, 10, 20, 1, 2, 0)", "VN011"),
        ("hven.sky_in_box(ra, dec, 10, 20, 3, 2)", "VN011"),
        ("hven.sky_in_polygon(ra, dec, hven.sky_spoly(ARRAY[0,1,0,1], ARRAY[0,1,1,0]))", "VN012"),
    ],
)
def test_predicates_refuse_bad_input_even_where_no_row_is_near(positions, condition, code):
    with pytest.raises(psycopg2.Error) as caught:
        positions.ask(f"SELECT * FROM trial.with_gist WHERE {condition}")
    assert caught.value.pgcode == code


def test_null_in_nothing_out(positions):
    for call in ("sky_cone({}, NULL, 1, 1)", "sky_box({}, 1, 2, NULL, 3)", "sky_ellipse({}, 1, 1, 1, 1, NULL)"):
        assert positions.ask(f"SELECT * FROM hven.{call.format(ROW)}") == []
