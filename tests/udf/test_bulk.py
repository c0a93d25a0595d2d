"""A release's measurements are loaded without indexes; partition by partition they get order and indexes."""

from contextlib import closing

import pytest

from db import release
from db.connect import connect
from migrations.upgrade import create_release

NAME = "dr13"
ROWS = """
INSERT INTO forced_source (forced_source_id, object_id, exposure_id, visit_id, detector_id, filter_id, midpoint_tai, ra,
                           dec, healpix29, tile)
SELECT (13::bigint << 57) + n, n %% 100, 1, 1, 0, 1, 60000, (n * 37) %% 360, 0, hven.healpix29((n * 37) %% 360, 0),
       hven.healpix29((n * 37) %% 360, 0) >> 46
FROM generate_series(1, %s) AS n
"""
INDEXES = r"""
SELECT i.indrelid::regclass, i.indisvalid, i.indisprimary,
       regexp_replace(pg_get_indexdef(i.indexrelid), 'INDEX \S+ ', '')
FROM pg_index AS i WHERE i.indrelid::regclass::text LIKE 'forced_source%' ORDER BY 1, 4
"""


@pytest.fixture(scope="module")
def session(hub):
    create_release(NAME, 13)
    with closing(connect(NAME)) as session:
        yield session
    release.drop(NAME)


def ask(session, query, *values):
    with session.cursor() as cursor:
        cursor.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


def test_what_was_indexed_before_is_indexed_afterwards(session):
    before = ask(session, INDEXES)
    assert ask(session, "SELECT hven.drop_indexes('forced_source')") == [(5,)]
    bare = ask(session, INDEXES)
    assert (len(before), len(bare)) == (5 * 13, 5)
    assert {is_valid for _, is_valid, *_ in bare} == {False}
    ask(session, ROWS, 2000)
    for part in range(12):
        ask(session, "SELECT hven.order_partition('forced_source', %s)", part)
    found = sum(ask(session, "SELECT hven.index_partition('forced_source', %s)", part)[0][0] for part in range(12))
    assert found == 2000
    assert ask(session, INDEXES) == before
    session.commit()


def test_each_partition_lies_in_the_order_of_the_sky(session):
    apart = ask(session, """
        SELECT count(*) FROM (
            SELECT healpix29 < lag(healpix29) OVER (PARTITION BY tableoid ORDER BY ctid) AS back FROM forced_source
        ) AS r WHERE back""")
    assert apart == [(0,)]
