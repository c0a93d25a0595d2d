"""Running a `.sql` file from a revision."""

from contextlib import closing
from pathlib import Path

from alembic import op
from sqlalchemy import Connection

VERSIONS = Path(__file__).parent / "versions"


def layout():
    """Return the layout (`db.databases.Layout`) of the database under migration."""
    return op.get_context().opts["layout"]


def execute(connection: Connection, statements: str) -> None:
    """Execute SQL as it stands: past SQLAlchemy, a per cent sign is a per cent sign."""
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statements)


def run(*names: str) -> None:
    """Execute SQL files of `versions/`, with `:catalogue` replaced by the catalogue's schema."""
    for name in names:
        statements = (VERSIONS / f"{name}.sql").read_text()
        execute(op.get_bind(), statements.replace(":catalogue", layout().catalogue))
