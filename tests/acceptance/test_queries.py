"""The book of queries: each runs, has an answer, and takes the index that it should."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from db.connect import connect
from tests.acceptance import book

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "level1_demo"


@pytest.fixture(scope="module")
def cursor(cluster, hub):
    """A transaction on the demonstration's sky, with the book's tables; rolled back at the end."""
    with closing(connect("postgres")) as session, session, session.cursor() as there:
        there.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        exists = there.rowcount
    if not exists:
        subprocess.run([sys.executable, ROOT / "hven", "demo"], env=os.environ, check=True, capture_output=True)
    with closing(connect(DATABASE)) as session, session.cursor() as made:
        made.execute(book.setup())
        yield made
        session.rollback()


def test_the_book_has_its_thirty():
    assert [query.number for query in book.queries()] == list(range(1, 31))


@pytest.mark.parametrize("query", book.queries(), ids=lambda query: query.title)
def test_it_has_an_answer_by_the_right_way(cursor, query):
    plan = book.plan_of(cursor, query.text)
    assert query.plan.lower() in plan.lower()
    cursor.execute(query.text)
    assert cursor.rowcount > 0, json.dumps(query.text)


@pytest.mark.parametrize("code", book.programs(), ids=lambda code: code.splitlines()[0][2:])
def test_python_of_the_book_draws(cursor, tmp_path, code):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    exec(code, {"DATABASE": DATABASE, "FIGURES": tmp_path, "plt": plt})  # noqa: S102
    plt.close("all")
    (picture,) = tmp_path.glob("*.png")
    assert picture.stat().st_size > 5_000
