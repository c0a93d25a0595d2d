"""What a live database holds, read from its own catalogues; and how that differs from the models."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Table, text

from db import ddl, describe, schema, views
from db.databases import Layout
from db.queries import queries
from db.schema import SCHEMA_DOCS, metadata

PREFIX = "hven_wanted_"
NOT_COMPARED = {"partitions"}  # they come with the data
OF_A_RELEASE = "_release_check"  # binds ids to the number of a release; no model knows it


def relations(connection: Connection, schemas: list[str]) -> dict[str, dict[str, Any]]:
    """Return the tables and views of some schemas by qualified name, each as the query `relations` describes it."""
    connection.exec_driver_sql("SET LOCAL search_path = pg_catalog")  # so that every name comes out qualified
    return dict(map(tuple, connection.execute(text(queries("pages")["relations"]), {"schemas": schemas})))


def differences(connection: Connection, layout: Layout) -> list[str]:
    """Return, one sentence each, in what a live database differs from the models.

    The models are created in schemas of other names and rolled back, so that the server compares like with like:
    types, defaults, keys, checks, indexes, partitioning, storage, COMMENTs; then TAP_SCHEMA, row by row.
    """
    tables = layout.tables()
    shown = views.read(connection, layout, tables)
    live = relations(connection, list(layout.schemas().values()))
    wanted = _wanted(connection, layout)
    for view in shown:
        name = describe.qualified(view)
        wanted[name] = live[name] | {"columns": {
            column.name: live[name]["columns"][column.name] | {"comment": column.comment} for column in view.columns
        }}
    tap = _tap_schema(connection, layout, [*tables.sorted_tables, *shown])
    silent = [f"function hven.{one.name}: has no COMMENT" for one in functions(connection) if not one.comment]
    return sorted([*_compare(live, wanted), *_compare(*_schemas(connection, layout)), *_compare(*tap), *silent])


def functions(connection: Connection) -> list:
    """Return our functions, as rows of the query `functions`."""
    return list(connection.execute(text(queries("pages")["functions"])))


def _wanted(connection: Connection, layout: Layout) -> dict[str, dict]:
    """Return what `relations` would be if the database were what the models ask for."""
    names = {logical: PREFIX + real for logical, real in layout.schemas().items()}
    tables = schema.bind(names, layout.plan)
    savepoint = connection.begin_nested()
    try:
        connection.exec_driver_sql("SET LOCAL search_path = public")
        for name in names.values():
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
        connection.exec_driver_sql(ddl.statements(tables.sorted_tables).replace("%", "%%"))
        describe.comment(connection, tables.sorted_tables)
        return {
            name.removeprefix(PREFIX): _without_prefix(facts)
            for name, facts in relations(connection, list(names.values())).items()
        }
    finally:
        savepoint.rollback()


def _without_prefix(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {name: _without_prefix(value) for name, value in facts.items()}
    return facts.replace(PREFIX, "") if isinstance(facts, str) else facts


def _schemas(connection: Connection, layout: Layout) -> tuple[dict, dict]:
    """Return the COMMENTs of the schemas as they are and as they should be."""
    wanted = {real: {"comment": SCHEMA_DOCS[logical]} for logical, real in layout.schemas().items()}
    found = connection.execute(text(queries("pages")["schemas"]), {"schemas": list(wanted)})
    return {name: {"comment": comment} for name, comment in found}, wanted


def _tap_schema(connection: Connection, layout: Layout, described: list[Table]) -> tuple[dict, dict]:
    """Return TAP_SCHEMA as it is and as it should be, row by row under a readable name."""
    live: dict[str, dict] = {}
    wanted: dict[str, dict] = {}
    for table, rows in describe.tap_rows(layout, described).items():
        keys = [column.name for column in metadata.tables[f"tap_schema.{table}"].primary_key]
        wanted |= {_row_name(table, keys, row): row for row in rows}
        for found in connection.exec_driver_sql(f"SELECT * FROM tap_schema.{table}").mappings():
            name = _row_name(table, keys, found)
            live[name] = {column: found[column] for column in wanted.get(name, found)}
    return live, wanted


def _row_name(table: str, keys: list[str], row) -> str:
    return f"tap_schema.{table} {'.'.join(row[key] for key in keys)}"


def _compare(live: dict, wanted: dict, above: str = "") -> Iterator[str]:
    """Yield what differs, each under a path such as `level1.object: columns ra type`."""
    for name in sorted(live.keys() | wanted.keys()):
        path = f"{above}{name}" + ("" if above else ":")
        here, there = live.get(name), wanted.get(name)
        if name in NOT_COMPARED or name.endswith(OF_A_RELEASE) or here == there:
            continue
        if isinstance(here, dict) and isinstance(there, dict):
            yield from _compare(here, there, f"{path} ")
        elif name not in wanted:
            yield f"{path} is there, and the models have no such thing"
        elif name not in live:
            yield f"{path} is missing"
        else:
            yield f"{path} is {here!r}, should be {there!r}"
