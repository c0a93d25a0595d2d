"""Frozen releases: their rows belong to a role that nobody can become, so that only the superuser changes them."""

from contextlib import closing

from psycopg2.extensions import connection

from db import databases, rights
from db.connect import connect
from db.databases import FROZEN_OWNER, OWNER, Layout
from db.release import ReleaseError


def freeze(database: str) -> None:
    """Close the catalogue of a release to all writing; the queue goes on. Harmless if it is frozen already."""
    layout = _layout(database)
    with closing(connect(database)) as session, session:
        _hand_over(session, layout, FROZEN_OWNER)
        rights.apply(session, layout, "frozen")


def thaw(database: str) -> None:
    """Open a frozen release to building again."""
    layout = _layout(database)
    with closing(connect(database)) as session, session:
        _hand_over(session, layout, OWNER)
        rights.apply(session, layout, "building")


def publish(database: str) -> None:
    """Let the public read a frozen release; a mini-DR holds synthetic objects and stays closed.

    Raises
    ------
    ReleaseError
        For a mini-DR, and for what is no release.
    """
    layout = _layout(database)
    if layout.is_mini:
        raise ReleaseError(f"release: {database} is a mini-DR, only releases are published", "publish another one")
    with closing(connect(database)) as session, session:
        rights.apply(session, layout, "published")


def _hand_over(session: connection, layout: Layout, owner: str) -> None:
    schemas = layout.schemas()
    rights.give(session, (real for name, real in schemas.items() if name != "queue"), owner)
    with session.cursor() as cursor:
        keeper = FROZEN_OWNER if owner == FROZEN_OWNER else "CURRENT_USER"  # whoever owns a database may drop it
        cursor.execute(f"ALTER DATABASE {layout.database} OWNER TO {keeper}")


def _layout(database: str) -> Layout:
    layout = databases.layout(database)
    if layout.kind != "release" or database == databases.TEMPLATE:
        raise ReleaseError(f"release: {database} is no release, only releases are frozen", "name a release")
    return layout
