"""The life of a Data Release after it is built: frozen, published, withdrawn; each step in the hub's audit trail.

The hub's row changes last, in one transaction; what goes before can be repeated. So a step that was interrupted is
mended by taking it again.
"""

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extras import NamedTupleCursor

from db import freeze as ownership
from db import inventory, rights
from db.connect import HUB, connect
from db.databases import layout
from db.queries import queries
from db.release import ReleaseError
from db.software import software


@dataclass(frozen=True)
class Known:
    """A release as the hub knows it."""

    name: str
    kind: str
    release: int
    state: str
    is_current: bool
    changed: datetime


@dataclass(frozen=True)
class Step:
    """A step in the life of a release: from which state to which, by whom, why."""

    from_state: str | None
    to_state: str
    actor: str
    reason: str | None
    written: datetime


def releases() -> list[Known]:
    """Return all releases and mini-DRs, the latest last."""
    with closing(connect(HUB)) as session, session.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute(queries("life_cycle")["releases"])
        return [Known(*row) for row in cursor]


def find(name: str) -> Known:
    """Return what the hub knows of a release.

    Raises
    ------
    ReleaseError
        There is none of this name.
    """
    known = {one.name: one for one in releases()}
    if name not in known:
        said = f"release: there is no {name}; there are {', '.join(known) or 'none'}"
        raise ReleaseError(said, "name one of these, or `hven release create`")
    return known[name]


def history(name: str) -> list[Step]:
    """Return the steps in the life of a release, the first first; of one that was dropped too."""
    with closing(connect(HUB)) as session, session.cursor() as cursor:
        cursor.execute(queries("life_cycle")["history"], {"name": name})
        return [Step(*row) for row in cursor]


def freeze(name: str, reason: str | None = None) -> None:
    """Close a validated release: fresh statistics, then nobody but the superuser changes a row of its catalogue.

    Raises
    ------
    ReleaseError
        It is not validated.
    """
    demand(name, "freeze", "validated")
    with closing(connect(name)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("VACUUM (ANALYZE)")
    ownership.freeze(name)
    _move(name, "validated", "frozen", reason)


def publish(name: str, reason: str | None = None) -> None:
    """Let the public read a frozen release, and make it what users mean by `current`.

    Connections that are open keep the release that they have.

    Raises
    ------
    ReleaseError
        It is not frozen, or it is a mini-DR.
    """
    known = demand(name, "publish", "frozen")
    ownership.publish(name)
    with closing(connect(name)) as session, session.cursor() as cursor:
        cursor.execute(queries("life_cycle")["facts"])
        facts = dict(zip(("first_tai", "cutoff_tai", "schema_revision"), cursor.fetchone(), strict=True))
    made_by = software()
    facts |= {"release": known.release, "name": name, "software_version": made_by.software_version,
              "software_commit": made_by.software_commit}  # fmt: skip
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("life_cycle")["register"], facts)
        cursor.execute(queries("life_cycle")["make_current"], {"name": name})
        _record(cursor, name, "frozen", "published", reason)
    inventory.write_services()


def withdraw(name: str, reason: str, current: str | None = None) -> None:
    """Close a published release to the public again; its rows stay.

    Parameters
    ----------
    current : str, optional
        The published release that becomes current, if `name` was.

    Raises
    ------
    ReleaseError
        It is not published, or it is current and no other takes its place.
    """
    known = demand(name, "withdraw", "published")
    if known.is_current and current is None:
        others = ", ".join(one.name for one in releases() if one.state == "published" and one.name != name) or "none"
        raise ReleaseError(
            f"release: {name} is the current release; others that are published: {others}",
            "name the one that takes its place by --current",
        )
    if current:
        demand(current, "make current", "published")
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        if known.is_current:
            cursor.execute(queries("life_cycle")["make_current"], {"name": current})
        _record(cursor, name, "published", "withdrawn", reason)
    with closing(connect(name)) as session, session:
        rights.apply(session, layout(name), "frozen")
    inventory.write_services()


def demand(name: str, verb: str, state: str) -> Known:
    """Return what the hub knows of a release; raise ReleaseError unless it is in the state that `verb` needs."""
    known = find(name)
    if known.state != state:
        said = f"release: can't {verb} {name}: it is {known.state}, and has to be {state}"
        raise ReleaseError(said, f"`hven release log {name}` tells its life")
    return known


def _move(name: str, from_state: str, to_state: str, reason: str | None) -> None:
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        _record(cursor, name, from_state, to_state, reason)


def _record(cursor, name: str, from_state: str, to_state: str, reason: str | None) -> None:
    step = {"name": name, "from_state": from_state, "to_state": to_state, "reason": reason}
    cursor.execute(queries("databases")["set_state"], step)
    if not cursor.rowcount:
        raise ReleaseError(f"release: {name} is no longer {from_state}", f"`hven release log {name}` tells its life")
    cursor.execute(queries("databases")["record"], step)
