"""A simulated survey: two releases, the nights between and after them, and supernovae that cross the switch.

HVEN_SURVEY=2,gri,12,2 is it in full: fields, bands, epochs, detectors.
"""

import os
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from db import build, life_cycle, queue, release, succession
from db.cluster import Cluster
from db.connect import connect, resolve
from db.files import FileStore
from db.processes import server_processes
from db.queue import Production
from migrations.upgrade import create_release, recreate
from pipelines import building, live_night
from pipelines.alerts.sender import Sender
from pipelines.productions.ingest import ingest
from pipelines.succeeding import hand_over
from tests.conftest import clone
from tests.pipelines import survey
from tests.pipelines.coadds import worth
from tests.pipelines.survey import Survey

pytestmark = pytest.mark.long
HVEN = [sys.executable, str(Path(__file__).resolve().parents[2] / "hven")]
SURVEY = Survey.of(os.environ.get("HVEN_SURVEY", ""))
FIRST, SECOND = "dr24", "dr25"
LIVE = "level1_before", "level1_after"
WORKERS = 2
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


def spent():
    """Return the CPU seconds of our session and of the server, ended children included."""
    total, ours, server = 0, os.getsid(0), set(server_processes(Cluster().data))
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = entry.read_text().rpartition(")")[2].split()
            if int(words[3]) == ours or int(entry.parent.name) in server:
                total += sum(map(int, words[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


@contextmanager
def phase(name):
    """Print the CPU seconds that something takes; what it leaves behind may end before it does."""
    before, most, over = spent(), [0.0], threading.Event()

    def look():
        while not over.wait(2.0):
            most[0] = max(most[0], spent() - before)

    thread = threading.Thread(target=look)
    thread.start()
    begin = time.monotonic()
    yield
    over.set()
    thread.join()
    print(f"{name}: {max(most[0], spent() - before):.0f} s of CPU in {time.monotonic() - begin:.0f} s", flush=True)


def short_queries(goes_on):
    """Ask one short query after another while something goes on; return how long each took [s]."""
    places = ask(FIRST, "SELECT object_id, ra, dec FROM object ORDER BY object_id")
    random, times = np.random.default_rng(1), []
    with closing(connect(FIRST)) as session, session.cursor() as cursor:
        session.autocommit = True
        while goes_on():
            object_id, ra, dec = places[random.integers(len(places))]
            begin = time.perf_counter()
            cursor.execute(QUERIES[len(times) % len(QUERIES)], {"id": object_id, "ra": ra, "dec": dec})
            cursor.fetchall()
            times.append(time.perf_counter() - begin)
            time.sleep(0.02)
    return np.array(times[len(QUERIES) :])


@dataclass
class Story:
    """What became of the survey: its scenes, nights and files, and how long short queries took [s]."""

    folder: Path
    scenes: list = field(default_factory=list)
    nights: list = field(default_factory=list)
    alone: np.ndarray = None
    beside: np.ndarray = None

    @property
    def store(self):
        """The file store of all databases."""
        return FileStore(self.folder / "files")

    def raws(self, first, last):
        """Write the raw frames of some nights."""
        with phase(f"raw frames of {last - first} nights"):
            return [path for night in self.nights[first:last] for path in
                    SURVEY.write(self.folder, self.scenes, night)]  # fmt: skip

    def plan(self, name, nights):
        """Plan a release of so many nights."""
        building.plan(name, self.nights[nights - 1][-1].midpoint_tai + 0.1, SURVEY.given)
        create_release(name, int(name[2:]), lambda: building.fill(name, self.store))

    def observe(self, first, last):
        """Let nights be as they are: frames come, are processed, Alerts are sent, the night is closed."""
        raws = self.raws(first, last)
        night = live_night.find_night("level1", self.store)
        with phase(f"{last - first} nights"), closing(connect("level1")) as session:
            for raw in raws:
                ingest(session, self.store, raw, night.camera, night.production_id)
            assert live_night.run(night, WORKERS) == 0
            Sender("level1", self.store).run(until_idle=True)
            for (number,) in ask("level1", "SELECT DISTINCT night FROM visit WHERE state = 'associated' ORDER BY 1"):
                list(live_night.tidy(session, night, number))


def publish(name):
    release.set_state(name, "building", "validated", "a trial")
    life_cycle.freeze(name)
    life_cycle.publish(name)


def begin_night():
    """Enter the production of the nights, with masters, into the live database."""
    with closing(connect(FIRST)) as session:
        places = build.places(session)
    masters = build.best_masters(SURVEY.camera.name, places)
    files = {f"{place.band} {place.detector_id}": found for place, found in zip(places, masters, strict=True)}
    with closing(connect("level1")) as session, session, session.cursor() as cursor:
        queue.start_production(cursor, Production("alert", "night", "0", parameters=SURVEY.given | {"files": files}))


def build_beside(story):
    """Build the second release at a low priority while the first is queried."""
    end = time.monotonic() + ALONE
    story.alone = short_queries(lambda: time.monotonic() < end)
    command = ["nice", "-n", "10", *HVEN, "release", "run", SECOND, "--store", str(story.store.root),
               "-c", str(WORKERS)]  # fmt: skip
    with phase(SECOND), subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        story.beside = short_queries(lambda: process.poll() is None)
    assert process.returncode == 0
    figures = [1e3 * np.percentile(times, (50, 95)) for times in (story.alone, story.beside)]
    print("50th and 95th percentiles alone and beside [ms]:", *figures)


def tell(story):
    """Go through the survey from its first raw frames to its last night."""
    (first, second), switch = SURVEY.built, SURVEY.switch
    survey.write_calibrations(story.folder, SURVEY.bands, SURVEY.camera)
    survey.calibrations(story.folder, story.store, SURVEY.camera)
    survey.take_in("level1", story.store, story.scenes, story.raws(0, first), SURVEY.camera)
    ask("level1", "UPDATE visit SET state = 'closed'")
    story.plan(FIRST, first)
    with phase(FIRST):
        print(building.run(FIRST, story.store.root, WORKERS))
    publish(FIRST)
    begin_night()
    with phase("first hand-over"):
        hand_over(FIRST, story.store, WORKERS, recreate)
    story.observe(first, switch)
    story.plan(SECOND, second)
    build_beside(story)
    publish(SECOND)
    with phase("second hand-over"):
        hand_over(SECOND, story.store, WORKERS, recreate, print)
    story.observe(switch, SURVEY.epochs)


@pytest.fixture(scope="module")
def story(hub, template, tmp_path_factory):
    told = Story(tmp_path_factory.mktemp("survey"), *SURVEY.observe())
    ((live, number),) = ask(hub, "SELECT database, release FROM hub.science_database WHERE name = 'level1'")
    point = "UPDATE hub.science_database SET database = %s, release = %s WHERE name = 'level1'"
    with pytest.MonkeyPatch.context() as patch, clone(template, LIVE[0]), clone(template, LIVE[1]):
        patch.setattr(succession, "LEVEL1", LIVE)
        ask(hub, point, LIVE[0], 0)
        try:
            tell(told)
            yield told
        finally:
            ask(hub, point, live, number)
            ask(hub, "DELETE FROM hub.science_database WHERE name = %s", succession.NEXT)
            for name in (FIRST, SECOND):
                state = "UPDATE hub.science_database SET is_current = false, state = 'withdrawn' WHERE name = %s"
                ask(hub, state, name)
                ask(hub, "DELETE FROM hub.data_release WHERE name = %s", name)
                release.drop(name)


def test_the_releases_have_their_visits_in_every_band_and_detector(story):
    for name, nights in zip((FIRST, SECOND), SURVEY.built, strict=True):
        visits = nights * SURVEY.fields * len(SURVEY.bands)
        counted = "SELECT count(*), count(DISTINCT visit_id) FROM exposure WHERE kind = 'difference'"
        ((exposures, seen),) = ask(name, counted)
        assert (exposures, seen) == (visits * SURVEY.detectors, visits)
        assert ask(name, "SELECT DISTINCT condition FROM exposure WHERE kind = 'raw'") == [(None,)]
    assert {known.name: known.state for known in life_cycle.releases()}[FIRST] == "published"


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_every_patch_has_coadds_in_every_band_and_its_objects_fluxes(story, name):
    kinds = ask(name, "SELECT patch_id, kind, count(DISTINCT filter_id) FROM coadd GROUP BY 1, 2")
    patches = {patch for patch, *_ in kinds}
    assert len(patches) >= SURVEY.fields
    assert {(patch, kind) for patch, kind, bands in kinds if bands == len(SURVEY.bands)} == {
        (patch, kind) for patch in patches for kind in ("template", "deep")
    }
    ((least,),) = ask(name, """
        SELECT avg((fluxes = %s)::int) FROM (SELECT count(coadd_flux) AS fluxes FROM object AS o
            LEFT JOIN object_flux AS f USING (object_id) WHERE o.extendedness IS NOT NULL GROUP BY object_id) AS each
        """, len(SURVEY.bands))  # fmt: skip
    assert least > 0.95


def test_grey_stars_have_the_same_flux_in_every_band(story):
    apart = ask(SECOND, """
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(a.coadd_flux / b.coadd_flux - 1))
        FROM object_flux AS a JOIN object_flux AS b USING (object_id) JOIN object AS o USING (object_id)
        WHERE o.extendedness < 0.5 AND b.coadd_flux BETWEEN 2e4 AND 2e5""")
    assert apart[0][0] < 0.02


def test_deep_coadds_are_worth_their_inputs(story):
    shining = [kind for scene in story.scenes for kind in (scene.stars, scene.galaxies, scene.transients)]
    bodies = [np.concatenate([kind[axis] for kind in shining]) for axis in ("ra", "dec")]
    for name in (FIRST, SECOND):
        found = worth(name, story.store, bodies)
        print(name, *found, sep="\n")
        error = np.sqrt(np.mean([one.noise_err**2 for one in found]) / len(found))
        assert np.mean([one.noise for one in found]) == pytest.approx(1, abs=0.03 + 2 * error)
        for one in found:
            assert one.noise == pytest.approx(1, abs=0.03 + 2 * one.noise_err)
            assert one.fwhm == pytest.approx(1, abs=0.01)
            assert one.flux == pytest.approx(1, abs=0.001 + 2 * one.flux_err)


def test_short_queries_hardly_notice_the_build(story):
    assert np.percentile(story.beside, 95) <= 1.5 * np.percentile(story.alone, 95)


def alerts_of(story, number):
    """Return visit_id, object_id, and whether it was sent, of each Alert of a field's supernova, in order."""
    row = story.scenes[number].transients[0]
    return ask("level1", """
        SELECT a.visit_id, a.object_id, o.state = 'sent' FROM alert AS a JOIN dia_source AS d USING (dia_source_id)
        LEFT JOIN outbox AS o USING (dia_source_id, version)
        WHERE hven.sky_separation_arcsec(d.ra, d.dec, %s, %s) < 0.5 ORDER BY 1
        """, row["ra"].item(), row["dec"].item())  # fmt: skip


def detected(story, number):
    """Return visit_id and Object of each detection of a field's supernova since it burst, in order."""
    row = story.scenes[number].transients[0]
    return ask("level1", """
        SELECT DISTINCT visit_id, object_id FROM dia_source
        WHERE midpoint_tai > %s AND object_id IS NOT NULL AND time_withdrawn IS NULL
          AND hven.sky_separation_arcsec(ra, dec, %s, %s) < 0.5 ORDER BY 1
        """, *(row[name].item() for name in ("start", "ra", "dec")))  # fmt: skip


@pytest.mark.parametrize("number", range(SURVEY.fields))
def test_each_visit_that_detects_the_supernova_gives_one_alert_and_the_replay_sends_none_again(story, number):
    since = len(SURVEY.bands) * (SURVEY.epochs - SURVEY.built[0])
    found = alerts_of(story, number)
    assert resolve("level1") == LIVE[0]  # there and back
    assert {sent for *_, sent in found} == {True}
    assert len({visit_id for visit_id, *_ in found}) == len(found) >= 0.9 * since
    assert {visit_id for visit_id, *_ in found} <= {visit_id for visit_id, _ in detected(story, number)}


@pytest.mark.parametrize("number", range(SURVEY.fields))
def test_the_old_id_of_the_supernova_leads_to_its_whole_history(story, number):
    told = alerts_of(story, number)
    ((old,),) = {(object_id,) for _, object_id, _ in told if object_id >> 57 == int(FIRST[2:])}
    ((new,),) = ask("level1", "SELECT hven.current_object(%s)", old)
    assert new >> 57 == int(SECOND[2:])
    assert {object_id for _, object_id in detected(story, number)} == {new}
    curve = "SELECT visit_id FROM hven.light_curve(%s) JOIN dia_source ON id = dia_source_id WHERE kind = 'dia_source'"
    assert {visit_id for visit_id, *_ in told} <= {visit_id for (visit_id,) in ask("level1", curve, new)}


def test_the_nights_are_made_on_the_templates_of_the_release_under_its_ids(story):
    assert ask("level1", "SELECT DISTINCT state, condition FROM visit") == [("closed", None)]
    assert ask("level1", "SELECT count(*) > 300 FROM object") == [(True,)]
    used = ask("level1", "SELECT DISTINCT role FROM exposure_provenance WHERE kind = 'difference'")
    assert ("template",) in used
    since = "SELECT min(dia_source_id >> 57), max(dia_source_id >> 57) FROM dia_source WHERE midpoint_tai > %s"
    last = story.nights[SURVEY.switch][0].midpoint_tai - 0.1
    assert ask("level1", since, last) == [(int(SECOND[2:]),) * 2]


def test_every_reference_leads_somewhere(story):
    assert ask("level1", "SELECT DISTINCT relation, reference FROM hven.check_references()") == []
