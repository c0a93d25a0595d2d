"""Predicates of users over Alerts: what passes, and what is refused, stopped or without effect."""

import psycopg2
import pytest

from db import databases, rights

MALICIOUS = [
    "true; DROP TABLE level1.alert",
    "true); DROP TABLE level1.alert; SELECT (true",
    "true) UNION SELECT place FROM outbox WHERE (true",
    "true), false) UNION SELECT coalesce((true",
    "snr",
    "",
    "snr > 5 AND",
    "(SELECT nothing FROM alert_wide)",
    "EXISTS (DELETE FROM level1.alert RETURNING 1)",
]


@pytest.fixture
def alerted(night):
    """The night with the Alerts of its first Visit, all in the full stream."""
    night.run(0)
    night.alerts(0)
    night.do("UPDATE level1.outbox SET place = outbox_id - (SELECT min(outbox_id) - 1 FROM level1.outbox)")
    rights.apply(night.session, databases.layout("level1_night"))
    return night


def places(night, predicate, after=0, upto=1 << 40):
    return [one for (one,) in night.rows("SELECT hven.filter_alerts(%s, %s, %s) ORDER BY 1", predicate, after, upto)]


def refused(night, statement, *values):
    """The error of a statement."""
    night.do("SAVEPOINT before")
    with pytest.raises(psycopg2.Error) as caught:
        night.do(statement, *values)
    night.do("ROLLBACK TO SAVEPOINT before")
    return caught.value


def test_a_predicate_chooses_alerts_by_the_columns_of_alert_wide(alerted):
    wanted = alerted.rows(
        "SELECT place FROM level1.outbox JOIN level1.alert_wide USING (dia_source_id, version)"
        " WHERE snr > 20 AND NOT is_moving ORDER BY 1"
    )
    found = places(alerted, "snr > 20 AND NOT alert.is_moving  -- bright")
    assert found == [place for (place,) in wanted]
    assert 0 < len(found) < alerted.ask("SELECT count(*) FROM level1.outbox")


def test_only_the_range_asked_for_is_filtered(alerted):
    assert places(alerted, "true", 3, 7) == [4, 5, 6, 7]


@pytest.mark.parametrize("predicate", MALICIOUS)
def test_what_is_not_one_boolean_expression_is_refused(alerted, predicate):
    before = alerted.ask("SELECT count(*) FROM level1.alert")
    error = refused(alerted, "SELECT hven.filter_alerts(%s, 0, 100)", predicate)
    assert error.pgcode == "VN030"
    assert str(error).startswith("alert filter: ")
    assert "Give one SQL expression of type boolean" in str(error)
    assert alerted.ask("SELECT count(*) FROM level1.alert") == before


@pytest.mark.parametrize(
    ("predicate", "code"),
    [
        ("set_config('role', 'hven_owner', false) IS NOT NULL", "42501"),
        ("set_config('session_authorization', 'postgres', false) IS NOT NULL", "42501"),
        ("hven.select_alerts(visit_id) IS NOT NULL", "VN030"),  # which EXECUTE tells at once
        ("pg_read_file('/etc/passwd') IS NOT NULL", "VN030"),
        ("lo_from_bytea(0, 'x') > 0", "VN030"),
        ("nextval('level1.outbox_outbox_id_seq') > 0", "42501"),
    ],
)
def test_a_predicate_has_the_rights_of_a_reader(alerted, predicate, code):
    assert refused(alerted, "SELECT hven.filter_alerts(%s, 0, 100)", predicate).pgcode == code


def test_a_cross_join_ends_when_time_is_up(alerted):
    alerted.do("SET LOCAL statement_timeout = '300ms'")
    endless = (
        "set_config('statement_timeout', '0', false) IS NOT NULL"
        " AND (SELECT count(*) FROM object a, object b, object c) > snr"
    )
    error = refused(alerted, "SELECT hven.filter_alerts(%s, 0, 100)", endless)
    assert error.pgcode == "57014"


def test_registration_checks_and_begins_with_what_comes(alerted):
    last = alerted.ask("SELECT max(place) FROM level1.outbox")
    alerted.do("SELECT hven.register_alert_stream('bright', 'snr > 20')")
    stream = "SELECT name, predicate, target, cursor, state FROM level1.alert_stream"
    assert alerted.rows(stream) == [("bright", "snr > 20", None, last, "active")]
    assert refused(alerted, "SELECT hven.register_alert_stream('faint', 'snr <')").pgcode == "VN030"
    assert alerted.ask("SELECT hven.drop_alert_stream('bright')")
    assert not alerted.ask("SELECT hven.drop_alert_stream('bright')")


def test_where_alerts_are_sent_to_an_operator_says(alerted):
    alerted.do("SET LOCAL session_authorization = hven_scientist")
    error = refused(alerted, "SELECT hven.register_alert_stream('mine', 'true', 'vtp://elsewhere:8098')")
    assert error.pgcode == "VN031"
    assert "hven_scientist asks to send to vtp://elsewhere:8098, allowed to operators alone" in str(error)
    alerted.do("SELECT hven.register_alert_stream('mine', 'true')")
    assert alerted.rows("SELECT registered_by FROM level1.alert_stream") == [("hven_scientist",)]


def test_a_consumer_has_a_place_of_its_own(alerted):
    ask = "SELECT hven.acknowledge_alerts('night watch', 'full', %s)"
    assert [alerted.ask(ask, place) for place in (None, 7, None)] == [0, 7, 7]
