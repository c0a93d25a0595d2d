"""How a space ends or moves: archived as Parquet files, dropped, or taken to another release."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import connection

from db import users
from db.connect import MAINTENANCE, connect
from db.settings import hven_home
from federation import spaces
from federation.errors import Level3Error
from federation.sessions import as_user, job_login, queries
from federation.spaces import Terms


def archive_folder(login: str, database: str) -> Path:
    """Return the folder of a user's archived tables."""
    return hven_home() / "level3" / "archive" / login / f"{database}-{date.today():%Y-%m-%d}"


def archive(login: str, database: str) -> int:
    """Write each of a user's tables as a Parquet file; return how many."""
    from federation.exporting import export_table

    folder = archive_folder(login, database)
    folder.mkdir(parents=True, exist_ok=True)
    with as_user(database, login) as session:
        tables = _own_tables(session)
        for name, _ in tables:
            export_table(session, name, folder / f"{name}.parquet")
    return len(tables)


def _own_tables(session: connection) -> list[tuple[str, str]]:
    with session.cursor() as cursor:
        cursor.execute(queries("spaces")["own_tables"])
        return cursor.fetchall()


def close(login: str, database: str, archived: bool) -> str:
    """Take a space away, with its tables; return what was done.

    Parameters
    ----------
    archived : bool
        Whether its tables are written to `archive_folder` first.
    """
    spaces.space(database, login)
    done = (
        f"{archive(login, database)} tables archived in {archive_folder(login, database)}"
        if archived
        else "tables dropped"
    )
    _drop(login, database)
    return f"space in {database} closed, {done}"


def _drop(login: str, database: str) -> None:
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        for role in (job_login(login), login):
            cursor.execute(queries("spaces")["end_sessions"], {"login": role})
        schema = sql.Identifier(users.own_schema(login))
        cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
        cursor.execute(
            queries("spaces")["record"],
            dict.fromkeys(("quota", "expires", "reason", "cost")) | {"login": login, "what": "close"},
        )
        cursor.execute(queries("spaces")["forget"], {"login": login})
        here = sql.Identifier(session.info.dbname)
        for role in (job_login(login), login):
            reset = sql.SQL("ALTER ROLE {} IN DATABASE {} RESET search_path")
            cursor.execute(reset.format(sql.Identifier(role), here))
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["elsewhere"], {"login": login})
        if not cursor.fetchone()[0]:
            cursor.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(job_login(login))))


def expire_due(database: str) -> Iterator[tuple[str, str]]:
    """Close the spaces whose time is over, as their terms say; yield user and what was done."""
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["has_spaces"])
        if not cursor.fetchone()[0]:
            return
        cursor.execute(queries("spaces")["due"])
        due = cursor.fetchall()
    for login, afterwards in due:
        yield login, close(login, database, afterwards == "archive")


def move(login: str, source: str, target: str) -> Iterator[str]:
    """Take a user's tables to a space in another release, on the same terms; yield what was done.

    Views and functions stay behind: they may name what the other release does not have. The space that is left
    is to be closed when all is well.
    """
    from federation.exporting import export_table
    from federation.importing import import_file

    if source == target:
        raise Level3Error(f"level3: {login} is in {target} already", "name another release by --to")
    terms = spaces.space(source, login)
    reason = f"moved from {source}"
    spaces.open_space(login, target, Terms(terms.quota, terms.expires, terms.afterwards, reason))
    with as_user(source, login) as session, tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        for name, _ in _own_tables(session):
            file = Path(folder) / "table.parquet"
            export_table(session, name, file)
            with as_user(target, login) as there:
                done = import_file(there, file, name)
            yield f"{name}: {done.rows} rows in {target}"
    yield f"`hven level3 close {login} --release {source}` when all is well"
