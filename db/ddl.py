"""The models as SQL."""

from collections.abc import Iterable

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable


def statements(tables: Iterable[Table]) -> str:
    """Return CREATE TABLE and CREATE INDEX of some tables, in their order."""
    parts: list[CreateTable | CreateIndex] = []
    for table in tables:
        # A copied table has its constraints in an order that changes from run to run.
        for place, constraint in enumerate(sorted(table.constraints, key=lambda one: str(one.name))):
            constraint._creation_order = place
        parts.append(CreateTable(table))
        parts += map(CreateIndex, sorted(table.indexes, key=lambda index: str(index.name)))
    dialect = postgresql.dialect()
    texts = (str(part.compile(dialect=dialect)).strip().replace("\t", "    ") for part in parts)
    return "".join(f"{text};\n\n" for text in texts)
