"""Fresh copies of a database."""

from contextlib import closing, contextmanager

from db.connect import connect

WARM = (
    "SELECT public.pg_prewarm(oid) FROM pg_class WHERE relkind IN ('r', 'i')"
    " AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
)


@contextmanager
def copied(database: str, copy: str | None = None):
    """Copy a database, with its rows in memory, and drop the copy at the end; yield its name."""
    copy = copy or f"{database}_copy"
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(f"DROP DATABASE IF EXISTS {copy} WITH (FORCE)")  # a run that was interrupted leaves one
        cursor.execute(f"CREATE DATABASE {copy} TEMPLATE {database} STRATEGY file_copy")
        cursor.execute(f"ALTER DATABASE {copy} SET search_path = level1, hven, public")  # a copy has no settings
        try:
            with closing(connect(copy)) as warm, warm, warm.cursor() as within:
                within.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm SCHEMA public")
                within.execute(WARM)
            yield copy
        finally:
            cursor.execute(f"DROP DATABASE {copy} WITH (FORCE)")
