"""Pages to look at: the report of a night, and the page of an Object; each a file that needs no network."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from psycopg2.extensions import connection as Connection

from db.queries import intents, queries

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Answer:
    """What a query gives, and the query, ready to be asked again.

    Parameters
    ----------
    title : str
        What is asked.
    sql : str
        The query, without placeholders.
    columns : tuple of str
    rows : tuple of tuple
    """

    title: str
    sql: str
    columns: tuple[str, ...]
    rows: tuple[tuple, ...]

    def column(self, name: str) -> list:
        """Return one column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def facts(self) -> list[tuple[str, Any]]:
        """Return names and values of the first row."""
        return list(zip(self.columns, self.rows[0], strict=True)) if self.rows else []


def ask(connection: Connection, topic: str, name: str, **values: int | str) -> Answer:
    """Return the answer to a query of the catalogue, whose `:name`s are replaced by numbers or quoted text."""
    sql = queries(topic)[name]
    with connection.cursor() as cursor:
        for key, value in values.items():
            quoted = cursor.mogrify("%s", (value,)).decode()
            sql = re.sub(rf"(?<!:):{key}\b", lambda _, quoted=quoted: quoted, sql)
        cursor.execute(sql)
        columns = tuple(column.name for column in cursor.description)
        return Answer(intents(topic)[name], sql, columns, tuple(cursor.fetchall()))


@cache
def environment() -> jinja2.Environment:
    """Return the templates."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters["cell"] = cell
    made.filters["words"] = lambda name: name.replace("_", " ")
    return made


def cell(value: Any) -> str:
    """Return a value as it stands in a table."""
    if value is None:
        return "–"
    return f"{value:.9g}" if isinstance(value, float) else str(value)
