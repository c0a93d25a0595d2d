"""Rows that go from one Science Database to another, with the files that they name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from psycopg2.extensions import connection as Connection

from db.handover import columns_of, copy_rows
from db.queries import queries

FILES = ("file_id", "stamps_file_id")
"""Columns that name a row of `queue.file`, whose numbers differ from database to database."""


@dataclass(frozen=True)
class Part:
    """Rows of a table that go to another database.

    Parameters
    ----------
    table : str
    where : str
        Which rows, as SQL with named parameters.
    as_ : mapping of str to str
        Columns that do not go as they are: what they become, as SQL.
    keep : bool
        Whether a row that is there already stays as it is; else it is overwritten.
    """

    table: str
    where: str = "true"
    as_: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False

    def query(self, columns: Sequence[str]) -> str:
        """Return the query that gives the rows."""
        given = {"job_id": "NULL"} | dict(self.as_)
        shown = ", ".join(f"{given[name]} AS {name}" if name in given else name for name in columns)
        return f"SELECT {shown} FROM {self.table} WHERE {self.where}"


def carry(source: Connection, target: Connection, part: Part, values: Mapping) -> int:
    """Copy a part of a table, in the target's transaction; return how many rows are new or changed.

    What the job columns name stays behind: a job is of its own database. Files stay where they are: both databases
    name them.
    """
    there = columns_of(source, part.table).split(", ")
    columns = [name for name in columns_of(target, part.table).split(", ") if name in there]
    query, names = part.query(columns), ", ".join(columns)
    with target.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS carried")
        cursor.execute(f"CREATE TEMP TABLE carried AS SELECT {names} FROM {part.table} LIMIT 0")
        copy_rows(source, target, query, values, "carried", names)
        for name in FILES:
            if name in columns:
                _adopt_files(source, target, part, name, values)
        cursor.execute(queries("handover")["key"], {"table": part.table})
        key, others = cursor.fetchone()
        changed = [name for name in (others or "").split(", ") if name in columns]
        known = f"({', '.join(changed)}) = ROW({', '.join(f'excluded.{name}' for name in changed)})"
        how = "NOTHING" if part.keep or not changed else f"UPDATE SET {known}"
        into = f"INSERT INTO {part.table} ({names}) OVERRIDING SYSTEM VALUE"
        cursor.execute(f"{into} SELECT {names} FROM carried ON CONFLICT ({key}) DO {how}")
        rows = cursor.rowcount
        cursor.execute(queries("handover")["number_on"], {"table": part.table})
    return rows


def copy(source: Connection, target: Connection, part: Part, values: Mapping) -> int:
    """Copy a part of a table into one that has none of it, straight through; return how many rows there are."""
    there = columns_of(source, part.table).split(", ")
    columns = [name for name in columns_of(target, part.table).split(", ") if name in there]
    return copy_rows(source, target, part.query(columns), values, part.table, ", ".join(columns))


def _adopt_files(source: Connection, target: Connection, part: Part, name: str, values: Mapping) -> None:
    """Make the files that carried rows name ours, and let the rows name them by our numbers."""
    named = f"SELECT {name} FROM {part.table} WHERE {part.where}"
    query = f"SELECT file_id, sha256, size, media_type, name FROM queue.file WHERE file_id IN ({named})"
    with target.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS file_there")
        cursor.execute(queries("handover")["expect_files"])
        copy_rows(source, target, query, values, "file_there", "file_id, sha256, size, media_type, name")
        cursor.execute(queries("handover")["adopt_files"])
        cursor.execute(queries("handover")["rename_files"].format(column=name))
