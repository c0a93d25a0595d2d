"""What each role may do: `rights.yaml` brought to the databases, and to the documentation.

Run as a program it prints `docs/roles.md`.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import yaml
from psycopg2.extensions import connection

from db.databases import FROZEN_OWNER, Layout
from db.queries import queries

KINDS = ("hub", "level1", "building", "frozen", "published")
SHARED = "public"  # the schema of extensions: everybody may use it, nobody may create there

Grant = tuple[str, str, str]
"""Privilege, object and role, as GRANT writes them."""


@cache
def rules() -> dict:
    """Return `rights.yaml`."""
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())


def kind_of(layout: Layout, state: str | None = None) -> str:
    """Return the kind of a database, by its layout and the state of a release that the hub knows."""
    if layout.kind != "release":
        return layout.kind
    return {"frozen": "frozen", "withdrawn": "frozen", "published": "published"}.get(state or "", "building")


def group_of(schema: str, table: str) -> str:
    """Return the group of a table, by the logical name of its schema."""
    groups = rules()["groups"]
    found = (group for name in (f"{schema}.{table}", schema) for group in groups if name in groups[group])
    return next(found)


def own(kind: str, group: str) -> dict[str, tuple[str, ...]]:
    """Return what each role may do with a group of tables, role → privileges; `database` is a group too."""
    cells = rules()["rights"][kind].get(group, {})
    return {role: tuple(cell.split(", ")) for role, cell in cells.items()}


def effective(kind: str, group: str, role: str) -> tuple[str, ...]:
    """Return what a role may do with a group of tables, with what it may as a member of other roles."""
    roles = (role, *rules()["members"].get(role, ()))
    return tuple(dict.fromkeys(right for one in roles for right in own(kind, group).get(one, ())))


def wanted(layout: Layout, kind: str, relations: Iterable[tuple[str, str, str]]) -> set[Grant]:
    """Return all that should be granted in a database.

    Parameters
    ----------
    layout : Layout
        The database.
    kind : str
        One of `KINDS`.
    relations : iterable of (str, str, str)
        Schema, name and `TABLE schema.name` of each table and view.
    """
    logical = {real: name for name, real in layout.schemas().items()}
    grants = set(_grants(f"DATABASE {layout.database}", own(kind, "database")))
    grants.add(("USAGE", f"SCHEMA {SHARED}", "PUBLIC"))
    for schema, table, object_ in relations:
        cells = own(kind, group_of(logical[schema], table))
        grants |= set(_grants(object_, cells))
        grants |= set(_grants(f"SCHEMA {schema}", dict.fromkeys(cells, ("USAGE",))))
    return grants


def _grants(object_: str, cells: dict[str, tuple[str, ...]]) -> Iterator[Grant]:
    return ((privilege, object_, f"hven_{role}") for role, cell in cells.items() for privilege in cell)


def difference(session: connection, layout: Layout, kind: str) -> tuple[set[Grant], set[Grant]]:
    """Return what a database grants beyond `rights.yaml`, and what it fails to grant."""
    names = list(layout.schemas().values())
    roles = [*(f"hven_{role}" for role in rules()["roles"]), FROZEN_OWNER]
    with session.cursor() as cursor:
        cursor.execute(queries("rights")["relations"], {"schemas": names})
        due = wanted(layout, kind, cursor.fetchall())
        cursor.execute(queries("rights")["present"], {"schemas": [*names, SHARED], "roles": roles})
        present = set(cursor)
    return present - due, due - present


def apply(session: connection, layout: Layout, kind: str | None = None) -> int:
    """Bring the GRANTs of one database in line with `rights.yaml`; the caller commits.

    Parameters
    ----------
    session : connection
        Of a superuser, to that database.
    layout : Layout
        The database.
    kind : str, optional
        One of `KINDS`; default what the layout says of a database that is not frozen.

    Returns
    -------
    int
        How many privileges were taken away or given; 0 if all was as it should be.
    """
    kind = kind or kind_of(layout)
    taken, _ = difference(session, layout, kind)
    _execute(session, (f"REVOKE {privilege} ON {object_} FROM {role}" for privilege, object_, role in taken))
    _, given = difference(session, layout, kind)  # again: taking a table's right takes its columns' too
    _execute(session, (f"GRANT {privilege} ON {object_} TO {role}" for privilege, object_, role in given))
    return len(taken) + len(given)


def give(session: connection, schemas: Iterable[str], owner: str) -> None:
    """Make one role the owner of schemas, and of every table and partition in them; the caller commits."""
    with session.cursor() as cursor:
        cursor.execute(queries("rights")["ownership"], {"schemas": list(schemas), "owner": owner})
        statements = [statement for (statement,) in cursor]
    _execute(session, statements)


def _execute(session: connection, statements: Iterable[str]) -> None:
    if text := ";\n".join(sorted(statements)):
        with session.cursor() as cursor:
            cursor.execute(text)


def markdown() -> str:
    """Return the documentation: who may do what in which database."""
    known = rules()
    people = [role for role in known["roles"] if role != "owner"]
    parts = ["# Roles", _INTRODUCTION, _table(("role", "what it is for"), known["roles"].items()), _FUNCTIONS]
    for kind in KINDS:
        groups = known["rights"][kind]
        rows = [(group, *(", ".join(effective(kind, group, role)) or "–" for role in people)) for group in groups]
        parts += [f"## {known['kinds'][kind]}", _table(("", *people), rows)]
    parts += ["## Groups of tables", _GROUPS]
    parts.append(_table(("group", "tables"), ((name, ", ".join(of)) for name, of in known["groups"].items())))
    names = list(dict.fromkeys(name for of in known["limits"].values() for name in of))
    rows = [(role, *(str(of.get(name, "–")) for name in names)) for role, of in known["limits"].items()]
    return "\n\n".join([*parts, "## Limits of a login", _LIMITS, _table(("role", *names), rows)]) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_INTRODUCTION = """\
Made from `db/rights.yaml` by `python -m db.rights`; `./hven upgrade` gives these rights and takes away all others.
Each role is a group, `hven_scientist` and so on; `./hven user add NAME --role scientist` makes a login that is a
member of it. Every cell below is proven by a real login in `tests/db/test_rights.py`."""

_FUNCTIONS = """\
Functions in the schema `hven` may be executed by those whom the head of their file in `udf/` names. PUBLIC, the
role of everybody, gets nothing: no database, no large objects, no advisory locks that outlive a transaction.
Partitions are reached through their parents only. The owner of what is frozen is `hven_frozen`, which has no
members, so that only the superuser can change it; the queue of a frozen database goes on."""

_GROUPS = """\
A schema's name stands for its tables that no other group names. `catalogue` is the schema that carries the name
of the database: `level1`, `dr1` and so on."""

_LIMITS = """\
Set at login. Of those that a user can set for a session, the watchdog (`./hven watchdog`, started by `./hven up`)
enforces the first three: it cancels overlong statements, and ends overlong transactions and sessions that are idle in
one. Times are in seconds; – is no limit."""

if __name__ == "__main__":
    print(markdown(), end="")
