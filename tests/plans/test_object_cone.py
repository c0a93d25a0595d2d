"""sky_cone of Objects is inlined, in the live database and in a release, and answers as the general form does."""

import pytest

from udf import deploy

FILL = (
    "INSERT INTO {0}.object (object_id, ra, dec, healpix29, mean_ra, mean_dec)"
    " SELECT n, ra, d, hven.healpix29(ra, d), ra, d FROM (SELECT n, 150 + random() * 2 AS ra, random() * 2 AS d"
    " FROM generate_series(1, 20000) n) p"
)


@pytest.fixture(params=["level1", "dr9"])
def catalogue(connection, request):
    """Return the name of a catalogue with 20,000 Objects in four square degrees, and its connection."""
    with connection.cursor() as cursor:
        if request.param == "dr9":
            cursor.execute("CREATE SCHEMA dr9")
            cursor.execute("CREATE TABLE dr9.object (LIKE level1.object INCLUDING ALL)")
            cursor.execute("CREATE INDEX object_position_idx ON dr9.object USING gist (public.spoint_deg(ra, dec))")
            cursor.execute(deploy.read()["sky/object_release"].text.replace(":catalogue", "dr9"))
        cursor.execute(FILL.format(request.param))
        cursor.execute(f"ANALYZE {request.param}.object")
    return request.param, connection


def rows(connection, query, values=None):
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


@pytest.mark.parametrize("radius", [0.0, 30.0, 300.0, 301.0, 2500.0])
def test_the_inlined_form_finds_what_is_there(catalogue, radius):
    name, connection = catalogue
    found = rows(connection, f"SELECT object_id FROM hven.sky_cone(NULL::{name}.object, 151, 1, %s)", (radius,))
    near = "hven.sky_separation_arcsec(ra, dec, 151, 1) <= %s"
    assert set(found) == set(rows(connection, f"SELECT object_id FROM {name}.object WHERE {near}", (radius,)))
    assert len(found) == len(set(found))


@pytest.mark.parametrize(("radius", "index"), [(30, "position"), (2000, "healpix29")])
def test_the_planner_sees_through_it(catalogue, radius, index):
    name, connection = catalogue
    cone = f"hven.sky_cone(NULL::{name}.object, 151, 1, {radius})"
    plan = str(rows(connection, f"EXPLAIN SELECT object_id FROM {cone} WHERE extendedness > 0.5"))
    assert "sky_cone" not in plan
    assert "Seq Scan" not in plan
    expected = index if name == "dr9" else "healpix29"
    assert f"object_{expected}_idx" in plan
    other = {"position": "healpix29", "healpix29": "position"}[expected]
    assert f"object_{other}_idx" not in plan


def test_bad_input_is_refused(catalogue):
    import psycopg2

    name, connection = catalogue
    with pytest.raises(psycopg2.Error, match="radius is -1"):
        rows(connection, f"SELECT object_id FROM hven.sky_cone(NULL::{name}.object, 151, 1, -1)")
