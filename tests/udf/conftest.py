"""A table of positions with the usual traps, in a transaction that is rolled back."""

import numpy as np
import pytest

from db.connect import connect
from tests.conftest import clone
from tests.udf.night import Night
from udf.sky.cover import unit_vectors

SEED = 20110804


def tricky_positions(count: int = 6000):
    """Positions over the whole sky, crowded at the poles, round RA 0, and doubled at distances of 0.1 to 60″."""
    random = np.random.default_rng(SEED)
    ra, dec = random.uniform(0, 360, count), np.degrees(np.arcsin(random.uniform(-1, 1, count)))
    third = count // 6
    close = 10 ** random.uniform(-5, 0.5, third)
    dec[:third] = np.where(random.uniform(size=third) < 0.5, 90 - close, close - 90)
    ra[third : 2 * third] = (random.normal(0, 0.5, third)) % 360
    dec[third : 2 * third] = random.normal(0, 0.5, third)
    ra[2 * third : 2 * third + 40] = np.tile([0.0, 90.0, 180.0, 270.0], 10)
    dec[2 * third : 2 * third + 40] = np.repeat([-90, -60, -41.8, -0.1, 0.0, 0.1, 41.8, 60, 89.99, 90], 4)
    step = 10 ** random.uniform(-1, np.log10(60), count) / 3600
    turn = random.uniform(0, 2 * np.pi, count)
    v = unit_vectors(ra, dec) + np.radians(step)[:, None] * (
        np.cos(turn)[:, None] * unit_vectors(ra + 90, 0 * ra) + np.sin(turn)[:, None] * unit_vectors(ra, dec + 90)
    )
    near = np.degrees(np.arctan2(v[:, 1], v[:, 0])) % 360, np.degrees(np.arctan2(v[:, 2], np.hypot(v[:, 0], v[:, 1])))
    return np.append(ra, near[0]) % 360, np.append(dec, near[1])


class Positions:
    """The positions in Python and, as `trial.with_gist`, `trial.with_pixels` and `trial.bare`, in SQL."""

    tables = ("with_gist", "with_pixels", "bare")

    def __init__(self, session):
        self.ra, self.dec = tricky_positions()
        self.session = session

    def ask(self, query, values=()):
        """Rows of a query."""
        with self.session.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall()

    def ask_nothing(self, query):
        """Run a statement that gives no rows."""
        with self.session.cursor() as cursor:
            cursor.execute(query)

    def ids(self, query, values=()) -> list[int]:
        """Return the sorted first column of a query."""
        return sorted(row[0] for row in self.ask(query, values))


@pytest.fixture(scope="module")
def positions(shared_database):
    """Return positions in three tables: with GiST and healpix29, with healpix29 alone, with neither."""
    session = connect(shared_database)
    found = Positions(session)
    columns = "id bigint PRIMARY KEY, ra float8 NOT NULL, dec float8 NOT NULL"
    with session.cursor() as cursor:
        cursor.execute("CREATE SCHEMA trial")
        cursor.execute(f"CREATE TABLE trial.bare ({columns})")
        cursor.execute(
            "INSERT INTO trial.bare SELECT * FROM unnest(%s::bigint[], %s::float8[], %s::float8[])",
            (list(range(found.ra.size)), found.ra.tolist(), found.dec.tolist()),
        )
        cursor.execute(
            "CREATE TABLE trial.with_pixels AS SELECT *, hven.healpix29(ra, dec) AS healpix29 FROM trial.bare"
        )
        cursor.execute("CREATE TABLE trial.with_gist AS TABLE trial.with_pixels")
        cursor.execute("CREATE INDEX ON trial.with_pixels (healpix29)")
        cursor.execute("CREATE INDEX ON trial.with_gist (healpix29)")
        cursor.execute("CREATE INDEX ON trial.with_gist USING gist (public.spoint_deg(ra, dec))")
        cursor.execute("ANALYZE trial.bare, trial.with_pixels, trial.with_gist")
    yield found
    session.rollback()
    session.close()


@pytest.fixture(autouse=True)
def _savepoint(request):
    """Let a test provoke errors in the transaction that holds the tables."""
    if "positions" not in request.fixturenames:
        yield
        return
    session = request.getfixturevalue("positions").session
    with session.cursor() as cursor:
        cursor.execute("SAVEPOINT test")
        yield
        cursor.execute("ROLLBACK TO SAVEPOINT test")


@pytest.fixture(scope="session")
def begun_night(template):
    """Return a simulated night before its first Visit, in an uncommitted transaction."""
    with clone(template, "level1_night"):
        night = Night(connect("level1_night"))
        night.begin()
        yield night
        night.session.close()


@pytest.fixture
def night(begun_night):
    """Return the simulated night; what a test does to it is rolled back."""
    begun_night.do("SAVEPOINT test")
    yield begun_night
    begun_night.do("ROLLBACK TO SAVEPOINT test")


@pytest.fixture
def survey(begun_night):
    """The night's database without its Objects."""
    begun_night.do("SAVEPOINT test")
    begun_night.do("DELETE FROM level1.object")
    yield begun_night
    begun_night.do("ROLLBACK TO SAVEPOINT test")
