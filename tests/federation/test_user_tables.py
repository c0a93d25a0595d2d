"""Users' tables in SQL: matched into new ones, lists of Objects followed."""

from contextlib import closing

import numpy as np
import psycopg2
import pytest

from db.connect import connect
from db.load import load
from federation.importing import import_file
from federation.sessions import as_user
from tests.federation.conftest import login, outcome
from tests.federation.test_foreign import objects


@pytest.fixture
def matched(release, tmp_path):
    """Objects in the release, and alice's table `stars`: each Object within 1″, and two further neighbours of one."""
    rows = objects(500)
    with closing(connect(release)) as session, session, session.cursor() as cursor:
        cursor.execute(f"DELETE FROM {release}.object")
        load(session, f"{release}.object", rows)
    ra, dec = rows["ra"] + 1e-4, rows["dec"] + 1e-4
    lines = [f"{a!r},{d!r},{i}" for i, (a, d) in enumerate(zip(ra.tolist(), dec.tolist(), strict=True))]
    (tmp_path / "stars.csv").write_text("ra,dec,n\n" + "\n".join(lines) + "\n")
    with as_user(release, "alice") as session:
        import_file(session, tmp_path / "stars.csv", "stars")
    yield rows
    with closing(connect(release)) as session, session, session.cursor() as cursor:
        cursor.execute(f"DELETE FROM {release}.object")


def test_a_table_is_matched_into_a_new_one(matched):
    with closing(login("alice")) as session, session.cursor() as cursor:
        cursor.execute("SELECT hven.crossmatch('stars', 'dr41.object', 1, 'pairs')")
        assert cursor.fetchone()[0] >= 500
        cursor.execute("SELECT left_id, right_id, separation_arcsec FROM pairs WHERE rank = 1 ORDER BY left_id")
        pairs = cursor.fetchall()
        assert [right for _, right, _ in pairs] == matched["object_id"].tolist()
        assert np.ptp([separation for *_, separation in pairs]) < 0.01
        cursor.execute("SELECT count(*) FROM pairs JOIN object ON object_id = right_id")
        assert cursor.fetchone()[0] >= 500


def test_the_nearest_few_are_ranked(matched):
    with closing(login("alice")) as session, session.cursor() as cursor:
        cursor.execute("SELECT hven.crossmatch('stars', 'dr41.object', 1000, 'pairs', neighbours => 3)")
        cursor.execute("SELECT max(rank), bool_and(separation_arcsec >= before) FROM (SELECT *, lag(separation_arcsec)"
                       " OVER (PARTITION BY left_id ORDER BY rank) AS before FROM pairs) p")
        assert cursor.fetchone() == (3, True)


def test_moving_stars_are_brought_to_the_epoch(release):
    with closing(login("alice")) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE fast AS SELECT 1::bigint AS id, 10.0::float8 AS ra, 20.0::float8 AS dec,"
                       " 1000.0::float8 AS pm_ra, 0.0::float8 AS pm_dec, 2000.0::float8 AS epoch")
        cursor.execute("CREATE TABLE seen AS SELECT 7::bigint AS id, p.ra, p.dec"
                       " FROM hven.sky_at_epoch(10, 20, 1000, 0, 15) p")
        moving = "ARRAY['id', 'ra', 'dec', 'pm_ra', 'pm_dec', 'epoch']"
        for epoch, pairs in (("2015", 1), ("2000", 0)):
            cursor.execute(f"SELECT hven.crossmatch('fast', 'seen', 1, 'm{epoch}', left_columns => {moving},"
                           f" right_columns => ARRAY['id', 'ra', 'dec'], epoch => {epoch})")
            assert cursor.fetchone() == (pairs,)


def test_a_table_that_is_not_there_is_named(release):
    with closing(login("alice")) as session:
        assert outcome(session, "SELECT hven.crossmatch('nothing', 'dr41.object', 1, 'pairs')") == "VN053"


@pytest.mark.parametrize("name", ["x; DROP TABLE object", "a\"b", "'", "SELECT", "ü", "x" * 63])
def test_names_are_names_whatever_is_in_them(matched, name):
    with closing(login("alice")) as session, session.cursor() as cursor:
        cursor.execute("SELECT hven.crossmatch('stars', 'dr41.object', 1, %s)", [name])
        cursor.execute("SELECT count(*) FROM level3.tables WHERE name = %s", [name])
        assert cursor.fetchone() == (1,)


def test_lists_of_objects_are_followed(matched):
    with closing(login("alice")) as session:
        ids = "ARRAY(SELECT object_id FROM object LIMIT 3)"
        assert outcome(session, f"SELECT count(*) FROM hven.light_curve_list({ids})") == [(0,)]
        assert outcome(session, f"SELECT count(*) FROM hven.cutout_list({ids})") == [(0,)]


@pytest.mark.parametrize("name", ["harmonic_periods", "pulsation_periods"])
@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (([1.0, 2.0], [1], [1.0, 1.0], [0.1, 0.1]), "times, filters, fluxes and errors differ in number"),
        (([1.0, None], [1, 1], [1.0, 1.0], [0.1, 0.1]), "something is not finite, or an error is not above 0"),
        (([1.0, 2.0], [1, 1], [1.0, 1.0], [0.1, 0.0]), "something is not finite, or an error is not above 0"),
    ],
)
def test_what_is_no_light_curve_is_refused(connection, name, values, problem):
    with connection.cursor() as cursor, pytest.raises(psycopg2.Error, match=f"{name}: {problem}") as caught:
        cursor.execute(f"SELECT * FROM hven.{name}(%s::float8[], %s, %s::float8[], %s::float8[])", values)
    assert caught.value.pgcode == "VN023"


def test_the_period_of_a_light_curve_given_as_arrays(connection):
    rng = np.random.default_rng(3)
    tai = np.sort(rng.uniform(51000, 51300, 80))
    wave = np.sin(2 * np.pi * tai / 0.61) + 0.5 * np.sin(4 * np.pi * tai / 0.61)
    with connection.cursor() as cursor:
        values = [tai.tolist(), [1] * 80, (wave + rng.normal(0, 0.05, 80)).tolist(), [0.05] * 80]
        cursor.execute("SELECT period, power FROM hven.harmonic_periods(%s, %s, %s, %s)", values)
        period, power = cursor.fetchone()
        assert period == pytest.approx(0.61, rel=1e-4)
        assert power > 0.97
        cursor.execute("SELECT period, criterion FROM hven.pulsation_periods(%s, %s, %s, %s)", values)
        period, criterion = cursor.fetchone()
        assert period == pytest.approx(0.61, rel=1e-4)
        assert criterion < -100
        for name in ("harmonic_periods", "pulsation_periods"):
            cursor.execute(f"SELECT * FROM hven.{name}((SELECT min(object_id) FROM object))")
            assert cursor.fetchall() == []
