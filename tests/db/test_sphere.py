"""pgSphere's types: values go in and come back in degrees, columns are reflected, operators return their type."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, create_engine, func, inspect, literal, select
from sqlalchemy.pool import StaticPool

from db.regions import Box, Circle, Ellipse, Moc, Path, Point, Polygon, SphereError
from db.sphere import TYPES, Scircle, Spoint

many = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
# pgSphere takes angles within 1e-9 rad of 0 for 0: 12 decimals come back, but not below a microdegree.
points = st.builds(
    Point,
    st.integers(10**6, 360 * 10**12 - 10**6).map(lambda n: n / 10**12),
    st.integers(10**6, 90 * 10**12 - 10**6).flatmap(lambda n: st.sampled_from([n / 10**12, -n / 10**12])),
)
EXAMPLES = [
    Point(10.684708, -41.26875),
    Point(0.0, 90.0),
    Circle(Point(350.25, -2.5), 3.0),
    Ellipse(Point(350.25, -2.5), 2.0, 1.0, 30.0),
    Box(Point(359.5, -1.0), Point(0.5, 1.0)),
    Polygon((Point(359.0, 1.0), Point(1.0, 1.0), Point(0.5, 3.0))),
    Path((Point(1.0, 2.0), Point(3.0, 4.0))),
    Moc.parse("3/1-3 4/100 29/7"),
    Moc(()),
]


@pytest.fixture
def session(connection):
    engine = create_engine("postgresql+psycopg2://", creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as opened:
        yield opened


def one(connection, query: str, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchone()[0]


@pytest.mark.parametrize("value", EXAMPLES, ids=str)
def test_a_value_comes_back(connection, value):
    assert one(connection, "SELECT %s", value) == value


@given(point=points)
@many
def test_twelve_decimals_come_back(connection, point):
    assert one(connection, "SELECT %s", point) == point


@given(point=points)
@many
def test_the_degrees_are_those_of_spoint_deg(connection, point):
    query = "SELECT %s OPERATOR(public.<->) public.spoint_deg(%s, %s)"
    assert one(connection, query, point, point.ra, point.dec) == 0


def test_output_in_degrees_is_read_too(connection):
    one(connection, "SELECT public.set_sphere_output('DEG')")
    try:
        assert one(connection, "SELECT %s", EXAMPLES[2]) == EXAMPLES[2]
    finally:
        one(connection, "SELECT public.set_sphere_output('RAD')")


@pytest.mark.parametrize("value", EXAMPLES, ids=str)
def test_a_column_keeps_and_reflects_its_type(session, value):
    type_ = TYPES[value.sql]
    table = Table("regions", MetaData(), Column("region", type_), prefixes=["TEMP"])
    table.create(session)
    session.execute(table.insert(), [{"region": value}, {"region": None}])
    assert [region for (region,) in session.execute(select(table))] == [value, None]
    assert type(inspect(session).get_columns("regions")[0]["type"]) is type_


REGION, HERE = Circle(Point(10.0, 0.0), 1.0), Point(10.5, 0.0)
OPERATORS = {
    "within": (literal(HERE, Spoint).within(REGION), True),
    "not within": (literal(Point(12.0, 0.0), Spoint).within(REGION), False),
    "contains": (literal(REGION, Scircle).contains(HERE), True),
    "overlaps": (literal(REGION, Scircle).overlaps(Box(Point(10.5, 0.5), Point(20.0, 1.0))), True),
    "distance": (func.degrees(literal(HERE, Spoint).distance(Point(10.0, 0.0))), pytest.approx(0.5, rel=1e-12)),
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_returns_its_type(session, operator):
    expression, expected = OPERATORS[operator]
    assert session.execute(select(expression)).scalar() == expected


def test_a_literal_is_quoted_with_its_type():
    compiled = select(literal(HERE, Spoint)).compile(compile_kwargs={"literal_binds": True})
    assert "'(10.5d,0.0d)'::public.spoint" in str(compiled)


def test_a_union_of_cells_is_sorted_and_merged():
    assert Moc.from_cells(29, [7, 3, 4, 3]).ranges == ((3, 5), (7, 8))
    assert Moc.from_cells(28, [1]).ranges == ((4, 8),)


@given(st.sets(st.integers(0, 12 * 4**4 - 1)))
@many
def test_a_moc_is_the_set_of_its_cells(connection, cells):
    moc = Moc.from_cells(4, cells)
    covered = {cell >> 50 for first, stop in moc.ranges for cell in range(first, stop, 1 << 50)}
    assert covered == cells
    assert one(connection, "SELECT %s", moc) == moc


IMPOSSIBLE = {
    "Point got ra=360.0": lambda: Point(360.0, 0.0),
    "Point got ra=nan": lambda: Point(float("nan"), 0.0),
    "Circle got radius=91": lambda: Circle(Point(0.0, 0.0), 91),
    "Ellipse got minor=2.0; allowed is 0 <= minor <= 1.0": lambda: Ellipse(Point(0.0, 0.0), 1.0, 2.0, 0.0),
    "Box got its south edge 2.0 deg north of its north edge 1.0 deg": lambda: Box(Point(0.0, 2.0), Point(1.0, 1.0)),
    "Polygon got 1 vertices; at least 3": lambda: Polygon((Point(0.0, 0.0),)),
    "got 'sun'; allowed are pgSphere's radians or degrees": lambda: Point.parse("sun"),
}


@pytest.mark.parametrize("message", IMPOSSIBLE)
def test_an_impossible_region_is_refused(message):
    with pytest.raises(SphereError, match=message):
        IMPOSSIBLE[message]()
