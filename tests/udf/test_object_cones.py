"""The Objects' own sky_cone finds what brute force finds, whichever way it goes inside."""

from contextlib import closing

import healpy
import numpy as np
import pytest

from db.connect import connect
from db.ids import ObjectId, object_pixel, pack
from db.load import load
from migrations.upgrade import create_release

CENTRES = [(150.0, -2.0), (0.0, 0.0), (359.9999, 41.9), (77.0, 90.0), (180.0, -89.99)]
RADII = [0.5, 1.0, 60.0, 399.0, 1799.0, 1801.0, 3600.0, 40000.0]


def healpix29(ra, dec):
    return healpy.ang2pix(1 << 29, ra, dec, nest=True, lonlat=True)


@pytest.fixture(scope="module")
def sky():
    """Positions crowded round the centres: the closer, the denser."""
    rng = np.random.default_rng(3)
    ra0, dec0 = (np.repeat([centre[axis] for centre in CENTRES], 400) for axis in (0, 1))
    radius, angle = 10 ** rng.uniform(-1, 5, ra0.size) / 206265, rng.uniform(0, 2 * np.pi, ra0.size)
    dec = np.arcsin(np.sin(np.radians(dec0)) * np.cos(radius)
                    + np.cos(np.radians(dec0)) * np.sin(radius) * np.cos(angle))
    turn = np.arctan2(np.sin(angle) * np.sin(radius) * np.cos(np.radians(dec0)),
                      np.cos(radius) - np.sin(np.radians(dec0)) * np.sin(dec))
    ra, dec = np.mod(ra0 + np.degrees(turn), 360), np.degrees(dec)
    first = np.unique(object_pixel(healpix29(ra, dec)), return_index=True)[1]  # one Object a pixel of the id
    return ra[first], dec[first]


@pytest.fixture(scope="module", params=[("level1", 0), ("dr5", 5)])
def filled(request, hub, shared_database, sky):
    """A session in a database with these Objects, of each kind that has Objects."""
    name, release = request.param
    if release:
        create_release(name, release)
    ra, dec = sky
    pixel = healpix29(ra, dec)
    ids = pack(ObjectId(release, object_pixel(pixel), np.zeros(ra.size, int)))
    with closing(connect(name if release else shared_database)) as session:
        rows = {"object_id": ids, "ra": ra, "dec": dec, "healpix29": pixel, "mean_ra": ra, "mean_dec": dec}
        load(session, "object", rows)
        yield session, ids
        session.rollback()
    if release:
        with closing(connect("postgres")) as session, session.cursor() as cursor:
            session.autocommit = True
            cursor.execute(f"DROP DATABASE {name}")
        with closing(connect(hub)) as session, session, session.cursor() as cursor:
            cursor.execute("DELETE FROM hub.science_database WHERE name = %s", [name])


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("centre", CENTRES)
def test_a_cone_is_what_brute_force_finds(filled, sky, centre, radius):
    session, ids = filled
    ra, dec = (np.radians(column) for column in sky)
    ra0, dec0 = np.radians(centre)
    haversine = np.sin((dec - dec0) / 2) ** 2 + np.cos(dec) * np.cos(dec0) * np.sin((ra - ra0) / 2) ** 2
    expected = set(ids[haversine <= np.sin(radius / 206264.80624709636 / 2) ** 2].tolist())
    with session.cursor() as cursor:
        cursor.execute("SELECT object_id FROM sky_cone(NULL::object, %s, %s, %s)", (*centre, radius))
        assert {object_id for (object_id,) in cursor} == expected
    assert radius < 60 or expected
