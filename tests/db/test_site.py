"""Another site: raw files go there, and its databases are compared."""

import os
from contextlib import closing

import healpy
import numpy as np
import pytest

from db import cluster as clusters
from db import site as sites
from db.connect import connect, dsn
from db.files import FileStore, FileStoreError, register
from db.ids import ObjectId, object_pixel, pack
from db.load import load
from db.site import Association, Site, SiteError
from migrations.upgrade import recreate
from tests.conftest import DURABILITY_OFF

RAW = """
INSERT INTO filter (filter_id, name) VALUES (1, 'r') ON CONFLICT DO NOTHING;
INSERT INTO detector (detector_id, instrument, name, width, height, pixel_scale)
VALUES (0, 'x', '0', 9, 9, 1) ON CONFLICT DO NOTHING;
INSERT INTO visit (visit_id, night, sequence, filter_id, snaps, detectors)
VALUES (%(visit)s, %(visit)s >> 12, %(visit)s & 4095, 1, 1, 1);
INSERT INTO exposure (exposure_id, visit_id, detector_id, snap, kind, filter_id, midpoint_tai, exposure_time, file_id)
VALUES (hven.pack_exposure_id(%(visit)s, 0, 1, 0), %(visit)s, 0, 1, 'raw', 1, 60000, 30, %(file)s)
"""


@pytest.fixture
def stores(tmp_path):
    """Return the store here, and the one of the other site."""
    return FileStore(tmp_path / "here"), FileStore(tmp_path / "there")


@pytest.fixture
def frames(database, stores):
    """Register three raw frames here; return their content by name."""
    content = {f"frame_{n}.fits": os.urandom(3_000_000) for n in range(3)}
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        for number, (name, bytes_) in enumerate(content.items()):
            file_id = register(cursor, stores[0].put(bytes_), "image/fits", name=name)
            cursor.execute(RAW, {"visit": (10_000 << 12) + number, "file": file_id})
    return content


def other(stores):
    return Site("archive", "host=nowhere", stores[1].root)


def test_each_raw_file_arrives_once_under_its_own_name(database, stores, frames):
    sent = list(sites.send(other(stores), stores[0], database))
    assert [one.sent for one in sent] == [3_000_000] * 3
    arrived = {place.name: place.read_bytes() for place in other(stores).incoming.glob("*.fits")}
    assert arrived == frames
    assert [one.sent for one in sites.send(other(stores), stores[0], database)] == [0] * 3


def test_the_order_of_associations_goes_along(database, stores, frames):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute("INSERT INTO order_log (visit_id, pass, dia_sources, digest, detectors)"
                       " VALUES (7, 1, 0, 0, '{0,2}'), (6, 1, 0, 0, '{}'), (7, 2, 0, 0, '{1}')")
    list(sites.send(other(stores), stores[0], database))
    order = sites.read_order(other(stores).incoming / f"order-{database}.json")
    assert order == [Association(7, 1, (0, 2)), Association(6, 1, ()), Association(7, 2, (1,))]


def test_what_is_no_order_is_refused(tmp_path):
    (tmp_path / "order.json").write_text("[1, 2]")
    with pytest.raises(SiteError, match="order.json is no order of associations .* Remedy: let the other site send it"):
        sites.read_order(tmp_path / "order.json")


def test_interrupted_file_goes_on_where_it_ended(database, stores, frames):
    content = frames["frame_0.fits"]
    stored = stores[0].put(content)
    part = stores[1].path(stored.sha256).parent / f".part-{stored.sha256.hex()}"
    part.parent.mkdir(parents=True)
    part.write_bytes(content[:1_000_000])
    assert next(sites.send(other(stores), stores[0], database)).sent == 2_000_000
    assert stores[1].get(stored.sha256).read_bytes() == content


def test_file_that_arrives_damaged_is_refused_and_sent_again(stores):
    stored = stores[0].put(b"light" * 1000)
    part = stores[1].path(stored.sha256).parent / f".part-{stored.sha256.hex()}"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"noise")
    with pytest.raises(FileStoreError, match=f"{stored.sha256.hex()} arrived as"):
        stores[1].receive(stores[0].get(stored.sha256), stored.sha256)
    assert stores[1].receive(stores[0].get(stored.sha256), stored.sha256) == 5000


@pytest.fixture
def two_sites(database, stores, new_folder, monkeypatch):
    """Return the other site, whose server is that of all tests; here is a server of its own with the same Objects."""
    there = Site("archive", dsn(database), stores[1].root)
    _fill(database)
    with monkeypatch.context() as patch:
        patch.setenv("HVEN_HOME", str(new_folder()))
        here = clusters.Cluster(overrides=DURABILITY_OFF)
        clusters.start(here)
        recreate(database)
        _fill(database)
        yield there
        clusters.stop(here, mode="immediate")


def _fill(database):
    with closing(connect(database)) as session, session:
        ra, dec = np.linspace(10, 11, 50), np.linspace(-5, 5, 50)
        place = healpy.ang2pix(1 << 29, ra, dec, nest=True, lonlat=True)
        ids = pack(ObjectId(0, object_pixel(place), np.zeros(50, "i8")))
        places = {"ra": ra, "dec": dec, "healpix29": place, "mean_ra": ra, "mean_dec": dec}
        load(session, "object", {"object_id": ids} | places)


def test_one_bit_is_found_by_table_and_pixel(two_sites, database):
    assert sites.compare(two_sites, database) == []
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute("SELECT object_id, mean_dec, healpix29 FROM object ORDER BY object_id LIMIT 1")
        object_id, dec, place = cursor.fetchone()
        cursor.execute("UPDATE object SET mean_dec = %s WHERE object_id = %s", (np.nextafter(dec, 90), object_id))
    (found,) = sites.compare(two_sites, database, order=6)
    assert (found.table, int(found.pixel)) == ("catalogue.object", place >> 2 * (29 - 6))


def test_site_that_is_down_is_named(two_sites, database):
    gone = Site("archive", "host=/nowhere port=5432", two_sites.root)
    with pytest.raises(SiteError, match="site: archive: cannot connect to database"):
        sites.compare(gone, database)


def test_unknown_sites_and_words_are_refused(hub, tmp_path):
    with pytest.raises(SiteError, match=r"atlantis is not known, known are none\. Remedy: `hven site add`\."):
        sites.find("atlantis")
    with pytest.raises(SiteError, match="'over there' is no connection string"):
        sites.add("archive", "over there", tmp_path)
    with pytest.raises(SiteError, match="there is no folder"):
        sites.add("archive", "host=archive", tmp_path / "absent")
