"""A tiny simulated survey becomes a Data Release, and what can't become one is refused."""

import shutil
import threading
from contextlib import closing

import pytest
from psycopg2.errors import InsufficientPrivilege

from db import build, checksum, life_cycle, metrics, release
from db.connect import connect
from db.files import FileStore, FileStoreError
from db.release import ReleaseError
from migrations.upgrade import create_release
from pipelines import building
from pipelines.productions.release import ParamsError
from tests.conftest import clone
from tests.pipelines import survey

WORKERS = 2
DEATHS = 2


def make(name, store):
    create_release(name, int(name[2:]), lambda: building.fill(name, store))


def rows(name, query, *values):
    with closing(connect(name)) as session, session.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


@pytest.fixture(scope="module")
def observed(hub, template, tmp_path_factory):
    """Return plan and store of a survey whose raw frames a live database of its own holds."""
    folder = tmp_path_factory.mktemp("survey")
    store = FileStore(folder / "files")
    scene, plan, raws = survey.write(folder, "r", 1, 2)
    with pytest.MonkeyPatch.context() as patch, clone(template, "level1_survey"):
        patch.setattr("db.build.LIVE", "level1_survey")
        survey.take_in("level1_survey", store, [scene], [path for visit in raws.values() for path in visit])
        survey.calibrations(folder, store)
        yield scene, plan, store


def disturb(name, done, killed):
    """Kill a worker with -9 now and then: nothing that is asked of the release may depend on it."""
    while len(killed) < DEATHS and not done.wait(2.0):
        if survey.kill_worker(name):
            killed.append(name)


@pytest.fixture(scope="module")
def dr21(observed):
    _, plan, store = observed
    building.plan("dr21", plan[-1].midpoint_tai + 1, survey.GIVEN)
    make("dr21", store)
    done, killed = threading.Event(), []
    trouble = threading.Thread(target=disturb, args=("dr21", done, killed))
    trouble.start()
    held = building.run("dr21", store.root, WORKERS)
    done.set()
    trouble.join()
    assert len(killed) == DEATHS
    yield held
    with closing(connect("hub")) as session, session, session.cursor() as cursor:
        end = "UPDATE hub.science_database SET is_current = false, state = 'withdrawn' WHERE name = 'dr21'"
        cursor.execute(end)
        cursor.execute("DELETE FROM hub.data_release WHERE name = 'dr21'")
    release.drop("dr21")


def test_every_phase_leaves_its_rows(dr21):
    assert (dr21["exposures"], dr21["coadds"]) == (2, 2)
    assert dr21["objects"] > 300
    matched = rows("dr21", "SELECT avg((object_id IS NOT NULL)::int) FROM source")[0][0]
    assert matched > 0.9


def test_every_object_is_measured_at_every_epoch_that_shows_it(dr21):
    others = rows("dr21", """
        SELECT count(*), count(*) FILTER (WHERE n <> m)
        FROM (SELECT (SELECT count(*) FROM forced_source AS f WHERE f.object_id = o.object_id) AS n,
                     (SELECT count(*) FROM exposure AS e WHERE e.kind = 'calibrated'
                      AND public.spoint_deg(o.ra, o.dec) <@ e.footprint) AS m FROM object AS o) AS each""")
    objects, wrong = others[0]
    assert wrong < 0.01 * objects  # a footprint's sides are great circles, a detector's are not quite


def test_stars_stand_where_they_are(dr21, observed):
    scene = observed[0]
    place = survey.truth(scene)
    found = rows("dr21", """
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n.arcsec)
        FROM unnest(%s::float8[], %s::float8[]) AS t (ra, dec)
        CROSS JOIN LATERAL (
            SELECT 7200 * degrees(asin(sqrt(hven.sky_haversine(o.ra, o.dec, t.ra, t.dec)))) AS arcsec
            FROM object AS o WHERE hven.sky_within(o.ra, o.dec, t.ra, t.dec, 1) ORDER BY 1 LIMIT 1) AS n
        """, *place.T.tolist())  # fmt: skip
    assert found[0][0] < 0.1


@pytest.mark.long
def test_a_rebuild_gives_the_same_digests(dr21, observed):
    _, _, store = observed
    before, parameters = digests("dr21"), build.planned("dr21")
    release.drop("dr21")
    build.plan("dr21", 21, parameters)
    make("dr21", store)
    building.run("dr21", store.root, WORKERS)
    after = digests("dr21")
    assert {name for name in before if before[name] != after[name]} == set()
    assert before["catalogue.forced_source"].rows > 300


def digests(name):
    with checksum.snapshot(name) as held:
        tables = checksum.digest(name, held, checksum.subjects(held[0]))
    return {table: digest.whole for table, digest in tables.items()}


def test_it_is_validated_frozen_published_and_kept(dr21):
    with closing(connect("dr21")) as session, session, session.cursor() as cursor:
        for metric in ("release.photometric_repeatability", "release.astrometric_repeatability"):
            metrics.accept(cursor, metric, 21, "two epochs tell nothing")
    release.validate("dr21", "looked at")
    life_cycle.freeze("dr21")
    life_cycle.publish("dr21")
    with closing(connect("dr21")) as session, session.cursor() as cursor:
        cursor.execute("SET ROLE hven_release_admin")
        with pytest.raises(InsufficientPrivilege):
            cursor.execute("DELETE FROM dr21.forced_source")
    with pytest.raises(ReleaseError, match="drop: dr21 is the current release"):
        release.drop("dr21")


def test_a_cutoff_before_the_first_exposure_is_refused(observed):
    with pytest.raises(ReleaseError, match=r"dr22 got the cutoff TAI MJD 50000\.0+; the first raw exposure is of 61"):
        building.plan("dr22", 50000.0, survey.GIVEN)
    assert "dr22" not in [known.name for known in life_cycle.releases()]


def test_unknown_parameters_are_refused(observed):
    with pytest.raises(ParamsError, match="unknown: fhwm; allowed are instrument, reference, .*fwhm"):
        building.plan("dr22", 62000.0, survey.GIVEN | {"fhwm": 3})


def test_two_builds_of_one_name_are_refused(half_made):
    with pytest.raises(ReleaseError, match="dr23 exists already, as release 23 in state creating"):
        building.plan("dr23", 62000.0, survey.GIVEN)


@pytest.fixture
def half_made(observed):
    building.plan("dr23", 62000.0, survey.GIVEN)
    yield observed[2]
    release.drop("dr23")


def test_a_missing_raw_frame_is_named_before_anything_is_done(half_made, tmp_path):
    poor = FileStore(tmp_path / "files")
    with pytest.raises(ReleaseError, match=r"4 raw frames are not in the file store .*0_0\.fits, 0_1\.fits"):
        make("dr23", poor)
    assert life_cycle.find("dr23").state == "creating"
    make("dr23", half_made)  # once they are there it goes on
    assert life_cycle.find("dr23").state == "building"


def test_a_corrupt_master_is_named(half_made, tmp_path):
    shutil.copytree(half_made.root, tmp_path / "files")
    bad = FileStore(tmp_path / "files")
    with closing(connect("hub")) as session, session.cursor() as cursor:
        cursor.execute("SELECT sha256 FROM hub.calibration_product WHERE kind = 'flat' ORDER BY version DESC LIMIT 1")
        sha256 = cursor.fetchone()[0]
    place = bad.path(bytes.fromhex(sha256))
    place.chmod(0o644)
    with place.open("r+b") as stream:
        stream.seek(10_000)
        stream.write(b"rot")
    with pytest.raises(FileStoreError, match=f"{sha256} has changed on disk"):
        make("dr23", bad)


def test_what_is_not_validated_is_not_published(half_made):
    with pytest.raises(ReleaseError, match="can't publish dr23: it is creating, and has to be frozen"):
        life_cycle.publish("dr23")


def test_a_release_with_spaces_of_users_is_not_dropped(half_made):
    with closing(connect("dr23")) as session, session, session.cursor() as cursor:
        cursor.execute("CREATE SCHEMA level3")
        cursor.execute("CREATE TABLE level3.space (login text)")
        cursor.execute("INSERT INTO level3.space VALUES ('tycho')")
    with pytest.raises(ReleaseError, match="drop: dr23 holds Level 3 spaces of tycho"):
        release.drop("dr23")
    with closing(connect("dr23")) as session, session, session.cursor() as cursor:
        cursor.execute("DELETE FROM level3.space")


def test_a_mini_release_gets_a_number_of_its_own(hub):
    assert 48 <= build.number_of("mini_test") <= 63
