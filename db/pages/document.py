"""Reading databases for the pages, and refusing one that is not what the models ask for."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from sqlalchemy import Connection, NullPool

from db import inventory
from db.connect import connect, engine
from db.databases import HUB, TEMPLATE, Layout, layout
from db.errors import HvenError
from db.pages import live, site
from db.pages.site import Database
from db.server import MAINTENANCE

RELEASE = "release"
DEFAULT = (HUB, "level1", RELEASE)
CLONE = "hven_docs"  # the template takes no connections, so a clone of it is read


class DatabaseDiffers(HvenError):
    """A live database is not what the models ask for, or leaves a line of LDM-151 unanswered."""

    exit_status = 14


def read(names: Iterable[str]) -> list[Database]:
    """Read databases by the names that users know; `release` is the template that releases begin as.

    A frozen release keeps the schema that it was frozen with, and is not compared.

    Raises
    ------
    DatabaseDiffers
        With one line per difference.
    """
    found: list[Database] = []
    differences: list[str] = []
    frozen = {one.name for one in inventory.databases() if one.state in ("frozen", "published", "withdrawn")}
    for name in names:
        with _opened(name) as (connection, its):
            told = [] if name in frozen else live.differences(connection, its)
            if not told:
                found.append(site.read(connection, its, name))
                told = [] if its.kind == "hub" else site.unanswered(found[-1])
            differences += [f"{name}: {one}" for one in told]
    if differences:
        lines = "".join(f"\n  {one}" for one in differences)
        raise DatabaseDiffers(f"docs: {len(differences)} differences from the models{lines}", "`hven upgrade`")
    return found


@contextmanager
def _opened(name: str) -> Iterator[tuple[Connection, Layout]]:
    """Open a database in a transaction that is rolled back."""
    if name == RELEASE:
        with _clone(), engine(CLONE, poolclass=NullPool).connect() as connection:
            yield connection, layout(TEMPLATE)
    else:
        with engine(name, poolclass=NullPool).connect() as connection:
            yield connection, layout(name)


@contextmanager
def _clone() -> Iterator[None]:
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(f"DROP DATABASE IF EXISTS {CLONE} (FORCE)")
        cursor.execute(f"CREATE DATABASE {CLONE} TEMPLATE {TEMPLATE}")
        try:
            yield
        finally:
            cursor.execute(f"DROP DATABASE {CLONE} (FORCE)")
