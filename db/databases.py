"""The databases that Hven keeps: what each should hold, and how it is made and brought up to date.

`hub` knows the others. `level1` is a name that points to `level1_a` or `level1_b`. `release_template` is cloned
to begin a Data Release.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the verbs that start quickly know the names only: the models take their time
    from sqlalchemy import MetaData

    from db.partitions import Plan

OWNER = "hven_owner"
FROZEN_OWNER = "hven_frozen"
HUB = "hub"
LEVEL1 = ("level1_a", "level1_b")
TEMPLATE = "release_template"
ROOT = Path(__file__).resolve().parent.parent
RELEASE_NAME = re.compile(r"(dr[1-9][0-9]?|bootstrap|mini_[a-z0-9_]{1,40})")


@dataclass(frozen=True)
class Layout:
    """What one database holds.

    Parameters
    ----------
    database : str
        Name of the PostgreSQL database.
    kind : str
        hub, level1 or release; functions are deployed by it.
    catalogue : str
        Schema of the catalogue (in the hub: `hub`).
    plan : ByTime or ByTile, optional
        How measurements are partitioned; None in the hub.
    """

    database: str
    kind: str
    catalogue: str
    plan: "Plan | None"

    @property
    def branch(self) -> str:
        """Alembic's branch of the database."""
        return "hub" if self.kind == "hub" else "science"

    @property
    def is_mini(self) -> bool:
        """Whether it is a mini Data Release, with truth tables."""
        return self.catalogue.startswith("mini_")

    def tables(self) -> "MetaData":
        """Return the tables that the models ask for."""
        from db import schema

        return schema.hub() if self.plan is None else schema.science(self.catalogue, self.plan, self.is_mini)

    def schemas(self) -> dict[str, str]:
        """Return the schemas of the database, logical name to real name."""
        from db import schema

        names = schema.HUB if self.kind == "hub" else schema.SCIENCE + (("synthetic",) if self.is_mini else ())
        return {name: self.catalogue if name == "catalogue" else name for name in names}

    def includes(self, name: str | None, type_: str, _parents: dict) -> bool:
        """Tell Alembic which schemas are ours."""
        return type_ != "schema" or name in self.schemas().values()


def layout(database: str) -> Layout:
    """Return what a database of this name holds."""
    from db.partitions import ByTile, ByTime

    if database == HUB:
        return Layout(database, "hub", "hub", None)
    if database.startswith("level1"):
        return Layout(database, "level1", "level1", ByTime())
    if database == TEMPLATE:
        return Layout(database, "release", "release", ByTile())
    return Layout(database, "release", database, ByTile())


def search_path(database: str) -> Iterable[str]:
    """Return the search path that connections to a database begin with."""
    return (layout(database).catalogue, "hven", "public")
