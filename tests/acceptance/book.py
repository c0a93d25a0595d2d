"""The book of queries as a program: `python -m tests.acceptance.book DATABASE` runs it and writes its answers in."""

import re
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from db.connect import connect

BOOK = Path(__file__).resolve().parents[2] / "docs" / "queries.md"
QUERY = re.compile(
    r"### (\d+)\. (.*?)\n(.*?)<!-- plan: (.*?) -->\n```sql\n(.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL
)
SHOWN, WIDTH = 5, 40


@dataclass(frozen=True)
class Query:
    """A query of the book, and what its plan must name."""

    number: int
    title: str
    plan: str
    text: str


def queries() -> list[Query]:
    """Return the queries of the book."""
    return [Query(int(n), title, plan, text) for n, title, _, plan, text in QUERY.findall(BOOK.read_text())]


def setup() -> str:
    """Return what makes the tables that it uses."""
    return re.search(r"```setup\n(.*?)```", BOOK.read_text(), re.DOTALL)[1]


def programs() -> list[str]:
    """Return the Python of the book; it is run with DATABASE, FIGURES and plt."""
    return re.findall(r"```python\n(.*?)```", BOOK.read_text(), re.DOTALL)


def plan_of(cursor, query: str) -> str:
    """Return the plan as JSON, with those of the statements inside functions."""
    cursor.execute("LOAD 'auto_explain'")
    for setting in (
        "log_min_duration = 0",
        "log_nested_statements = on",
        "log_format = json",
        "log_level = notice",
        "log_analyze = off",
    ):
        cursor.execute(f"SET auto_explain.{setting}")
    cursor.execute("SET client_min_messages = notice")
    notices = cursor.connection.notices
    notices.clear()
    cursor.execute(query)
    cursor.fetchall()
    cursor.execute("SET auto_explain.log_min_duration = -1")
    return "".join(notices)


def _answer(cursor, text: str) -> str:
    cursor.execute(text)
    begin = time.perf_counter()
    cursor.execute(text)
    rows = cursor.fetchall()
    took = 1000 * (time.perf_counter() - begin)
    head = [column.name for column in cursor.description]
    cells = [head, *([str(value)[:WIDTH] for value in row] for row in rows[:SHOWN])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(line[:118] for line in lines) + f"\n({len(rows)} rows, {took:.0f} ms)\n"


def fill(database: str) -> None:
    """Run all queries and write their answers into the book; nothing stays in the database."""
    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute(setup())

        def answered(found: re.Match) -> str:
            number, title, sense, plan, text = found.groups()
            return (
                f"### {number}. {title}\n{sense}<!-- plan: {plan} -->\n```sql\n{text}```\n"
                f"\n```text\n{_answer(cursor, text)}```\n"
            )

        BOOK.write_text(QUERY.sub(answered, BOOK.read_text()))
        session.rollback()


if __name__ == "__main__":
    fill(sys.argv[1])
