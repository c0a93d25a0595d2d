"""Tables and results of queries → files, in pieces."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import connection
from pyarrow import csv as arrow_csv

from db.load import described
from db.queries import queries as of_the_hub
from federation import formats
from federation.columns import Field, is_list
from federation.errors import Level3Error
from federation.formats import Sink
from federation.sessions import queries
from federation.spaces import refusals

SCALARS = {
    16: pa.bool_(), 17: pa.large_binary(), 18: pa.string(), 19: pa.string(), 20: pa.int64(), 21: pa.int16(),
    23: pa.int32(), 25: pa.string(), 26: pa.int64(), 700: pa.float32(), 701: pa.float64(), 1042: pa.string(),
    1043: pa.string(), 1082: pa.timestamp("us"), 1114: pa.timestamp("us"), 1184: pa.timestamp("us", "UTC"),
    1700: pa.float64(), 2950: pa.string(),
}  # fmt: skip
"""oid of a type → type of the values; others go as text."""
ARRAYS = {
    1000: pa.bool_(),
    1005: pa.int16(),
    1007: pa.int32(),
    1016: pa.int64(),
    1021: pa.float32(),
    1022: pa.float64(),
}
BLOCK = 4 << 20  # bytes
BACK = {
    "int8": pa.int8(), "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(),
    "halffloat": pa.float16(), "unsignedByte": pa.uint8(),
}  # fmt: skip
"""Types that the database stored wider, by their names in files."""


def export_table(session: connection, name: str, path: Path) -> int:
    """Write a table to a file as it was imported: with its columns' names, types, units and UCDs; return the rows.

    Parameters
    ----------
    name : str
        A product of the session's user, else any table that it may read, such as dr2.object.
    """
    with session.cursor() as cursor, refusals():
        cursor.execute(queries("import")["find"], {"name": name})
        found = cursor.fetchone()
        if not found:
            return export_query(session, f"SELECT * FROM {name}", path)
        relation, description = found
        cursor.execute(queries("import")["was"], {"name": name})
        was = [row for row in cursor if not row[-1]]
        columns = ", ".join(_quoted(row[0]) for row in was) or "*"
        return export_query(
            session, f"SELECT {columns} FROM {relation}", path, {row[0]: row for row in was}, description
        )


def export_query(
    session: connection, query: str, path: Path, was: dict[str, tuple] | None = None, description: str | None = None
) -> int:
    """Write the rows of a query to a file, whose ending tells the format; return how many.

    The file appears under its name when it is complete.
    """
    module = formats.module(path)
    query = query.strip().rstrip(";")
    part = path.with_name(f".unfinished-{path.name}")
    with refusals():
        fields = _fields(session, query, was or {})
        sink = _sink(session, query, fields, description)
        try:
            module.write(part, sink, _batches(session, query, fields))
            _rename(part, path)
        finally:
            for left in (part, part.with_name(part.name + ".json")):
                left.unlink(missing_ok=True)
    return sink.rows


def _rename(part: Path, path: Path) -> None:
    side = part.with_name(part.name + ".json")
    if side.exists():
        side.replace(path.with_name(path.name + ".json"))
    part.replace(path)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _fields(session: connection, query: str, was: dict[str, tuple]) -> list[Field]:
    with session.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({query}) AS q LIMIT 0")
        columns = cursor.description
        tables = {column.table_oid for column in columns if column.table_oid}
        comments = {}
        if tables:
            cursor.execute(of_the_hub("catalogue")["column_comments"], {"tables": list(tables)})
            comments = {(oid, number): text for oid, number, text in cursor}
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise Level3Error(
            f"level3: the query returns the columns {', '.join(names)}", "give each a name of its own with AS"
        )
    return [
        _field(column, described(comments.get((column.table_oid, column.table_column))), was.get(column.name))
        for column in columns
    ]


def _field(column, about: tuple, was: tuple | None) -> Field:
    oid = column.type_code
    type_ = pa.large_list(ARRAYS[oid]) if oid in ARRAYS else SCALARS.get(oid, pa.string())
    if not was:
        return Field(column.name, type_, "", about[1], None, about[0], column.name)
    _, original, kind, unit, ucd, description, _ = was
    return Field(
        original or column.name, _as_it_was(type_, kind or ""), kind or "", unit, ucd, description, column.name
    )


def _as_it_was(type_: pa.DataType, kind: str) -> pa.DataType:
    """Return the type that values had before they were stored in a wider one."""
    inner = type_.value_type if is_list(type_) else type_
    word = kind.removeprefix("list<item: ").removeprefix("large_list<item: ").split(">")[0].split("[")[0].split(" ")[0]
    narrow = BACK.get(word, inner)
    if pa.types.is_integer(inner) and word.lstrip("0123456789") == "B":
        narrow = pa.uint8()
    return pa.large_list(narrow) if is_list(type_) else narrow


def _sink(session: connection, query: str, fields: list[Field], description: str | None) -> Sink:
    """Count the rows, and measure what a format must know before the first one."""
    measures = ["count(*)"]
    for one in fields:
        column = _quoted(one.name)
        measures.append(f"bool_or({column} IS NULL)")
        length = f"cardinality({column})" if is_list(one.type) else f"octet_length({column}::text)"
        text = one.type in (pa.string(), pa.large_binary()) or pa.types.is_timestamp(one.type)
        measures.append(f"max({length})" if is_list(one.type) or text else "0")
    with session.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(measures) + f" FROM ({query}) AS q")
        rows, *found = cursor.fetchone()
    null = {one.name for one, some in zip(fields, found[::2], strict=True) if some}
    widths = {one.name: width or 1 for one, width in zip(fields, found[1::2], strict=True)}
    return Sink(fields, rows, widths, null, description)


def _batches(session: connection, query: str, fields: list[Field]) -> Iterator[pa.Table]:
    """Read the rows by COPY, in a thread, as CSV: floats come with all their digits, NULL is told from ''."""
    columns = ", ".join(_cell(one) for one in fields)
    reading, writing = os.pipe()
    failed: list[Exception] = []

    def copy() -> None:
        try:
            with os.fdopen(writing, "wb") as sink, session.cursor() as cursor:
                cursor.copy_expert(f"COPY (SELECT {columns} FROM ({query}) AS q) TO STDOUT (FORMAT csv)", sink)
        except (psycopg2.Error, OSError) as error:
            failed.append(error)

    thread = Thread(target=copy)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as source:
            yield from _parsed(source, fields)
    finally:
        thread.join()
    if failed:
        raise failed[0]


def _cell(one: Field) -> str:
    column = _quoted(one.name)
    if is_list(one.type):
        return f"to_json({column})"
    if pa.types.is_timestamp(one.type) and one.type.tz:
        return f"{column} AT TIME ZONE 'UTC'"
    if one.type == pa.string():
        return f"{column}::text"
    return column


def _parsed(source, fields: list[Field]) -> Iterator[pa.Table]:
    names = [str(number) for number in range(len(fields))]
    plain = {name: _read_as(one) for name, one in zip(names, fields, strict=True)}
    try:
        reader = arrow_csv.open_csv(
            source,
            arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names),
            arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            arrow_csv.ConvertOptions(
                column_types=plain,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise
    with closing(reader):
        for batch in reader:
            columns = [_made(column, one) for column, one in zip(batch.columns, fields, strict=True)]
            yield pa.Table.from_arrays(columns, [one.original for one in fields])


def _read_as(one: Field) -> pa.DataType:
    if is_list(one.type) or one.type == pa.large_binary():
        return pa.string()
    return (
        pa.timestamp("us")
        if pa.types.is_timestamp(one.type)
        else one.type
        if one.type != pa.float16()
        else pa.float32()
    )


def _made(column: pa.Array, one: Field) -> pa.Array:
    import json

    if is_list(one.type):
        return pa.array([None if text is None else json.loads(text) for text in column.to_pylist()], one.type)
    if one.type == pa.large_binary():
        return pa.array([None if text is None else bytes.fromhex(text[2:]) for text in column.to_pylist()], one.type)
    if pa.types.is_timestamp(one.type) and one.type.tz:
        return pc.assume_timezone(column, "UTC")
    return column.cast(one.type)
