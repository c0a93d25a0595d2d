"""What the database knows of itself: the functions that were deployed, and TAP_SCHEMA (IVOA TAP 1.1)."""

from sqlalchemy import ForeignKey, Integer, PrimaryKeyConstraint, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from db.columns import NOW, column, table


def text_column(name: str, doc: str, *constraints, **options):
    """Return a column of metadata."""
    return column(name, Text, *constraints, unit="", ucd="meta", doc=doc, **options)


function_manifest = table(
    "function_manifest", "hven",
    text_column("name", "Function file, without its ending", primary_key=True),
    text_column("sha256", "Checksum of the assembled text", nullable=False),
    text_column("minimum_revision", "Schema revision that it needs at least", nullable=False),
    column("deployed_at", TIMESTAMP(timezone=True), unit="", ucd="time", nullable=False, server_default=NOW, doc="When"),
    doc="Functions that were deployed here",
)

schemas = table(
    "schemas", "tap_schema",
    text_column("schema_name", "Name of the schema", primary_key=True),
    text_column("utype", "Utype"),
    text_column("description", "What it holds"),
    column("schema_index", Integer, unit="", ucd="meta.number", doc="Order of display"),
    doc="Schemas, by TAP 1.1",
)

tables = table(
    "tables", "tap_schema",
    text_column("schema_name", "Its schema", ForeignKey("tap_schema.schemas.schema_name", ondelete="CASCADE"), nullable=False),
    text_column("table_name", "Qualified name of the table", primary_key=True),
    text_column("table_type", "table or view", nullable=False),
    text_column("utype", "Utype"),
    text_column("description", "What it holds"),
    column("table_index", Integer, unit="", ucd="meta.number", doc="Order of display"),
    doc="Tables, by TAP 1.1",
)

columns = table(
    "columns", "tap_schema",
    text_column("table_name", "Its table", ForeignKey("tap_schema.tables.table_name", ondelete="CASCADE"), nullable=False),
    text_column("column_name", "Name of the column", nullable=False),
    text_column("datatype", "VOTable datatype", nullable=False),
    text_column("arraysize", "VOTable arraysize"),
    text_column("xtype", "DALI xtype"),
    text_column("description", "What it holds"),
    text_column("utype", "Utype"),
    text_column("unit", "VOUnit"),
    text_column("ucd", "UCD1+"),
    column("indexed", Integer, unit="", ucd="meta.code", nullable=False, doc="1 if an index leads with it"),
    column("principal", Integer, unit="", ucd="meta.code", nullable=False, doc="1 if it is shown by default"),
    column("std", Integer, unit="", ucd="meta.code", nullable=False, doc="1 if a standard defines it"),
    column("column_index", Integer, unit="", ucd="meta.number", doc="Order of display"),
    text_column("ldm", "Table and line of LDM-151 that it answers"),
    PrimaryKeyConstraint("table_name", "column_name"),
    doc="Columns, by TAP 1.1",
)

keys = table(
    "keys", "tap_schema",
    text_column("key_id", "Name of the foreign key", primary_key=True),
    text_column("from_table", "Table that refers", ForeignKey("tap_schema.tables.table_name", ondelete="CASCADE"), nullable=False),
    text_column("target_table", "Table referred to", ForeignKey("tap_schema.tables.table_name", ondelete="CASCADE"), nullable=False),
    text_column("description", "What it means"),
    text_column("utype", "Utype"),
    doc="Foreign keys, by TAP 1.1",
)

key_columns = table(
    "key_columns", "tap_schema",
    text_column("key_id", "The foreign key", ForeignKey("tap_schema.keys.key_id", ondelete="CASCADE"), nullable=False),
    text_column("from_column", "Column that refers", nullable=False),
    text_column("target_column", "Column referred to", nullable=False),
    PrimaryKeyConstraint("key_id", "from_column"),
    doc="Columns of foreign keys, by TAP 1.1",
)
