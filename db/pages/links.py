"""Which table names rows of which: foreign keys, and links that association checks once a set."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FATE = {"CASCADE": "goes with it", "SET NULL": "becomes NULL when it goes"}


@dataclass(frozen=True)
class Link:
    """One reference from a table to another.

    Attributes
    ----------
    child, parent : str
        Qualified names of the tables.
    columns : tuple of str
        Of the child.
    is_key : bool
        A foreign key; otherwise checked once a set.
    fate : str
        What becomes of the child's row when the parent's is deleted.
    """

    child: str
    parent: str
    columns: tuple[str, ...]
    is_key: bool
    fate: str = ""


def links(relations: dict[str, dict[str, Any]]) -> list[Link]:
    """Return the links among tables as `live.relations` gives them."""
    tables = {name: facts for name, facts in relations.items() if facts["kind"] == "table"}
    return [link for name in tables for link in (*_foreign_keys(name, tables[name]), *_soft_links(name, tables))]


def _foreign_keys(name: str, facts: dict[str, Any]) -> Iterator[Link]:
    for constraint in facts["constraints"].values():
        if constraint["kind"] == "foreign":
            action = constraint["definition"].partition(" ON DELETE ")[2]
            yield Link(name, constraint["target"], tuple(constraint["columns"]), True, FATE.get(action, ""))


def _soft_links(name: str, tables: dict[str, dict[str, Any]]) -> Iterator[Link]:
    """Yield a link for each column that is called as the key of another table of its schema, or of a job or file."""
    schema = name.partition(".")[0]
    if schema == "staging":
        return
    keyed = {column for one in _foreign_keys(name, tables[name]) for column in one.columns}
    for column in tables[name]["columns"]:
        for home in dict.fromkeys((schema, "queue")):
            parent = f"{home}.{column.removesuffix('_id')}"
            known = column.endswith("_id") and column in tables.get(parent, {"columns": ()})["columns"]
            if known and parent != name and column not in keyed and primary_key(tables[name]) != [column]:
                yield Link(name, parent, (column,), False)


def primary_key(facts: dict[str, Any]) -> list[str]:
    """Return the columns of a table's primary key."""
    found = (one["columns"] for one in facts["constraints"].values() if one["kind"] == "primary")
    return next(found, [])
