"""A published release answers while the next is built beside it; the deep coadds of both are worth their inputs."""

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from db import life_cycle, release
from db.connect import connect
from db.files import FileStore
from migrations.upgrade import create_release
from pipelines import building
from tests.conftest import clone
from tests.pipelines import survey
from tests.pipelines.coadds import worth

pytestmark = pytest.mark.long
HVEN = [sys.executable, str(Path(__file__).resolve().parents[2] / "hven")]
OLD, NEW = "dr24", "dr25"
BANDS, VISITS = os.environ.get("HVEN_SURVEY", "r,6").split(",")
FIRST = int(VISITS) // 2
"""Visits that the first release is made of; the second has all."""
ALONE = 20.0  # seconds
QUERIES = (
    "SELECT * FROM object WHERE object_id = %(id)s",
    "SELECT object_id, ra, dec FROM object WHERE hven.sky_within(ra, dec, %(ra)s, %(dec)s, 10)",
    "SELECT * FROM hven.light_curve(%(id)s)",
    "SELECT * FROM object_flux WHERE object_id = %(id)s",
)


def ask(database, query, *values):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def short_queries(goes_on):
    """Ask one short query after another while something goes on; return how long each took [s]."""
    places = ask(OLD, "SELECT object_id, ra, dec FROM object ORDER BY object_id")
    random, times = np.random.default_rng(1), []
    with closing(connect(OLD)) as session, session.cursor() as cursor:
        session.autocommit = True
        while goes_on():
            object_id, ra, dec = places[random.integers(len(places))]
            begin = time.perf_counter()
            cursor.execute(QUERIES[len(times) % len(QUERIES)], {"id": object_id, "ra": ra, "dec": dec})
            cursor.fetchall()
            times.append(time.perf_counter() - begin)
            time.sleep(0.02)
    return np.array(times[len(QUERIES) :])


@pytest.fixture(scope="module")
def built(hub, template, tmp_path_factory):
    """Return the times of short queries alone and beside a build, and the file store of both releases."""
    folder = tmp_path_factory.mktemp("survey")
    store = FileStore(folder / "files")
    scene, plan, raws = survey.write(folder, BANDS, 1, int(VISITS))
    with pytest.MonkeyPatch.context() as patch, clone(template, "level1_beside"):
        patch.setattr("db.build.LIVE", "level1_beside")
        survey.take_in("level1_beside", store, scene, [path for visit in raws.values() for path in visit])
        survey.calibrations(folder, store)
        begin = time.monotonic()
        for name, last in ((OLD, FIRST - 1), (NEW, -1)):
            building.plan(name, plan[last].midpoint_tai + 1e-5, survey.GIVEN)
            create_release(name, int(name[2:]), lambda name=name: building.fill(name, store))
            if name == OLD:
                print(building.run(name, store.root, 2), f"{time.monotonic() - begin:.0f} s")
                release.set_state(name, "building", "validated", "a trial")
                life_cycle.freeze(name)
                life_cycle.publish(name)
        end = time.monotonic() + ALONE
        alone = short_queries(lambda: time.monotonic() < end)
        begin = time.monotonic()
        command = ["nice", "-n", "10", *HVEN, "release", "run", NEW, "--store", str(store.root), "-c", "2"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            beside = short_queries(lambda: process.poll() is None)
        figures = [1e3 * np.percentile(times, (50, 95)) for times in (alone, beside)]
        print(f"{time.monotonic() - begin:.0f} s; 50th and 95th percentiles alone and beside [ms]:", *figures)
        yield alone, beside, store, process.returncode
        ask(hub, "UPDATE hub.science_database SET is_current = false, state = 'withdrawn' WHERE name = %s", OLD)
        ask(hub, "DELETE FROM hub.data_release WHERE name = ANY (%s)", [OLD, NEW])
        release.drop(OLD)
        release.drop(NEW)


def test_short_queries_hardly_notice_the_build(built):
    alone, beside, _, status = built
    assert status == 0
    assert np.percentile(beside, 95) <= 1.5 * np.percentile(alone, 95)


def test_the_new_release_has_all_visits_and_the_old_stays_as_it_was(built):
    count = "SELECT count(DISTINCT visit_id) FROM source"
    assert [ask(name, count)[0][0] for name in (OLD, NEW)] == [FIRST, int(VISITS)]
    assert {known.name: known.state for known in life_cycle.releases()}[OLD] == "published"


def test_deep_coadds_are_worth_their_inputs(built):
    for name in (OLD, NEW):
        found = worth(name, built[2])
        print(name, *found, sep="\n")
        for one in found:
            assert one.noise == pytest.approx(1, abs=0.03 + 2 * one.noise_err)
            assert one.fwhm == pytest.approx(1, abs=0.01)
            assert one.flux == pytest.approx(1, abs=0.001 + 2 * one.flux_err)
