"""Data Releases: how a new, empty Science Database comes from the template.

CREATE DATABASE can't be rolled back, so the hub's state says `creating` until all is in place, and `begin` goes
on from wherever it was interrupted.
"""

from collections.abc import Mapping
from contextlib import closing

from psycopg2 import sql

from db import databases, ddl, inventory, metrics
from db.connect import MAINTENANCE, connect
from db.databases import HUB, OWNER, TEMPLATE
from db.errors import HvenError
from db.queries import queries


class ReleaseError(HvenError):
    """A release can't be made as asked."""

    exit_status = 6


def begin(name: str, release: int, plan: Mapping | None = None) -> None:
    """Clone the template into the Science Database of a release, ids bound to its number.

    Parameters
    ----------
    name : str
        dr1 to dr47, bootstrap, or mini_ with letters, digits and underscores; database and schema carry it.
    release : int
        Number in the ids: 0 for bootstrap, the number of a dr, 48 to 63 for a mini-DR.
    plan : mapping, optional
        Values of `hub.data_release`: what it is to be made from. Refused if the name is known already.

    Raises
    ------
    ReleaseError
        The name is taken, or does not go with the number.
    """
    kind = check_name(name, release)
    known = {"name": name, "database": name, "kind": kind, "release": release, "state": "creating"}
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("databases")["register"], known)
        new = cursor.rowcount == 1
        cursor.execute(queries("databases")["state"], {"name": name})
        found = cursor.fetchone()
        if found[:3] != (kind, release, "creating") or (plan and not new):
            raise ReleaseError(
                f"release: {name} exists already, as {found[0]} {found[1]} in state {found[2]}",
                "choose another name, or drop it first; `hven release run` goes on with what is half made",
            )
        if plan:
            cursor.execute(queries("build")["plan"], plan)
        if new:
            step = {"name": name, "from_state": None, "to_state": "creating", "reason": None}
            cursor.execute(queries("databases")["record"], step)
    clone(name, release)


def clone(name: str, release: int) -> None:
    """Clone the template under the name of a release unless that is done, ids bound to its number."""
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(queries("databases")["exists"], {"database": name})
        if not cursor.rowcount:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    _own(name, release)


def set_state(name: str, from_state: str, to_state: str, reason: str | None = None) -> None:
    """Move a Science Database on in its life, with an entry in the audit trail.

    Raises
    ------
    ReleaseError
        It is not in the state that it should come from.
    """
    step = {"name": name, "from_state": from_state, "to_state": to_state, "reason": reason}
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("databases")["set_state"], step)
        if not cursor.rowcount:
            raise ReleaseError(f"release: {name} is not {from_state}, so it can't become {to_state}", "`hven status`")
        cursor.execute(queries("databases")["record"], step)


def validate(name: str, reason: str | None = None) -> None:
    """Call a release that is built valid: its quality must have passed the gate.

    Raises
    ------
    QualityHold
        A metric with the gate `release` fails or was not measured, and nobody has accepted it.
    ReleaseError
        It is not being built.
    """
    with closing(connect(HUB)) as session, session.cursor() as cursor:
        cursor.execute(queries("databases")["state"], {"name": name})
        found = cursor.fetchone()
    if not found:
        raise ReleaseError(f"release: there is no {name}", "`hven status` lists what there is")
    with closing(connect(found[3])) as session, session.cursor() as cursor:
        metrics.hold(cursor, "release", [found[1]])
    set_state(name, "building", "validated", reason)


def check_droppable(database: str) -> None:
    """Refuse to drop what users rely on.

    Raises
    ------
    ReleaseError
        There is no such database of ours, or a name that users know points to it, or it is published or current.
    """
    there = {entry.database: entry for entry in inventory.databases()}
    if database not in there:
        names = ", ".join(name for name in there if name not in (HUB, TEMPLATE))
        raise ReleaseError(f"drop: {database} is no database of ours; there are {names}", "name one of these")
    kept = {HUB: "knows all others", TEMPLATE: "is what releases are made from"}.get(database)
    with closing(connect(HUB)) as session, session.cursor() as cursor:
        cursor.execute(queries("databases")["pointing"], {"database": database})
        for name, state, is_current in cursor:
            kept = kept or (
                f"is what {name} points to" if name not in (database, "level1_next")
                else "is the current release" if is_current
                else f"is {state}" if state in ("published", "frozen") else None
            )
    kept = kept or _level3(database)
    if kept:
        remedy = "withdraw it, let the name point elsewhere, or close the spaces, before"
        raise ReleaseError(f"drop: {database} {kept}", remedy)


def _level3(database: str) -> str | None:
    """Return what to say of users' own spaces in a database; None if there are none."""
    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute("SELECT to_regclass('level3.space') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(queries("databases")["spaces"])
        logins = [login for (login,) in cursor]
    return f"holds Level 3 spaces of {', '.join(logins)}" if logins else None


def drop(database: str) -> None:
    """Drop a database, and forget it in the hub; its life stays in the audit trail."""
    check_droppable(database)
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(database)))
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("databases")["forget"], {"database": database})
    inventory.write_services()


def check_name(name: str, release: int) -> str:
    """Return the kind of release that a name means; raise ReleaseError if it does not go with the number."""
    if not databases.RELEASE_NAME.fullmatch(name):
        raise ReleaseError(
            f"release: got the name {name!r}; allowed are dr1 to dr47, bootstrap, and mini_ with a-z, 0-9 and _",
            "choose such a name",
        )
    kind = "mini" if name.startswith("mini_") else "bootstrap" if name == "bootstrap" else "release"
    allowed = {"mini": range(48, 64), "bootstrap": range(1), "release": range(1, 48)}[kind]
    if release not in allowed or (kind == "release" and name != f"dr{release}"):
        raise ReleaseError(
            f"release: {name} got the number {release}; allowed for a {kind} are {allowed.start} to {allowed.stop - 1}"
            + (", the same as in its name" if kind == "release" else ""),
            "give the number that goes with the name",
        )
    return kind


def _own(name: str, release: int) -> None:
    """Give a clone its own schema name, and bind its ids to the release."""
    tables = databases.layout(name).tables()
    with closing(connect(name)) as session, session, session.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace('release') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return
        cursor.execute(f"ALTER SCHEMA release RENAME TO {name}")
        if databases.layout(name).is_mini:
            cursor.execute(f"CREATE SCHEMA synthetic AUTHORIZATION {OWNER}")
        cursor.execute(f"SET LOCAL ROLE {OWNER}")
        if databases.layout(name).is_mini:
            cursor.execute(ddl.statements(t for t in tables.sorted_tables if t.schema == "synthetic"))
        for table in tables.sorted_tables:
            own = _release_id(table)
            if table.schema == name and own:
                home, check = f"{name}.{table.name}", f"{table.name}_release_check"
                words = f"The six highest bits of {own} are the number of the release, {release}"
                cursor.execute(f"ALTER TABLE {home} ADD CONSTRAINT {check} CHECK ({own} >> 57 = {release})")
                cursor.execute(f"COMMENT ON CONSTRAINT {check} ON {home} IS %s", [words])


def _release_id(table) -> str | None:
    """Return the column whose six highest bits are the release, if the table has its own."""
    if table.name in ("object", "moving_object", "coadd"):
        return f"{table.name}_id"
    return table.info.get("id")
