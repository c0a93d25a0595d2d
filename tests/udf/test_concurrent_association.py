"""Visits that overlap wait for each other, others do not."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from db.checksum import subjects
from db.connect import connect
from tests.udf.night import SMALL, Night

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
SHARED = "SELECT count(*) FROM (SELECT FROM level1.dia_source GROUP BY object_id HAVING count(DISTINCT visit_id) > 1) o"


@pytest.fixture
def nights(database):
    """Return a night whose Visits overlap, and one of another field, each with a connection of its own."""
    with closing(connect(database)) as first, closing(connect(database)) as second, closing(connect(database)) as third:
        here, also_here = Night(first), Night(second)
        elsewhere = Night(third, replace(SMALL, seed=2, ra=170.0))
        here.begin()
        first.commit()
        yield here, also_here, elsewhere


def test_an_overlapping_visit_waits_and_then_sees_what_the_first_found(nights):
    one, two, _ = nights
    one.stage(0)
    one.session.commit()
    two.stage(1)
    two.session.commit()
    one.associate(0)
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(two.associate, 1)
        while not one.ask(WAITING):
            assert not later.done()
        one.session.commit()
        report = later.result(60)
    two.session.commit()
    new = one.ask("SELECT count(*) FROM level1.object WHERE prior_weight = 0 AND dia_sources = 2")
    assert new > 2
    assert report["matched"] > 100
    assert one.ask(SHARED) > 50


def test_a_visit_to_another_field_does_not_wait(nights):
    one, _, other = nights
    other.do("UPDATE level1.visit SET filter_id = 1 WHERE visit_id = %s", other.ids[0])
    one.stage(1)
    one.session.commit()
    other.stage(0)
    other.session.commit()
    one.associate(1)
    other.do("SET statement_timeout = '20s'")
    assert other.associate(0)["dia_sources"] > 50


def test_four_connections_and_overlapping_visits_end_without_deadlock(nights, database):
    one, *_ = nights
    for index in range(6):
        one.stage(index)
    one.session.commit()

    def associate(index):
        with closing(connect(database)) as session:
            night = Night(session)
            report = night.associate(index)
            session.commit()
            return report["dia_sources"]

    with ThreadPoolExecutor(4) as pool:
        assert all(count > 100 for count in pool.map(associate, range(6)))
    assert one.ask("SELECT count(*) FROM level1.order_log") == 6
    twice = "SELECT FROM level1.dia_source WHERE object_id IS NOT NULL GROUP BY visit_id, object_id HAVING count(*) > 1"
    assert one.rows(twice) == []


def digests(night):
    """Hashes of the science columns of all tables, in the night's own transaction."""
    parts = ((s.relation, ", ".join(s.expressions)) for s in subjects(night.session))
    return {name: night.ask(f"SELECT sum(hashtextextended(ROW({row})::text, 0)) FROM {name}") for name, row in parts}


def test_four_connections_in_one_field_give_the_digests_of_visit_order(nights, database):
    one, *_ = nights
    for index in range(6):
        one.stage(index)
    one.session.commit()
    for index in range(6):
        one.associate(index)
    in_order = digests(one)
    assert in_order["level1.object_flux"]
    one.session.rollback()

    def associate(index):
        with closing(connect(database)) as session:
            night = Night(session)
            while night.rows("SELECT hven.visits_to_await(%s, 900)", night.ids[index]):
                session.commit()
                time.sleep(0.01)
            night.associate(index)
            session.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(associate, range(6)))
    assert digests(one) == in_order


def test_earlier_visits_that_overlap_are_to_be_awaited(nights):
    one, *_ = nights
    one.run(1)
    await_ = "SELECT hven.visits_to_await(%s, 900)"
    assert [visit for (visit,) in one.rows(await_, one.ids[3])] == [one.ids[0], one.ids[2]]
    one.do("UPDATE level1.visit SET ra = ra + 90 WHERE visit_id = %s", one.ids[2])
    assert [visit for (visit,) in one.rows(await_, one.ids[3])] == [one.ids[0]]


def test_visits_to_be_awaited_are_found_among_the_open_ones_alone(nights):
    one, *_ = nights
    one.do("INSERT INTO level1.visit (visit_id, night, sequence, filter_id, snaps, detectors, ra, dec, state)"
           " SELECT (7 << 12) + n, 7, n, 1, 1, 1, 10, 0, 'closed' FROM generate_series(0, 4000) n")  # fmt: skip
    one.do("ANALYZE level1.visit")
    plan = one.rows(f"EXPLAIN SELECT * FROM hven.visits_to_await({one.ids[3]}, 900)")
    assert any("visit_open_idx" in line for (line,) in plan)
