"""What Alembic compares: the models of a database with what the database holds."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, NullPool, text

from db import databases
from db.connect import engine
from db.queries import queries


def options(connection: Connection, database: str) -> dict:
    """Return the options by which Alembic sees our schemas, and nothing else, of one database."""
    layout = databases.layout(database)
    partitions = set(map(tuple, connection.execute(text(queries("databases")["partitions"]))))
    # The search path begins with the catalogue; Alembic would take that for a schema without name.
    connection.dialect.default_schema_name = "public"

    def is_ours(table, name, type_, reflected, _):
        """Leave out partitions: they come with the data, not with a revision."""
        return not (type_ == "table" and reflected and (table.schema, name) in partitions)

    return {
        "target_metadata": layout.tables(),
        "version_table_schema": "hven",
        "include_schemas": True,
        "include_name": layout.includes,
        "include_object": is_ours,
        "compare_type": True,
        "compare_server_default": True,
        "layout": layout,
    }


def differences(database: str) -> list:
    """Return what would have to change in a database to make it what the models ask for."""
    with engine(database, poolclass=NullPool).connect() as connection:
        opts = options(connection, database)
        return compare_metadata(MigrationContext.configure(connection, opts=opts), opts["target_metadata"])
