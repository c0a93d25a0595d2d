"""The whole health of an installation: machine, server, and each database compared with the tree."""

from collections.abc import Iterator
from contextlib import closing

from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from psycopg2.extensions import connection

from db import doctor as look
from db import rights
from db.connect import ConnectionFailed, connect
from db.databases import HUB, layout
from db.doctor import Finding
from db.queries import queries
from migrations.upgrade import configuration, head
from udf.deploy import difference

FROZEN = {"frozen", "published", "withdrawn"}  # states in which a database keeps its schema


def diagnose() -> Iterator[Finding]:
    """Look at the machine, the server, and each of our databases."""
    yield from look.machine()
    try:
        databases = look.our_databases()
    except ConnectionFailed as error:
        yield Finding("server", error.problem, error.remedy)
        return
    yield from look.server(databases)
    if HUB not in databases:
        yield Finding("databases", ", ".join(databases) or "none", "`hven upgrade` makes them")
    states = _states() if HUB in databases else {}
    for database in databases:
        yield from database_findings(database, states.get(database))


def database_findings(database: str, state: str | None = None) -> Iterator[Finding]:
    """Compare one database with the tree: extensions, schema revision, rights, deployed functions.

    A frozen release keeps its revision, and the functions that this revision can have.
    """
    with closing(connect(database)) as session, session.cursor() as cursor:
        yield look.extensions(session, database)
        cursor.execute(queries("doctor")["has_revision"])
        if not cursor.fetchone()[0]:
            yield Finding(f"{database}: schema", "none", "`hven upgrade`")
            return
        cursor.execute(queries("doctor")["revision"])
        (found,) = cursor.fetchone()
        yield revision(database, found, state in FROZEN)
        yield _rights(session, database, state)
        catalogue = None if database == HUB else layout(database).catalogue
        differs = difference(session, catalogue, revisions=_revisions(found))
        text = ", ".join(f"{name} {how}" for name, how in differs.items()) or "as in the tree"
        yield Finding(f"{database}: functions", text, "`hven upgrade` deploys them" if differs else None)


def revision(database: str, found: str, frozen: bool) -> Finding:
    """Compare a schema's revision with the newest one of the tree."""
    wanted = head(layout(database).branch)
    remedy = None if frozen or found == wanted else f"`hven upgrade` brings it to {wanted}"
    if not _revisions(found):
        remedy = "this Hven is older than the database: use the one that upgraded it"
    return Finding(f"{database}: schema", f"revision {found}", remedy)


def _revisions(last: str) -> set[str]:
    """Return a revision and all before it; none if the tree does not know it."""
    tree = ScriptDirectory.from_config(configuration())
    try:
        return {script.revision for script in tree.iterate_revisions(last, "base")}
    except RevisionError:
        return set()


def _rights(session: connection, database: str, state: str | None) -> Finding:
    """Compare the GRANTs of a database with `db/rights.yaml`."""
    known = layout(database)
    beyond, missing = rights.difference(session, known, rights.kind_of(known, state))
    if not beyond | missing:
        return Finding(f"{database}: rights", "as in db/rights.yaml")
    said = [f"{privilege} on {object_} for {role} is {what}"
            for grants, what in ((beyond, "too much"), (missing, "missing"))
            for privilege, object_, role in sorted(grants)[:2]]  # fmt: skip
    remedy = "`hven upgrade` brings them in line" if state not in FROZEN else f"freeze {database} again"
    return Finding(f"{database}: rights", f"{len(beyond | missing)} differ, such as {'; '.join(said)}", remedy)


def _states() -> dict[str, str]:
    with closing(connect(HUB)) as session, session.cursor() as cursor:
        cursor.execute(queries("doctor")["states"])
        return dict(cursor.fetchall())
