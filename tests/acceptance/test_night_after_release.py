"""From pixels: a release is built and published, the night goes on from it, on its templates and under its ids."""

from contextlib import closing

import pytest

from db import build, life_cycle, queue, release, succession
from db.connect import connect, resolve
from db.files import FileStore
from db.queue import Production
from migrations.upgrade import create_release, recreate
from pipelines import building
from pipelines.live_night import find_night, tidy
from pipelines.productions.ingest import ingest
from pipelines.succeeding import hand_over
from pipelines.worker import work
from tests.conftest import clone
from tests.pipelines import survey

NAME, NUMBER = "dr22", 22
OLD, NEW = "level1_before", "level1_after"
VISITS, BUILT = 4, 2


def ask(database, query, *values):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def night(hub, template, tmp_path_factory):
    """A night of two Visits on a release of the two before."""
    folder = tmp_path_factory.mktemp("survey")
    store = FileStore(folder / "files")
    scene, plan, raws = survey.write(folder, "r", 1, VISITS)
    frames = [path for visit in raws.values() for path in visit]
    first = frames[: BUILT * len(frames) // VISITS]
    ((live, number),) = ask(hub, "SELECT database, release FROM hub.science_database WHERE name = 'level1'")
    point = "UPDATE hub.science_database SET database = %s, release = %s WHERE name = 'level1'"
    with pytest.MonkeyPatch.context() as patch, clone(template, OLD), clone(template, NEW):
        patch.setattr(succession, "LEVEL1", (OLD, NEW))
        patch.setattr("db.build.LIVE", OLD)
        ask(hub, point, OLD, 0)
        try:
            survey.take_in(OLD, store, scene, first)
            ask(OLD, "UPDATE visit SET state = 'closed'")
            survey.calibrations(folder, store)
            building.plan(NAME, plan[-1].midpoint_tai + 1, survey.GIVEN)
            create_release(NAME, NUMBER, lambda: building.fill(NAME, store))
            building.run(NAME, store.root, 2)
            begin_night(OLD)
            release.set_state(NAME, "building", "validated", "a trial")
            life_cycle.freeze(NAME)
            life_cycle.publish(NAME)
            hand_over(NAME, store, 1, recreate)
            found = find_night(NEW, store)
            with closing(connect(NEW)) as session:
                for raw in frames[len(first) :]:
                    ingest(session, store, raw, survey.CAMERA, found.production_id)
            work({NEW: 1.0}, store, until_idle=True)
            with closing(connect(NEW)) as session:
                for (one,) in ask(NEW, "SELECT DISTINCT night FROM visit WHERE state = 'associated'"):
                    list(tidy(session, found, one))
            yield scene
        finally:
            ask(hub, point, live, number)
            ask(hub, "DELETE FROM hub.science_database WHERE name = %s", succession.NEXT)
            ask(hub, "UPDATE hub.science_database SET is_current = false, state = 'withdrawn' WHERE name = %s", NAME)
            ask(hub, "DELETE FROM hub.data_release WHERE name = %s", NAME)
            release.drop(NAME)


def begin_night(database):
    """Enter the production of the nights, with masters."""
    with closing(connect(NAME)) as session:
        places = build.places(session)
    masters = build.best_masters(survey.CAMERA.name, places)
    files = {f"{p.band} {p.detector_id}": found for p, found in zip(places, masters, strict=True)}
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        queue.start_production(cursor, Production("alert", "night", "0", parameters=survey.GIVEN | {"files": files}))


@pytest.mark.long
def test_the_night_finds_what_changed_on_the_templates_of_the_release(night):
    assert resolve("level1") == NEW
    assert ask("level1", "SELECT state, condition FROM visit ORDER BY visit_id") == [("closed", None)] * VISITS
    ((number, least, most),) = ask("level1", """
        SELECT count(*), min(dia_source_id >> 57), max(dia_source_id >> 57) FROM dia_source
        WHERE visit_id >= (SELECT visit_id FROM visit ORDER BY 1 OFFSET 2 LIMIT 1)""")
    assert number > 0
    assert (least, most) == (NUMBER, NUMBER)
    used = ask("level1", "SELECT DISTINCT role FROM exposure_provenance WHERE kind = 'difference'")
    assert ("template",) in used
    known = ask("level1", "SELECT count(*) FILTER (WHERE prior_weight > 0 AND dia_sources > 0), count(*) FROM object")
    assert known[0][1] > 300


@pytest.mark.long
def test_every_reference_leads_somewhere(night):
    assert ask("level1", "SELECT DISTINCT relation, reference FROM hven.check_references()") == []
