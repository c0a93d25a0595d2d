"""Arrays → tables: the loader. Binary COPY, packed by numpy while the chunk before is being sent."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import psycopg2
from psycopg2.extras import NamedTupleCursor

from db.cells import Column, LoadError, Values, blocks
from db.pack import Cells, pack
from db.queries import queries

CHUNK = 2_000  # rows that are packed at once, while as many are sent; their bytes fit the cache

REMEDIES = {
    "53100": ("the disk of the database is full", "make room, then load again"),
    "23505": ("a row of this batch is there already", "remove it, or DELETE what an earlier run left"),
    "23514": ("a row of this batch breaks a rule of the table", "correct the values"),
    "23503": ("a row of this batch refers to a row that does not exist", "load the other table first"),
    "22021": ("a text holds what is no character", "remove NUL characters"),
    "42501": ("the role may not load into this table", "connect as a role that may, such as hven_worker"),
}
"""SQLSTATE → what it means to a loader, and what to do."""


class Digest(NamedTuple):
    """What a batch can be told by: how many rows, and the exclusive or of ids and of places.

    The exclusive ors are SQL's `bit_xor`; None for a table without such a column, 0 for no rows.
    """

    rows: int
    id_xor: int | None
    healpix29_xor: int | None


@dataclass(frozen=True)
class LoadReport:
    """What was loaded."""

    table: str
    rows: int
    digest: Digest


def load(connection, table: str, data, *, chunk: int = CHUNK) -> LoadReport:
    """Load rows into a table, all of them or none.

    The caller's transaction stays open, and usable after an error; in autocommit mode the load is a
    transaction of its own.

    Parameters
    ----------
    connection : psycopg2 connection
    table : str
        Its name, qualified by its schema: ``staging.dia_source``.
    data : structured array, astropy Table, Arrow table or mapping of str to array
        Columns by name, in any order; those that are absent get their default, or NULL. Masked values,
        NaN and NaT become NULL; times are UTC. A column that has a unit is converted to the one that the
        table declares in its COMMENT.
        Text, bytea, jsonb (as text) and ragged arrays come as object arrays or Arrow columns.
    chunk : int
        Rows that are packed at once.

    Returns
    -------
    LoadReport
        The count and digest that a reader of the table can compare.

    Raises
    ------
    LoadError
        Unknown or missing columns; a wrong dtype or shape; a position off the sky, an infinity, NULL in a
        NOT NULL column; a duplicate id; a full disk, and what else the server refuses. Nothing is stored.
    """
    columns = table_columns(connection, table)
    given = _given(data)
    _check_names(table, columns, given)
    values = {name: _in_unit(columns[name], got) for name, got in given.items()}
    rows = _rows(table, values)
    cells = blocks(columns, values)
    digest = _digest(table, columns, values, rows)
    if rows:
        try:
            _send(connection, next(iter(columns.values())).relation, cells, rows, chunk)
        except LoadError:
            _tables.pop(connection, None)  # the table may have been altered since it was looked up
            raise
    return LoadReport(table, rows, digest)


_tables: WeakKeyDictionary[Any, dict[str, dict[str, Column]]] = WeakKeyDictionary()


def table_columns(connection, table: str) -> dict[str, Column]:
    """Return the columns of a table by name; looked up once a connection."""
    known = _tables.setdefault(connection, {})
    if table not in known:
        with connection.cursor(cursor_factory=NamedTupleCursor) as cursor:
            cursor.execute(queries("catalogue")["table_columns"], {"table": table})
            found = [row._asdict() for row in cursor.fetchall()]
        if not found:
            raise LoadError(f"table {table} does not exist here", "qualify its name by its schema")
        known[table] = {row["name"]: Column(unit=described(row.pop("comment"))[1], **row) for row in found}
    return known[table]


def described(comment: str | None) -> tuple[str | None, str | None]:
    """Return description and unit of a column from its comment, which ends in ``[unit]`` if it has one."""
    found = re.fullmatch(r"(.*?)\s*\[([^][]+)\]", comment or "", re.DOTALL)
    return (found[1], found[2]) if found else (comment, None)


def _given(data) -> dict[str, Values]:
    """Return the columns of the input, whatever its form."""
    if isinstance(data, np.ndarray) and data.dtype.names:
        return {name: _from_numpy(data[name]) for name in data.dtype.names}
    if hasattr(data, "colnames"):
        return {name: _from_astropy(data[name]) for name in data.colnames}
    if hasattr(data, "column_names"):
        return {name: _from_arrow(data[name]) for name in data.column_names}
    if isinstance(data, Mapping):
        return {name: _from_numpy(np.ma.asanyarray(values)) for name, values in data.items()}
    raise LoadError(
        f"got {type(data).__name__}; allowed are structured arrays, astropy Tables and Arrow tables",
        "convert the rows before loading",
    )


def _from_numpy(column) -> Values:
    mask = np.ma.getmask(column)
    return Values(np.asarray(column), None if mask is np.ma.nomask else mask)


def _from_astropy(column) -> Values:
    plain = getattr(column, "unmasked", column)
    return Values(np.asarray(plain), getattr(column, "mask", None), getattr(column, "unit", None))


def _from_arrow(column) -> Values:
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not (pa.types.is_primitive(array.type) or pa.types.is_boolean(array.type)):
        return Values(array)
    if not array.null_count:
        return Values(array.to_numpy(zero_copy_only=False))
    missing = array.is_null().to_numpy(zero_copy_only=False)
    zero = pa.scalar(0, pa.int64()).cast(array.type)
    return Values(array.fill_null(zero).to_numpy(zero_copy_only=False), missing)


def _in_unit(column: Column, values: Values) -> Values:
    """Return the values in the unit that the table declares, when both units are known."""
    if values.unit is None or column.unit is None:
        return values
    from astropy import units

    try:
        declared = units.Unit(column.unit)
        if values.unit == declared:
            return values
        return Values(units.Quantity(values.array, values.unit).to_value(declared), values.missing)
    except (ValueError, units.UnitConversionError, TypeError) as error:
        raise column.refuse(f"is in {column.unit}, got {values.unit}", "convert or drop the unit") from error


def _check_names(table: str, columns: dict[str, Column], given: dict[str, Values]):
    if textual := next((column for column in columns.values() if not column.is_binary), None):
        raise textual.refuse(
            "has no binary form, which keeps all its table from a binary COPY", "load the table through queries"
        )
    allowed = [name for name, column in columns.items() if not column.is_generated]
    if unknown := [name for name in given if name not in allowed]:
        raise LoadError(
            f"{table} has no column {', '.join(unknown)} to load; it has {', '.join(allowed)}",
            "rename or drop these columns",
        )
    needed = (name for name in allowed if columns[name].not_null and not columns[name].has_default)
    if missing := [name for name in needed if name not in given]:
        raise LoadError(f"{table} needs the column {', '.join(missing)}", "add what is missing")


def _rows(table: str, values: dict[str, Values]) -> int:
    lengths = {name: len(got.array) for name, got in values.items()}
    if len(set(lengths.values())) > 1:
        raise LoadError(f"{table} got columns of different lengths {lengths}", "give all the same rows")
    return next(iter(lengths.values()), 0)


def _digest(table: str, columns: dict[str, Column], values: dict[str, Values], rows: int) -> Digest:
    own = f"{table.rpartition('.')[2]}_id"
    candidates = [own, "id", *(name for name, column in columns.items() if column.is_key)]
    key = next((name for name in candidates if name in columns and columns[name].type == "int8"), "")
    if key in values and (columns[key].is_key or table.startswith("staging.")):  # which has no key of its own
        ordered = np.sort(_present(values[key]))
        if (same := ordered[1:][ordered[1:] == ordered[:-1]]).size:
            raise columns[key].refuse(f"got {same[0]} twice, {same.size} duplicates in all", "remove the duplicates")
    return Digest(rows, _xor(values.get(key)), _xor(values.get("healpix29")))


def _xor(values: Values | None) -> int | None:
    return None if values is None else int(np.bitwise_xor.reduce(_present(values).astype(np.int64, copy=False)))


def _present(values: Values) -> np.ndarray:
    return values.array if values.missing is None else values.array[~values.missing]


class _Ahead:
    """The file that psycopg2 reads: the next piece is made while the one before is sent.

    Both numpy and libpq let go of Python's lock meanwhile.
    """

    def __init__(self, pieces: Iterator[bytes], pool: ThreadPoolExecutor):
        self.error: Exception | None = None
        self._pieces, self._pool = pieces, pool
        self._next = pool.submit(next, pieces, b"")

    def read(self, _size: int) -> bytes:
        try:
            piece = self._next.result()
        except Exception as error:
            self.error = error  # psycopg2 would show only its text
            raise
        self._next = self._pool.submit(next, self._pieces, b"")
        return piece


def _send(connection, relation: str, cells: list[Cells], rows: int, chunk: int):
    names = ", ".join('"' + name.replace('"', '""') + '"' for block in cells for name in block.names)
    with ThreadPoolExecutor(1) as pool, connection.cursor() as cursor:
        source = _Ahead(pack(cells, rows, chunk), pool)
        try:
            with _all_or_nothing(connection, cursor):
                cursor.copy_expert(f"COPY {relation} ({names}) FROM STDIN (FORMAT binary)", source)
        except psycopg2.Error as error:
            raise source.error or _refused(relation, connection, error) from error


@contextmanager
def _all_or_nothing(connection, cursor):
    """Take back what was done inside if it fails, and leave the caller's transaction usable."""
    if connection.autocommit:
        yield
        return
    cursor.execute("SAVEPOINT hven_load")
    try:
        yield
    except Exception:
        if not connection.closed:
            cursor.execute("ROLLBACK TO hven_load")
        raise
    cursor.execute("RELEASE hven_load")


def _refused(relation: str, connection, error: psycopg2.Error) -> LoadError:
    said = " ".join(filter(None, (error.diag.message_primary, error.diag.message_detail))) or str(error)
    if connection.closed:
        problem, remedy = "the server ended the connection", "look at its log, then load again"
    else:
        problem, remedy = REMEDIES.get(error.pgcode, ("the server refused the batch", "correct the values"))
    return LoadError(f"{relation}: {problem} ({said.strip().rstrip('.')})".replace("\n", " "), remedy)
