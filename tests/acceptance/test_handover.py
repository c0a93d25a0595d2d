"""A release takes over from the live database, with a supernova that crosses the switch (LDM-151, 6.4)."""

from contextlib import closing

import numpy as np
import psycopg2
import pytest

from db import life_cycle, queue, release, succession
from db.connect import connect, resolve
from db.files import FileStore
from db.load import load
from db.release import ReleaseError
from db.succession import MidNight
from migrations.upgrade import create_release, recreate
from pipelines.live_night import find_night, tidy
from pipelines.productions import simulated_sky as rows
from pipelines.productions.ingest import complete
from pipelines.productions.release_difference import parents_of
from pipelines.succeeding import hand_over
from pipelines.worker import work
from tests.acceptance import crossing
from tests.conftest import clone

NAME, NUMBER = "dr31", 31
OLD, NEW = "level1_old", "level1_new"
CUTOFF, OPEN = 3, 6
"""Visits in the release, and in the nights that are closed when the hand-over begins."""


def ask(database, query, *values):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def observe(database, part, store):
    """Let Visits come and be processed as at night."""
    with closing(connect(database)) as session, session:
        crossing.load_visits(session, part)
        with session.cursor() as cursor:
            cursor.execute("SELECT hven.ensure_partitions(hven.live_release(), min(night), max(night)) FROM visit")
    night = find_night(database, store)
    with closing(connect(database)) as session:
        for visit_id in crossing.ids()[part]:
            with session, session.cursor() as cursor:
                visit = complete(cursor, visit_id, night.camera, night.production_id, is_live=True)
                queue.enqueue(cursor, night.production_id, crossing.jobs(visit))
    work({database: 1.0}, store, kinds=crossing.KINDS, until_idle=True)


def close(database, store):
    night = find_night(database, store)
    with closing(connect(database)) as session:
        for (number,) in ask(database, "SELECT DISTINCT night FROM visit WHERE state = 'associated' ORDER BY 1"):
            list(tidy(session, night, number))


def send(database):
    """Give Alerts their places in the full stream, as the archive does."""
    ask(database, """UPDATE outbox SET state = 'sent', sent = now(), place = outbox_id WHERE state = 'waiting'""")


def build_release():
    """Make a published release of the first Visits, whose Objects have ids of their own."""
    create_release(NAME, NUMBER)
    sky, _ = crossing.survey()
    with closing(connect(NAME)) as session, session, session.cursor() as cursor:
        load(session, "filter", rows.filters())
        load(session, "detector", rows.detectors(crossing.PARAMETERS))
        objects = rows.objects(sky, NUMBER)
        load(session, "object", objects)
        crossing.load_visits(session, slice(0, CUTOFF))
        for visit in range(CUTOFF):
            load(session, "staging.dia_source", crossing.staged(visit, NUMBER, 0)[0])
        cursor.execute("SELECT dia_source_id, ra, dec, ra_err, dec_err, ra_dec_cov FROM staging.dia_source ORDER BY 1")
        names = ("ra", "dec", "ra_err", "dec_err", "ra_dec_cov")
        dia = np.array(cursor.fetchall(), [("id", "i8"), *((name, "f8") for name in names)])
        known = np.rec.fromarrays([objects[name] for name in ("object_id", "ra", "dec")], names="id,ra,dec")
        parents, new = parents_of(dia, known, 0.5, NUMBER)
        load(session, "object", new)
        cursor.execute("SELECT hven.link_dia_sources(%s, %s)", [dia["id"].tolist(), parents.tolist()])
    release.set_state(NAME, "building", "validated", "a trial")
    life_cycle.freeze(NAME)
    life_cycle.publish(NAME)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return FileStore(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def survey(hub, template, store):
    """Two closed nights and an open one in the live database, and a release that ends after the first."""
    ((live, number),) = ask(hub, "SELECT database, release FROM hub.science_database WHERE name = 'level1'")
    with pytest.MonkeyPatch.context() as patch, clone(template, OLD), clone(template, NEW):
        patch.setattr(succession, "LEVEL1", (OLD, NEW))
        point = "UPDATE hub.science_database SET database = %s, release = %s WHERE name = 'level1'"
        ask(hub, point, OLD, 0)
        try:
            with closing(connect(OLD)) as session, session:
                crossing.begin(session)
            observe(OLD, slice(0, OPEN), store)
            close(OLD, store)
            ask(OLD, "SELECT hven.register_alert_stream('faint', 'snr < 20', NULL)")
            send(OLD)
            ask(OLD, "SELECT hven.acknowledge_alerts('broker', 'full', 17)")
            ask(OLD, """INSERT INTO efd.topic (name, field, field_unit, description)
                        VALUES ('dome', '{azimuth}', '{deg}', 'where it looks')""")
            ask(OLD, "INSERT INTO efd.sample SELECT topic_id, 61000, '{1}' FROM efd.topic")
            observe(OLD, slice(OPEN, 9), store)
            build_release()
            yield
        finally:
            ask(hub, point, live, number)
            ask(hub, "DELETE FROM hub.science_database WHERE name = %s", succession.NEXT)
            ask(hub, "UPDATE hub.science_database SET is_current = false, state = 'withdrawn' WHERE name = %s", NAME)
            ask(hub, "DELETE FROM hub.data_release WHERE name = %s", NAME)
            release.drop(NAME)


def hand_over_now(store):
    kinds = "tests.acceptance.crossing:KINDS"
    return hand_over(NAME, store, 1, recreate, jobs=crossing.jobs, kinds=kinds)


@pytest.fixture(scope="module")
def before(survey, store):
    """What the world has been told, as the hand-over finds it: it was refused in mid-night, then goes on."""
    refused = rf"level1 can't become {NEW} in mid-night: 3 Visits of night \d+ are not closed"
    with pytest.raises(MidNight, match=refused):
        hand_over_now(store)
    assert resolve("level1") == OLD
    close(OLD, store)
    send(OLD)
    told = {table: ask(OLD, f"SELECT * FROM {table} ORDER BY 1") for table in
            ("alert", "outbox", "alert_stream", "alert_consumer", "efd.topic", "efd.sample")}  # fmt: skip
    reader = connect(OLD)
    told["reader"] = reader
    yield told
    reader.close()


@pytest.fixture(scope="module")
def after(before, store):
    with closing(connect("hub")) as session, session.cursor() as cursor:
        cursor.execute("SELECT state FROM hub.science_database WHERE name = %s", [succession.NEXT])
        assert cursor.fetchone() == ("building",)  # it is not filled anew
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(succession, "_point", interrupt)
        hand_over_now(store)
    assert resolve("level1") == OLD
    hand_over_now(store)
    return before


def interrupt(*_):
    raise KeyboardInterrupt


def alerts_of(supernova):
    """Return visit_id, release in the id, object_id, and whether it was sent, of each Alert near a supernova."""
    return ask("level1", """
        SELECT a.visit_id, a.dia_source_id >> 57, a.object_id, o.outbox_id IS NOT NULL
        FROM alert AS a JOIN dia_source AS d USING (dia_source_id)
        LEFT JOIN outbox AS o USING (dia_source_id, version)
        WHERE hven.sky_separation_arcsec(d.ra, d.dec, %s, %s) < 0.5 ORDER BY 1, 2
        """, *crossing.place(supernova))  # fmt: skip


def test_the_name_means_the_other_database(after):
    assert resolve("level1") == NEW
    assert ask("level1", "SELECT hven.live_release()") == [(NUMBER,)]
    with pytest.raises(ReleaseError, match=f"level1 continues {NAME} already, in {NEW}"):
        succession.begin(NAME)


def test_what_was_told_is_there_under_the_ids_that_it_was_told_with(after):
    for table in ("outbox", "alert_stream", "alert_consumer", "efd.topic", "efd.sample"):
        assert ask("level1", f"SELECT * FROM {table} ORDER BY 1") == after[table], table
    assert ask("level1", "SELECT * FROM alert WHERE dia_source_id >> 57 = 0 ORDER BY 1") == after["alert"]


@pytest.mark.parametrize("supernova", [crossing.EARLY, crossing.LATE])
def test_each_visit_that_detects_the_supernova_has_one_alert_and_the_replay_sends_none(after, supernova):
    expected = [(one, 0, True) for visit, one in enumerate(crossing.ids()[:9]) if crossing.seen(supernova, visit)]
    found = [(visit_id, number, sent) for visit_id, number, _, sent in alerts_of(supernova)]
    assert [one for one in found if one[2]] == expected


def test_old_ids_lead_to_the_object_with_the_whole_history(after):
    for supernova in crossing.FIRST:
        ((old,),) = {(object_id,) for _, number, object_id, _ in alerts_of(supernova) if number == 0}
        ((new,),) = ask("level1", "SELECT hven.current_object(%s)", old)
        assert new >> 57 == NUMBER
        curve = ask("level1", "SELECT psf_flux FROM hven.light_curve(%s) WHERE kind = 'dia_source'", new)
        assert [flux for (flux,) in curve] == [
            6000 + 100 * visit for visit in range(9) if crossing.seen(supernova, visit, NUMBER)
        ]
        assert ask("level1", "SELECT dia_sources FROM object WHERE object_id = %s", new) == [(len(curve),)]
        forced = ask("level1", "SELECT expires_tai FROM force_list WHERE object_id = %s", new)
        assert forced == ask(OLD, "SELECT expires_tai FROM force_list WHERE object_id = %s", old)


def test_an_alert_that_only_the_replay_found_is_marked_and_never_sent(after):
    found = ask("level1", """SELECT a.visit_id, a.is_replayed, o.outbox_id IS NOT NULL
                             FROM alert AS a LEFT JOIN outbox AS o USING (dia_source_id, version)
                             WHERE a.is_replayed OR o.outbox_id IS NULL""")
    assert found == [(crossing.ids()[crossing.FAINT], True, False)]


def test_every_reference_leads_somewhere(after):
    lost = ask("level1", "SELECT DISTINCT relation, reference FROM hven.check_references()")
    assert {reference for _, reference in lost} == {"exposure_id"}  # this survey has no pixels


def test_open_connections_keep_the_old_database_and_can_no_longer_change_it(after):
    reader = after["reader"]
    with reader, reader.cursor() as cursor:
        cursor.execute("SELECT current_database(), count(*) FROM alert")
        assert cursor.fetchone() == (OLD, len(after["alert"]))
    closed = pytest.raises(psycopg2.Error, match=f"{OLD} is closed: {NEW} continues it")
    with closed as refused, reader.cursor() as cursor:
        cursor.execute("UPDATE alert_consumer SET cursor = 18")
    assert refused.value.pgcode == "VN040"
    reader.rollback()


def test_the_next_night_goes_on_where_the_last_one_ended(after, store):
    observe(NEW, slice(9, 12), store)
    for supernova in crossing.FIRST:
        new = alerts_of(supernova)[-3:]
        assert [one[:2] for one in new] == [(visit_id, NUMBER) for visit_id in crossing.ids()[9:]]
        assert {sent for *_, sent in new} == {True}
    ((in_order,),) = ask("level1", """SELECT max(outbox_id) FILTER (WHERE state = 'sent')
                                           < min(outbox_id) FILTER (WHERE state = 'waiting') FROM outbox""")
    assert in_order


def test_a_release_that_is_not_published_is_not_handed_over(hub):
    with pytest.raises(ReleaseError, match="there is no dr30"):
        succession.begin("dr30")
