"""Other databases as foreign schemas: what is sent there, who may read, and a site of its own."""

import json
import os
import time
from contextlib import closing

import numpy as np
import pytest

from db import databases, users
from db.cluster import Cluster, start, stop
from db.connect import connect
from db.load import load
from federation import foreign, spaces
from federation.errors import Level3Error
from federation.exporting import export_table
from federation.foreign import Remote
from federation.importing import import_file
from federation.sessions import as_user
from migrations import upgrade
from tests.federation.conftest import PASSWORD, login, outcome

CONE = "hven.sky_within(o.ra, o.dec, 150, -2, 60)"
OBJECTS = 2000


def objects(rows=OBJECTS):
    """Objects within two degrees of (150, -2), four of them within an arcminute."""
    import healpy

    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(149, 151, rows), rng.uniform(-3, -1, rows)
    ra[:4], dec[:4] = 150 + rng.uniform(-0.005, 0.005, (2, 4)) - [[0], [152]]
    pixel = healpy.ang2pix(1 << 29, ra, dec, nest=True, lonlat=True)
    return {
        "object_id": (41 << 57) | np.arange(rows),
        "ra": ra,
        "dec": dec,
        "healpix29": pixel,
        "mean_ra": ra,
        "mean_dec": dec,
    }


@pytest.fixture(scope="module")
def federated(published):
    """The release with Objects, and level1 in which it is a foreign schema."""
    with closing(connect(published)) as session, session, session.cursor() as cursor:
        cursor.execute(f"DELETE FROM {published}.object")
        load(session, f"{published}.object", objects())
        cursor.execute(f"ANALYZE {published}.object")
    foreign.federate("level1", published)
    yield "level1"
    with closing(connect("level1")) as session, session, session.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA {published} CASCADE")
    with closing(connect(published)) as session, session, session.cursor() as cursor:
        cursor.execute(f"DELETE FROM {published}.object")


def remote_sql(session, query):
    with session.cursor() as cursor:
        cursor.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {query}")
        (plan,) = cursor.fetchone()
    return json.dumps(plan[0]["Plan"])


PUSHED = {
    "cone": (f"SELECT o.object_id FROM dr41.object o WHERE {CONE}", ["spoint_dwithin", "WHERE"]),
    "filter": ("SELECT object_id FROM dr41.object WHERE extendedness < 0.5", ["extendedness < "]),
    "join": (
        "SELECT o.object_id, f.mean_flux FROM dr41.object o JOIN dr41.object_flux f USING (object_id)"
        " WHERE f.filter_id = 1",
        ["INNER JOIN dr41.object_flux"],
    ),
    "aggregate": (
        "SELECT filter_id, count(*), avg(mean_flux) FROM dr41.object_flux GROUP BY filter_id",
        ["count(*)", "GROUP BY"],
    ),
    "cone and aggregate": (
        "SELECT count(*) FROM dr41.object o WHERE public.spoint_dwithin("
        "public.spoint_deg(o.ra, o.dec), public.spoint_deg(150, -2), radians(60 / 3600.0))",
        ["count(*)", "spoint_dwithin"],
    ),
    "spatial join": (
        "SELECT count(*) FROM dr41.object o JOIN dr41.dia_source d ON public.spoint_dwithin("
        "public.spoint_deg(o.ra, o.dec), public.spoint_deg(d.ra, d.dec), radians(1 / 3600.0))",
        ["spoint_dwithin", "INNER JOIN"],
    ),
    "rows of some keys": (
        "SELECT o.ra FROM dr41.object o WHERE o.object_id = ANY (ARRAY(SELECT object_id FROM level1.object))",
        ["= ANY ($1::bigint[])"],
    ),
    "order and limit": ("SELECT object_id FROM dr41.object ORDER BY object_id LIMIT 5", ["ORDER BY", "LIMIT"]),
}


@pytest.mark.parametrize("what", PUSHED)
def test_the_remote_server_does_it(federated, what):
    query, parts = PUSHED[what]
    with closing(connect(federated)) as session:
        plan = remote_sql(session, query)
        assert plan.count('"Remote SQL"') == 1
        for part in parts:
            assert part in plan[plan.index("Remote SQL") :]


def test_a_remote_cone_finds_what_the_local_one_does(federated, published):
    query = f"SELECT o.object_id FROM dr41.object o WHERE {CONE} ORDER BY 1"
    with closing(connect(federated)) as here, closing(connect(published)) as there:
        found = outcome(here, query)
        assert len(found) >= 4
        assert found == outcome(there, query)


def test_scientists_read_and_nobody_writes(federated):
    with closing(login("carol", "level1_a")) as session:
        assert outcome(session, "SELECT count(*) FROM dr41.object") == [(OBJECTS,)]
        assert outcome(session, "DELETE FROM dr41.object") == "42501"
        assert outcome(session, "SELECT umoptions FROM pg_user_mappings WHERE umoptions IS NOT NULL") == []
        assert outcome(session, "CREATE FOREIGN TABLE pg_temp.x (a int) SERVER hven_dr41") == "42501"
        assert outcome(session, "SELECT staging.x FROM dr41.staging x") in ("42P01", "42501")
    with closing(connect("level1")) as session:
        assert outcome(session, "DELETE FROM dr41.object WHERE object_id = 1") == "42501"


def test_the_live_database_and_its_telemetry_are_seen_from_a_release(release):
    assert foreign.federate(release, "level1") > 20
    with closing(login("alice")) as session:
        assert outcome(session, "SELECT count(*) FROM level1.visit JOIN exposure USING (visit_id)") == [(0,)]
        assert outcome(session, "SELECT count(*) FROM live_efd.sample") == [(0,)]
        assert outcome(
            session,
            "SELECT count(*) FROM exposure e JOIN live_efd.sample s ON s.sampled BETWEEN e.obs_start AND e.obs_end",
        ) in ([(0,)], "42703")
    foreign.federate(release, "level1")  # again: refreshed


@pytest.mark.parametrize(("target", "message"), [("hub", "is the hub"), ("dr41", "is dr41 itself")])
def test_what_is_not_federated(release, target, message):
    with pytest.raises(Level3Error, match=message):
        foreign.federate(release, target)


@pytest.fixture
def site(new_folder, monkeypatch):
    """Another server with its own users: the home of a Hven elsewhere."""
    folder, before = new_folder(), os.environ["HVEN_HOME"]
    own = Cluster(folder, overrides={"fsync": "off", "shared_buffers": "64MB"})

    def there():
        monkeypatch.setenv("HVEN_HOME", str(folder))

    def here():
        monkeypatch.setenv("HVEN_HOME", before)

    there()
    start(own)
    yield there, here
    there()
    stop(own, "immediate")
    here()


def test_an_external_site_reads_joins_and_sends_back(federated, release, site, tmp_path):
    there, here = site
    here()
    users.add("site_of_cracow", "public", PASSWORD)
    where = {"host": str(Cluster().run), "port": str(Cluster().port), "dbname": release}
    there()
    upgrade.create("level1_a")
    upgrade.upgrade("level1_a")
    remote = Remote(databases.layout(release).catalogue, where, "site_of_cracow", PASSWORD)
    assert foreign.federate_remote("level1_a", remote, ["hven_level3"]) > 20
    users.add("jadwiga", "level3", PASSWORD)
    spaces.open_space("jadwiga", "level1_a", spaces.Terms(100 << 20))
    with as_user("level1_a", "jadwiga") as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE clusters (name text, ra float8, dec float8)")
        cursor.execute("INSERT INTO clusters VALUES ('A', 150, -2), ('B', 10, 10)")
        cursor.execute(
            "CREATE TABLE members AS SELECT c.name, o.object_id, o.ra, o.dec FROM clusters c"
            " JOIN dr41.object o ON hven.sky_within(o.ra, o.dec, c.ra, c.dec, 60)"
        )
    with as_user("level1_a", "jadwiga") as session:
        assert outcome(session, "DELETE FROM dr41.object") == "42501"
        assert export_table(session, "members", tmp_path / "members.vot") >= 4
    here()
    with as_user(release, "alice") as session:
        done = import_file(session, tmp_path / "members.vot", "from_cracow")
        with session.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {done.relation} JOIN object USING (object_id)")
            assert cursor.fetchone() == (done.rows,)
    users.drop("site_of_cracow")


@pytest.fixture
def small(federated):
    """Alice's table in level1: a row beside each of 300 Objects of the release, and one beside none."""
    users_here = spaces.Terms(20 << 20)
    spaces.open_space("alice", federated, users_here)
    rows = objects()
    ra, dec = rows["ra"][:300] + 1e-4, rows["dec"][:300]
    with as_user(federated, "alice") as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE small (id bigint PRIMARY KEY, ra float8, dec float8)")
        cursor.execute(
            "INSERT INTO small SELECT * FROM unnest(%s, %s, %s) UNION ALL VALUES (-1, 10, 10), (-2, NULL, 3)",
            [list(range(300)), ra.tolist(), dec.tolist()],
        )
    yield rows
    with closing(connect(federated)) as session, session, session.cursor() as cursor:
        cursor.execute("DROP SCHEMA user_alice CASCADE")
        cursor.execute("DELETE FROM level3.space")


def test_a_small_table_is_sent_to_the_remote_server_to_be_matched_there(federated, small, published):
    with as_user(federated, "alice") as session, session.cursor() as cursor:
        cursor.execute("SELECT hven.crossmatch('small', 'dr41.object', 60, 'pairs')")
        cursor.execute("CREATE TABLE copied AS SELECT object_id, ra, dec FROM dr41.object")
        cursor.execute("ALTER TABLE copied ADD PRIMARY KEY (object_id)")
        cursor.execute("SELECT hven.crossmatch('small', 'copied', 60, 'here')")
        cursor.execute("TABLE here EXCEPT ALL TABLE pairs")
        assert cursor.fetchall() == []
        cursor.execute("SELECT count(*), count(DISTINCT left_id) FROM pairs")
        pairs, matched = cursor.fetchone()
        assert pairs >= matched == 300
        cursor.execute("SELECT count(*) FROM hven.sky_crossmatch_abroad('small', 'dr41.object', 60, true)")
        assert cursor.fetchone() == (300,)


def test_the_remote_server_looks_only_where_the_rows_are(federated, small, published):
    scans = (
        "SELECT t.seq_scan, t.idx_scan FROM pg_stat_user_tables t"
        " WHERE t.schemaname = current_schema AND t.relname = 'object'"
    )
    with closing(connect(published)) as there, as_user(federated, "alice") as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE few AS SELECT * FROM small WHERE id BETWEEN 0 AND 9")
        (whole, by_index), found = outcome(there, scans)[0], []
        cursor.execute("SELECT left_id FROM hven.sky_crossmatch_abroad('few', 'dr41.object', 1, true, '{id,ra,dec}')")
        found = cursor.fetchall()
        for _ in range(50):  # a session tells what it did when it ends
            if (after := outcome(there, scans)[0])[1] > by_index:
                break
            time.sleep(0.1)
    assert len(found) == 10
    assert after[0] == whole
    assert after[1] >= by_index + 10


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT hven.crossmatch('small', 'level1.object', 60, 'x')", None),
        ("SELECT * FROM hven.sky_crossmatch_abroad('small', 'level1.object', 60)", "VN054"),
        ("SELECT hven.crossmatch('small', 'dr41.object_flux', 60, 'x')", "VN013"),
        ("SELECT dblink.dblink('hven_dr41', 'SELECT 1')", "42501"),
        ("SELECT hven.crossmatch('many', 'dr41.object', 60, 'x')", "VN054"),
    ],
)
def test_what_is_sent_abroad_is_limited(federated, small, statement, code):
    with as_user(federated, "alice") as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE many AS SELECT row_id, 1.0::float8 AS ra, 2.0::float8 AS dec"
                       " FROM generate_series(1::bigint, 200001) row_id")  # fmt: skip
    with closing(login("alice", "level1_a")) as session:
        result = outcome(session, statement)
    assert result == code if code else isinstance(result, list)
