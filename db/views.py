"""What the views of a catalogue show, described by the columns that they show it from."""

from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, text

from db.databases import Layout
from db.queries import queries
from db.schema.views import COMPUTED


def read(connection: Connection, layout: Layout, tables: MetaData) -> list[Table]:
    """Return the views of a database as tables, with unit, UCD and description of every column.

    The server says which column of which table each column of a view shows; a column that is computed must be
    described in `db.schema.views`.
    """
    modelled = {(name, column.name): column for name, table in tables.tables.items() for column in table.columns}
    origins = {
        (oid, number): modelled.get((f"{schema}.{table}", name))
        for oid, number, schema, table, name in connection.execute(text(queries("describe")["places"]))
    }
    found = connection.execute(text(queries("describe")["views"]), {"schemas": list(layout.schemas().values())})
    return [
        Table(name, MetaData(), *_columns(connection, name, definition, origins), schema=schema, comment=comment,
              info={"ldm": None, "view": True})
        for schema, name, comment, definition in found if name in COMPUTED
    ]


def _columns(connection: Connection, view: str, definition: str, origins: dict) -> list[Column]:
    computed = {column.name: column for column in COMPUTED[view]}
    session: Any = connection.connection.driver_connection  # psycopg2's own says where a column comes from
    with session.cursor() as cursor:
        cursor.execute(f"{definition.rstrip(';')} LIMIT 0")
        shown = [(one.name, origins.get((one.table_oid, one.table_column))) for one in cursor.description]
    return [_shown(name, origin) if origin is not None else computed[name]._copy() for name, origin in shown]


def _shown(name: str, origin: Column) -> Column:
    doc = origin.info["doc"] if name == origin.name else f"{origin.info['doc']} ({origin.table.name}.{origin.name})"
    unit = origin.info["unit"]
    return Column(name, origin.type, info=origin.info | {"doc": doc}, comment=f"{doc} [{unit}]" if unit else doc)
