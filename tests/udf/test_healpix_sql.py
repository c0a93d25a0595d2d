import healpy
import numpy as np
import psycopg2
import pytest

from db.connect import connect

POINTS = 1_000_000


@pytest.fixture(scope="module")
def session(shared_database):
    session = connect(shared_database)
    yield session
    session.close()


def rows(session, query, values=()):
    with session, session.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def test_sql_equals_healpy_on_a_million_random_points(session):
    """The positions are made by the server, the digest of the differences comes back as rows."""
    found = np.array(
        rows(
            session,
            "SELECT ra, d, hven.healpix29(ra, d) FROM (SELECT random() * 360 AS ra,"
            " degrees(asin(2 * random() - 1)) AS d FROM generate_series(1, %s)) p",
            (POINTS,),
        ),
        dtype=[("ra", float), ("dec", float), ("pixel", "i8")],
    )
    expected = healpy.ang2pix(2**29, found["ra"], found["dec"], nest=True, lonlat=True)
    assert (found["pixel"] == expected).all()


def on_borders():
    """Corners and edges of pixels of low orders, poles, and the meridians between base pixels."""
    ra, dec = [], []
    for order in (0, 1, 3, 6):
        sides = healpy.boundaries(2**order, np.arange(12 * 4 ** min(order, 3)), step=4, nest=True)
        lon, lat = healpy.vec2ang(np.moveaxis(sides, 1, 2).reshape(-1, 3), lonlat=True)
        ra.append(lon)
        dec.append(lat)
    ra.append(np.tile([0.0, 90.0, 180.0, 270.0, 360.0], 181))
    dec.append(np.repeat(np.arange(-90.0, 91.0), 5))
    return np.concatenate(ra), np.concatenate(dec)


def of_arrays(session, function, ra, dec):
    query = (
        f"SELECT {function} FROM unnest(%s::float8[], %s::float8[]) WITH ORDINALITY p (ra, d, n) ORDER BY n"
    )
    return np.array(rows(session, query, (ra.tolist(), dec.tolist())))[:, 0].astype(np.int64)


def test_on_borders_sql_gives_the_same_or_a_touching_pixel(session):
    ra, dec = on_borders()
    found = of_arrays(session, "hven.healpix29(ra, d)", ra, dec)
    expected = healpy.ang2pix(2**29, ra, dec, nest=True, lonlat=True)
    touching = healpy.get_all_neighbours(2**29, expected, nest=True)
    assert ((found == expected) | (found == touching).any(axis=0)).all()


def test_pgsphere_gives_another_base_pixel_on_borders(session):
    """Why healpix29 is a function of our own (pgSphere 1.4.2)."""
    ra, dec = np.tile([0.0, 90.0, 180.0, 270.0], 2), np.repeat([60.0, 89.0], 4)
    theirs = of_arrays(session, "public.healpix_nest(29, public.spoint_deg(ra, d))", ra, dec)
    expected = healpy.ang2pix(2**29, ra, dec, nest=True, lonlat=True)
    touching = healpy.get_all_neighbours(2**29, expected, nest=True)
    assert not ((theirs == expected) | (theirs == touching).any(axis=0)).any()


def test_the_array_form_equals_the_scalar_form(session):
    ra, dec = on_borders()
    [(found,)] = rows(
        session, "SELECT hven.healpix29(%s::float8[], %s::float8[])", (ra.tolist(), dec.tolist())
    )
    np.testing.assert_array_equal(found, of_arrays(session, "hven.healpix29(ra, d)", ra, dec))


def test_parents_centres_and_neighbours(session):
    pixel = int(healpy.ang2pix(2**29, 12.5, 77.7, nest=True, lonlat=True))
    [(parent,)] = rows(session, "SELECT hven.healpix_parent(%s, 9)", (pixel,))
    assert parent == healpy.ang2pix(2**9, 12.5, 77.7, nest=True, lonlat=True)
    [centre] = rows(session, "SELECT * FROM hven.healpix_centre(%s, 9)", (parent,))
    assert centre == pytest.approx(healpy.pix2ang(2**9, parent, nest=True, lonlat=True), abs=1e-13)
    around = {p for (p,) in rows(session, "SELECT hven.healpix_neighbours(%s, 9)", (parent,))}
    assert around == set(healpy.get_all_neighbours(2**9, parent, nest=True).tolist())
    assert len(rows(session, "SELECT hven.healpix_neighbours(0, 0)")) == 6


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        ("hven.healpix29(10, 90.1)", "VN010", r"position is \(10, 90.1\)"),
        ("hven.healpix29(10, 'NaN'::float8)", "VN010", "finite right ascension"),
        ("hven.healpix29('Infinity'::float8, 0)", "VN010", "finite right ascension"),
        (
            "hven.healpix29(ARRAY[1.0, 2.0]::float8[], ARRAY[1.0]::float8[])",
            "VN014",
            "got 2 right ascensions and 1 declinations",
        ),
        ("hven.healpix29(ARRAY[1.0]::float8[], ARRAY[NULL]::float8[])", "VN014", "got NULL in an array"),
        ("hven.healpix29(ARRAY[1.0]::float8[], ARRAY[91]::float8[])", "VN010", r"position is \(1, 91\)"),
        ("hven.healpix_parent(1, 30)", "VN015", "order is 30, allowed is 0 to 29"),
        ("hven.healpix_centre(12, 0)", "VN015", "there is no pixel 12 of order 0"),
        ("hven.healpix_neighbours(-1, 3)", "VN015", "there is no pixel -1 of order 3"),
    ],
)
def test_bad_input_is_refused(session, call, code, message):
    with pytest.raises(psycopg2.Error, match=message) as caught:
        rows(session, f"SELECT {call}")
    assert caught.value.pgcode == code


def test_null_in_null_out(session):
    assert rows(session, "SELECT hven.healpix29(NULL, 1), hven.healpix_parent(NULL, 3)") == [(None, None)]
