"""What the database says of itself: COMMENTs and TAP_SCHEMA, written from the models."""

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    insert,
    text,
)
from sqlalchemy.schema import SetColumnComment, SetConstraintComment, SetTableComment

from db import views
from db.databases import Layout
from db.queries import queries
from db.schema import SCHEMA_DOCS

VOTABLE = {
    BigInteger: "long", Integer: "int", SmallInteger: "short", Double: "double", REAL: "float",
    Boolean: "boolean", LargeBinary: "unsignedByte",
}


def describe(connection: Connection, layout: Layout) -> None:
    """Bring the COMMENTs and TAP_SCHEMA of a database up to date with the models."""
    tables = layout.tables()
    relations = [*tables.sorted_tables, *views.read(connection, layout, tables)]
    for logical, schema in layout.schemas().items():
        connection.exec_driver_sql(f"COMMENT ON SCHEMA {schema} IS %s", (SCHEMA_DOCS[logical],))
    comment(connection, relations)
    connection.execute(tables.tables["tap_schema.schemas"].delete())  # the others follow
    for name, rows in tap_rows(layout, relations).items():
        connection.execute(insert(tables.tables[f"tap_schema.{name}"]), rows)


def qualified(table: Table) -> str:
    """Return the name by which TAP_SCHEMA and users know a table."""
    return f"{table.schema}.{table.name}"


def votable_type(column: Column) -> tuple[str, str | None, str | None]:
    """Return datatype, arraysize and xtype of a column in VOTable's terms."""
    type_ = column.type
    if isinstance(type_, ARRAY):
        return (*votable_type(Column(type_.item_type))[:1], "*", None)
    for known, name in VOTABLE.items():
        if isinstance(type_, known) and not (known is Integer and isinstance(type_, BigInteger | SmallInteger)):
            return name, "*" if known is LargeBinary else None, None
    xtype = {"TIMESTAMP": "timestamp", "spoly": "polygon"}.get(type(type_).__name__.removeprefix("_"))
    return "char", "*", xtype


def vounit(unit: str) -> str:
    """Return a unit as VOUnit writes it: in quotes what it does not define."""
    return unit.replace("electron", "'electron'")


def comment(connection: Connection, relations: list[Table]) -> None:
    """Set the COMMENTs of tables or views, their columns and their checks, where they differ."""
    present = {
        (schema, table, part): words
        for schema, table, part, words in connection.execute(text(queries("describe")["comments"]))
    }
    for table in relations:
        if present.get((table.schema, table.name, None)) != table.comment:
            connection.execute(SetTableComment(table))
        for column in table.columns:
            if present.get((table.schema, table.name, column.name)) != column.comment:
                connection.execute(SetColumnComment(column))
        for constraint in filter(lambda one: one.comment, table.constraints):
            if present.get((table.schema, table.name, str(constraint.name))) != constraint.comment:
                connection.execute(SetConstraintComment(constraint))


def tap_rows(layout: Layout, relations: list[Table]) -> dict[str, list[dict]]:
    """Return the rows of TAP_SCHEMA's tables, which describe some tables and views."""
    keys = [(table, key) for table in relations for key in table.foreign_key_constraints]
    return {
        "schemas": [
            {"schema_name": schema, "description": SCHEMA_DOCS[logical], "schema_index": index}
            for index, (logical, schema) in enumerate(layout.schemas().items())
        ],
        "tables": [
            {"schema_name": table.schema, "table_name": qualified(table),
             "table_type": "view" if table.info.get("view") else "table",
             "description": table.comment, "table_index": index}
            for index, table in enumerate(relations)
        ],
        "columns": [row for table in relations for row in _columns(table)],
        "keys": [
            {"key_id": f"{table.schema}.{key.name}", "from_table": qualified(table),
             "target_table": qualified(key.referred_table)}
            for table, key in keys
        ],
        "key_columns": [
            {"key_id": f"{table.schema}.{key.name}", "from_column": part.parent.name, "target_column": part.column.name}
            for table, key in keys for part in key.elements
        ],
    }


def _columns(table: Table) -> list[dict]:
    leading = {next(iter(index.columns)).name for index in table.indexes if len(index.columns)}
    leading |= {column.name for column in list(table.primary_key.columns)[:1]}
    rows = []
    for index, column in enumerate(table.columns):
        datatype, arraysize, xtype = votable_type(column)
        rows.append({
            "table_name": qualified(table), "column_name": column.name, "datatype": datatype,
            "arraysize": arraysize, "xtype": xtype, "description": column.info["doc"],
            "unit": vounit(column.info["unit"]),
            "ucd": column.info["ucd"], "indexed": int(column.name in leading), "principal": 1, "std": 0,
            "column_index": index, "ldm": column.info["ldm"],
        })
    return rows
