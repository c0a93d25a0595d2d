"""A release begins as a clone of the template, with ids of its own."""

from contextlib import closing

import psycopg2
import pytest
from sqlalchemy import NullPool

from db import databases, ids, release
from db.connect import connect, engine
from db.metrics import QualityHold
from db.pages import live
from db.queries import queries
from migrations.compare import differences
from migrations.upgrade import create_release

OBJECT = "INSERT INTO object (object_id, ra, dec, healpix29, mean_ra, mean_dec) VALUES (%s, 10, 20, 1, 10, 20)"


@pytest.fixture(scope="module", params=[("dr7", 7), ("mini_test", 50)])
def made(request, hub):
    create_release(*request.param)
    yield request.param
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(f"DROP DATABASE {request.param[0]}")
    with closing(connect(hub)) as session, session, session.cursor() as cursor:
        cursor.execute("DELETE FROM hub.science_database WHERE name = %s", request.param[:1])


def test_it_is_what_the_models_ask_for(made):
    assert differences(made[0]) == []


def test_it_is_described_as_the_models_are(made):
    with engine(made[0], poolclass=NullPool).connect() as connection:
        assert live.differences(connection, databases.layout(made[0])) == []


def test_names_mean_its_own_catalogue(made):
    with closing(connect(made[0])) as session, session.cursor() as cursor:
        cursor.execute("SELECT 'object'::regclass = to_regclass(%s)", [f"{made[0]}.object"])
        assert cursor.fetchone() == (True,)


def test_ids_of_another_release_are_refused(made):
    own = int(ids.pack(ids.ObjectId(made[1], 5, 0)))
    other = int(ids.pack(ids.ObjectId(made[1] - 1, 5, 0)))
    with closing(connect(made[0])) as session, session.cursor() as cursor:
        cursor.execute(OBJECT, [own])
        with pytest.raises(psycopg2.errors.CheckViolation, match="object_release_check"):
            cursor.execute(OBJECT, [other])


def test_the_hub_knows_its_state_and_its_past(made, hub):
    with closing(connect(hub)) as session, session.cursor() as cursor:
        cursor.execute(queries("databases")["state"], {"name": made[0]})
        assert cursor.fetchone()[1:3] == (made[1], "building")
        cursor.execute("SELECT to_state FROM hub.life_cycle WHERE name = %s ORDER BY event_id", made[:1])
        assert [state for (state,) in cursor] == ["creating", "building"]


def test_a_second_release_of_one_name_is_refused(made):
    with pytest.raises(release.ReleaseError, match=f"{made[0]} exists already, as .* in state building"):
        create_release(*made)


@pytest.mark.parametrize(("name", "number", "message"), [
    ("dr7; DROP", 7, "allowed are dr1 to dr47"),
    ("dr7", 8, "dr7 got the number 8; allowed for a release are 1 to 47, the same as in its name"),
    ("mini_x", 3, "allowed for a mini are 48 to 63"),
])
def test_names_and_numbers_that_do_not_go_together_are_refused(hub, name, number, message):
    with pytest.raises(release.ReleaseError, match=message):
        release.begin(name, number)


def test_an_interrupted_creation_goes_on(hub, monkeypatch):
    monkeypatch.setattr(release, "_own", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        create_release("dr8", 8)
    monkeypatch.undo()
    create_release("dr8", 8)
    assert differences("dr8") == []
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("DROP DATABASE dr8")


def test_a_release_becomes_valid_when_its_quality_passes_the_gate(made):
    name, number = made
    with pytest.raises(QualityHold, match="release.astrometric_repeatability was not measured"):
        release.validate(name)
    with closing(connect(name)) as session, session, session.cursor() as cursor:
        cursor.execute("INSERT INTO sdqa_measurement (metric, subject_id, value, verdict)"
                       " SELECT metric, %s, design, 'design' FROM sdqa_metric WHERE gate = 'release'", [number])
    release.validate(name)
    with pytest.raises(release.ReleaseError, match=f"{name} is not building, so it can't become validated"):
        release.validate(name)
