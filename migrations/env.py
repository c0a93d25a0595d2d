"""Alembic's environment: which tables a database should have, and how to reach it."""

from alembic import context
from sqlalchemy import NullPool

from db.connect import engine
from db.databases import OWNER
from migrations import compare


def run(connection, database: str) -> None:
    """Run migrations on an open connection, in its own transaction."""
    context.configure(connection=connection, **compare.options(connection, database))
    with context.begin_transaction():
        context.run_migrations()


attributes = context.config.attributes
if "connection" in attributes:
    run(attributes["connection"], attributes["database"])
else:
    name = context.get_x_argument(as_dictionary=True).get("database", "level1_a")
    with engine(name, poolclass=NullPool).begin() as opened:
        opened.exec_driver_sql(f"SET ROLE {OWNER}")
        run(opened, name)
