"""Years that are over are merged as a night of the next one is closed."""

from contextlib import closing

import pytest

from db.connect import connect
from db.ids import MeasurementId, VisitId, pack
from pipelines.live_night import merge_years

FIRST_OF_2018 = 8119  # the night of 1 January 2018
ROW = """INSERT INTO dia_source (dia_source_id, exposure_id, visit_id, detector_id, filter_id, midpoint_tai, ra, dec,
                                 healpix29, object_id)
         VALUES (%s, 1, %s, 0, 1, %s, 10, 10, 1, 7)"""


@pytest.fixture
def session(database):
    """A live database with a DiaSource in November and December 2017 and in January 2018."""
    with closing(connect(database)) as session:
        with session, session.cursor() as cursor:
            for night in (FIRST_OF_2018 - 40, FIRST_OF_2018 - 1, FIRST_OF_2018):
                visit = int(pack(VisitId(night, 0)))
                cursor.execute("SELECT hven.ensure_partitions(0, %s, %s)", (night, night))
                cursor.execute(ROW, (int(pack(MeasurementId(0, visit, 0, 0, 0, 0))), visit, 50000 + night))
        yield session


def partitions(session):
    with session, session.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text, count(*) FROM dia_source GROUP BY 1 ORDER BY 1")
        return cursor.fetchall()


def test_the_year_goes_on_by_months(session):
    assert list(merge_years(session, FIRST_OF_2018 - 1)) == []
    assert len(partitions(session)) == 3


def test_the_first_close_of_a_year_merges_the_one_before(session):
    assert list(merge_years(session, FIRST_OF_2018)) == ["2 rows of 2017 merged into one partition a table"]
    assert partitions(session) == [("dia_source_r00_2017", 2), ("dia_source_r00_2018_01", 1)]
    assert list(merge_years(session, FIRST_OF_2018)) == []


def test_what_was_merged_is_read_from_the_index_alone(session):
    list(merge_years(session, FIRST_OF_2018))
    with session, session.cursor() as cursor:
        cursor.execute("SELECT relallvisible FROM pg_class WHERE relname = 'dia_source_r00_2017'")
        assert cursor.fetchone() == (1,)
