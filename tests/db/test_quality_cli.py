"""`hven quality`: what holds, who lets it pass, what the observatory was told; by an operator's login."""

from contextlib import closing

import pytest
from click.testing import CliRunner

from db.cli.quality import quality
from db.connect import connect


@pytest.fixture
def told(database):
    """A database with a failing metric of the stream's gate, and a message about it."""
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute("INSERT INTO sdqa_measurement (metric, subject_id, value, verdict)"
                       " VALUES ('detector.zeropoint_err', 4096, 0.9, 'fail')")
        cursor.execute("INSERT INTO ocs_feedback (visit_id, topic, message) VALUES (1, 'quality', '{}')"
                       " RETURNING feedback_id")
        return database, cursor.fetchone()[0]


def run(*words):
    return CliRunner().invoke(quality, words, catch_exceptions=False).output


def test_what_holds_is_listed_until_it_is_accepted(told):
    database, _ = told
    assert "detector.zeropoint_err" in run("holds", "-d", database)
    run("accept", "detector.zeropoint_err", "4096", "--reason", "thin cloud", "-d", database)
    assert run("holds", "-d", database).startswith("nothing is held")


def test_feedback_is_listed_until_it_is_acknowledged(told):
    database, number = told
    assert "quality" in run("feedback", "-d", database)
    assert run("acknowledge", str(number), "-d", database) == f"acknowledged: {number}\n"
    assert run("feedback", "-d", database) == "all is acknowledged\n"
    assert run("acknowledge", str(number), "-d", database).startswith("acknowledged: none")
