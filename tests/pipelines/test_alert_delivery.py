"""Streams reach their receivers whatever these do, and nothing is lost on the way."""

from contextlib import closing

import pytest

from db import databases, rights
from db.connect import connect
from db.files import FileStore
from pipelines.alerts import archive, sender, streams, voevent, vtp
from pipelines.alerts.sender import Sender
from tests.conftest import clone
from tests.pipelines import alerted
from tests.pipelines.brokers import ACK, HANG_UP, NAK, SEEN, SILENCE, Broker, free_port
from tests.udf.night import Night

BRIGHT = "snr > 15"


@pytest.fixture(scope="module")
def made(template, tmp_path_factory):
    """A database with the waiting Alerts of a Visit, and their store."""
    store = FileStore(tmp_path_factory.mktemp("store"))
    with clone(template, "level1_waiting"):
        with closing(connect("level1_waiting")) as session, session:
            rights.apply(session, databases.layout("level1_waiting"))
            night = Night(session)
            night.begin()
            alerted.alert(night, store, rule="visit")
        yield store


@pytest.fixture
def night(made, template, monkeypatch):
    """The night in a database of its own, with a sender that has no patience."""
    monkeypatch.setattr(sender, "FIRST_DELAY", 0.0)
    monkeypatch.setattr(sender, "POLL", 0.01)
    monkeypatch.setattr(vtp, "PATIENCE", 0.3)
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("CREATE DATABASE level1_sent TEMPLATE level1_waiting")
    from migrations.upgrade import set_search_path

    set_search_path("level1_sent")
    with closing(connect("level1_sent")) as session:
        night = Night(session)
        night.sender = Sender("level1_sent", made, settle=0.0)
        yield night
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("DROP DATABASE level1_sent (FORCE)")


def outbox(night, stream):
    night.session.rollback()
    return night.rows("SELECT state, count(*) FROM level1.outbox WHERE stream = %s GROUP BY 1 ORDER BY 1", stream)


def wanted(night):
    """IVORNs of the bright Alerts in the order of the stream."""
    night.session.rollback()
    return [ivorn for (ivorn,) in night.rows(
        "SELECT w.ivorn FROM level1.alert_wide w JOIN level1.outbox o USING (dia_source_id, version)"
        " WHERE o.stream = 'full' AND w.snr > 15 ORDER BY o.place")]  # fmt: skip


def received(broker):
    return [voevent.read(packet).ivorn for packet in broker.got]


def test_a_filtered_stream_reaches_a_folder(night, tmp_path):
    streams.register(night.session, "bright", BRIGHT, f"file://{tmp_path}/out")
    night.sender.run(until_idle=True)
    written = {voevent.read(path.read_bytes()).ivorn for path in (tmp_path / "out").iterdir()}
    assert written == set(wanted(night))
    assert outbox(night, "bright") == [("sent", len(written))]


def test_a_filtered_stream_reaches_a_broker_in_order(night):
    with closing(Broker()) as broker:
        streams.register(night.session, "bright", BRIGHT, broker.target)
        night.sender.run(until_idle=True)
    assert received(broker) == wanted(night)
    assert len(broker.got) > 20


def test_two_senders_send_each_alert_once(night):
    import threading

    with closing(Broker()) as broker:
        streams.register(night.session, "bright", BRIGHT, broker.target)
        other = Sender("level1_sent", night.sender.store)
        threads = [threading.Thread(target=one.run, kwargs={"until_idle": True}) for one in (night.sender, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        night.sender.run(until_idle=True)
    assert sorted(received(broker)) == sorted(wanted(night))


def test_a_broker_that_refuses_has_the_alert_dead_with_the_reason_until_it_is_resumed(night):
    with closing(Broker(lambda packet: NAK % b"no such stream")) as broker:
        streams.register(night.session, "bright", BRIGHT, broker.target)
        for _ in range(sender.MOST_REFUSALS * len(wanted(night)) + 500):
            night.sender.step(night.session)
            count = len(wanted(night))
            if outbox(night, "bright") == [("dead", count)]:
                break
        assert outbox(night, "bright") == [("dead", count)]
        assert "refused the event (no such stream)" in night.ask(
            "SELECT last_error FROM level1.outbox WHERE stream = 'bright' LIMIT 1"
        )
        broker.answer = lambda packet: ACK
        night.do("UPDATE level1.outbox SET state = 'waiting', attempts = 0 WHERE state = 'dead'")
        night.session.commit()
        night.sender.run(until_idle=True)
    assert outbox(night, "bright") == [("sent", count)]


@pytest.mark.parametrize(
    ("fault", "said"), [(SILENCE, "kept silent for 0.3 s, without an answer"), (HANG_UP, "hung up without an answer")]
)
def test_a_broker_that_does_not_answer_is_tried_again(night, fault, said):
    with closing(Broker(lambda packet: fault)) as broker:
        streams.register(night.session, "bright", BRIGHT, broker.target)
        night.sender.step(night.session)
        assert said in night.ask("SELECT last_error FROM level1.outbox WHERE last_error IS NOT NULL")
        assert outbox(night, "bright") == [("waiting", len(wanted(night)))]
        broker.answer = lambda packet: ACK
        while ("sent", len(wanted(night))) not in outbox(night, "bright"):
            night.sender.step(night.session)
    assert set(received(broker)) == set(wanted(night))


def test_alerts_wait_for_a_broker_that_is_not_there(night):
    port = free_port()
    streams.register(night.session, "bright", BRIGHT, f"vtp://127.0.0.1:{port}")
    night.sender.step(night.session)
    night.sender.step(night.session)
    assert outbox(night, "bright") == [("waiting", len(wanted(night)))]
    with closing(Broker(port=port)) as broker:
        while ("sent", len(wanted(night))) not in outbox(night, "bright"):
            night.sender.step(night.session)
    assert received(broker) == wanted(night)


def test_what_a_broker_knows_already_counts_as_sent(night):
    with closing(Broker(lambda packet: SEEN)) as broker:
        streams.register(night.session, "bright", BRIGHT, broker.target)
        night.sender.run(until_idle=True)
    assert received(broker) == wanted(night)
    assert outbox(night, "bright") == [("sent", len(broker.got))]


def test_what_a_broker_took_and_did_not_pass_on_is_sent_in_other_bytes(night):
    first = []

    def answer(packet):
        if not first:
            first.append(packet)
            return HANG_UP
        return SEEN if packet == first[0] else ACK

    with closing(Broker(answer)) as broker:
        streams.register(night.session, "bright", BRIGHT, broker.target)
        while ("sent", len(wanted(night))) not in outbox(night, "bright"):
            night.sender.step(night.session)
    assert broker.got[:3] == [first[0], first[0], first[0] + b"\n"]


ENDLESS = "(SELECT count(*) FROM object a, object b, object c) > snr"


def test_a_filter_that_fails_stops_its_stream_alone_and_loses_nothing(night, monkeypatch, tmp_path):
    monkeypatch.setattr(streams, "PATIENCE", 0.3)
    streams.register(night.session, "endless", ENDLESS)
    streams.register(night.session, "zero", "1 / (snr::int - snr::int) > 0")
    streams.register(night.session, "bright", BRIGHT)
    night.sender.run(until_idle=True)
    states = night.rows("SELECT name, state, last_error FROM level1.alert_stream ORDER BY name")
    assert states == [("bright", "active", None), ("endless", "stopped", "it took too long"),
                      ("zero", "stopped", "division by zero")]  # fmt: skip
    assert outbox(night, "bright") == [("sent", len(wanted(night)))]
    night.do("UPDATE level1.alert_stream SET predicate = %s, state = 'active' WHERE name = 'endless'", BRIGHT)
    night.session.commit()
    night.sender.run(until_idle=True)
    assert outbox(night, "endless") == outbox(night, "bright")


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (("bright", "true; DROP TABLE level1.alert"), "stream bright is refused: alert filter: true; DROP TABLE"),
        (("full", "true"), "stream full is refused: new row for relation"),
        (("bright", "true", "http://elsewhere"), "target is http://elsewhere, allowed is vtp://HOST:PORT or file://"),
    ],
)
def test_what_is_no_stream_is_refused(night, stream, said):
    with pytest.raises(streams.StreamError) as caught:
        streams.register(night.session, *stream)
    assert said in str(caught.value)
    assert night.ask("SELECT count(*) FROM level1.alert_stream") == 0


def test_what_a_gate_of_quality_holds_stays_in_the_outbox(night):
    night.do("INSERT INTO level1.sdqa_measurement (metric, subject_id, value, verdict)"
             " SELECT metric, (SELECT visit_id FROM level1.alert LIMIT 1), 0.5, 'fail' FROM level1.sdqa_metric"
             " WHERE gate = 'stream' AND level = 'visit' LIMIT 1")  # fmt: skip
    night.session.commit()
    assert night.sender.step(night.session) == 0
    assert [state for state, _ in outbox(night, "full")] == ["waiting"]
    night.do("DELETE FROM level1.sdqa_measurement")
    night.session.commit()
    night.sender.step(night.session)
    assert [state for state, _ in outbox(night, "full")] == ["sent"]


def test_lost_stamps_keep_no_alert_back(night, tmp_path):
    lost = Sender("level1_sent", FileStore(tmp_path))
    lost.step(night.session)
    count = night.ask("SELECT count(*) FROM level1.alert")
    assert outbox(night, "full") == [("sent", count)]
    visit_id = night.ask("SELECT visit_id FROM level1.alert LIMIT 1")
    packets = [voevent.read(content) for content in archive.get(night.session, lost.store, visit_id)]
    assert {packet.groups[""]["stamps_missing"] for packet in packets} == {"difference template science"}


def test_a_packet_that_is_lost_stops_no_stream(night, tmp_path):
    lost = Sender("level1_sent", FileStore(tmp_path))
    lost.archive(night.session)
    for path in lost.store.files():
        path.unlink()
    streams.register(night.session, "bright", BRIGHT, "file:///nowhere")
    night.do("UPDATE level1.alert_stream SET cursor = 0")
    night.session.commit()
    count = len(wanted(night))
    for _ in range(20 * count):
        lost.step(night.session)
        if outbox(night, "bright") == [("dead", count)]:
            break
    said = night.ask("SELECT DISTINCT last_error FROM level1.outbox WHERE stream = 'bright'")
    assert said.startswith("file store: ")
    assert "is not under" in said
