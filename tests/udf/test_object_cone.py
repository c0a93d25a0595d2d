"""sky_cone of Objects, in the live database and in a release, finds what is there."""

import psycopg2
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


@pytest.mark.parametrize("radius", [0.0, 30.0, 400.0, 1800.0, 1801.0, 2500.0])
def test_cones_of_objects_are_exact(catalogue, radius):
    name, connection = catalogue
    found = rows(connection, f"SELECT object_id FROM hven.sky_cone(NULL::{name}.object, 151, 1, %s)", (radius,))
    near = "hven.sky_separation_arcsec(ra, dec, 151, 1) <= %s"
    assert set(found) == set(rows(connection, f"SELECT object_id FROM {name}.object WHERE {near}", (radius,)))
    assert len(found) == len(set(found))


def test_bad_input_is_refused(catalogue):
    name, connection = catalogue
    with pytest.raises(psycopg2.Error, match="radius is -1"):
        rows(connection, f"SELECT object_id FROM hven.sky_cone(NULL::{name}.object, 151, 1, -1)")
