"""What `hven doctor` looks at: each finding is a fact and, if it is a fault, its remedy."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

import psycopg2
from psycopg2.extensions import connection

from db import settings
from db.cluster import Cluster
from db.connect import ConnectionFailed, connect
from db.server import MAINTENANCE, inner_python

PGSPHERE_LEAST = (1, 4)
DISK_LEAST = 5 * settings.GB  # room for a night's WAL and a checkpoint
EXTENSIONS = ("pg_sphere", "plpython3u")
OUR_NAMES = "hub|level1_.*|release_template|bootstrap|dr[0-9]+|mini_.*"
OUR_DATABASES = f"SELECT datname FROM pg_database WHERE datname ~ '^({OUR_NAMES})$' ORDER BY 1"
ROLES = (
    *("hven_owner", "hven_public", "hven_scientist", "hven_level3"),
    *("hven_worker", "hven_release_admin", "hven_operator"),
)


@dataclass(frozen=True)
class Finding:
    """A fact about the installation; `remedy` is None if it is as it should be."""

    what: str
    found: str
    remedy: str | None = None


def diagnose() -> Iterator[Finding]:
    """Look at the machine, the server, and each of our databases."""
    yield from machine()
    try:
        session = connect(MAINTENANCE)
    except ConnectionFailed as error:
        yield Finding("server", error.problem, error.remedy)
        return
    try:
        yield server_version(session)
        yield from roles(session)
        databases = _column(session, OUR_DATABASES)
    finally:
        session.close()
    yield python_inside([MAINTENANCE, *databases])
    if not databases:
        yield Finding("databases", "none", "`hven upgrade` makes them")
    for database in databases:
        yield from database_findings(database)


def machine() -> Iterator[Finding]:
    """Look at the folder of everything, its disk, and our own Python."""
    home = settings.hven_home()
    yield Finding("home", str(home))
    yield Finding("python", f"{sys.prefix}: Python {sys.version.split()[0]}, numpy {version('numpy')}")
    existing = home
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    short = f"make room: at least {DISK_LEAST / settings.GB:.0f} GB" if free < DISK_LEAST else None
    yield Finding("disk", f"{free / settings.GB:.1f} GB free at {existing}", short)


def server_version(session: connection) -> Finding:
    """Compare the server's major version with ours."""
    found = session.server_version // 10000
    wanted = settings.POSTGRESQL_MAJOR
    where = "existing server" if settings.uses_existing_server() else "private server"
    remedy = f"use PostgreSQL {wanted}, for which the schema is tested" if found != wanted else None
    return Finding("server", f"{where}, PostgreSQL {found}.{session.server_version % 10000}", remedy)


def roles(session: connection) -> Iterator[Finding]:
    """Look for the roles that the grants name."""
    there = _column(session, "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) ORDER BY 1", list(ROLES))
    missing = [role for role in ROLES if role not in there]
    remedy = f"`hven upgrade` makes {', '.join(missing)}" if missing else None
    yield Finding("roles", ", ".join(there) or "none", remedy)


def python_inside(databases: list[str]) -> Finding:
    """Ask the Python inside the server, through the first database that can."""
    said = "no database has the extension plpython3u"
    for database in databases:
        session = connect(database)
        try:
            found = inner_python(session)
        except psycopg2.errors.UndefinedObject:  # no such language there
            continue
        except psycopg2.Error as error:
            said = str(error).splitlines()[0]
            continue
        finally:
            session.close()
        facts = f"{found.prefix}: numpy {found.numpy}, scipy {found.scipy}"
        return Finding("python in server", facts, _python_remedy(found.prefix, found.numpy))
    return Finding("python in server", said, _python_remedy("", ""))


def _python_remedy(prefix: str, numpy: str) -> str | None:
    """Say what the server's Python lacks; on an existing server only numpy's series matters."""
    if settings.uses_existing_server():
        if numpy.partition(".")[0] == version("numpy").partition(".")[0]:
            return None
        return f"install plpython3u there, with numpy {version('numpy')} and scipy {version('scipy')}"
    return None if prefix == str(Cluster().venv) else "`hven down`, then `hven up`, which says why"


def database_findings(database: str) -> Iterator[Finding]:
    """Look at one database: extensions, schema revision, deployed functions."""
    session = connect(database)
    try:
        yield extensions(session, database)
        yield from revision(session, database)
    finally:
        session.close()


def extensions(session: connection, database: str) -> Finding:
    """Look for the extensions, and for a pgSphere that is too old."""
    with session.cursor() as cursor:
        cursor.execute("SELECT extname, extversion FROM pg_extension ORDER BY 1")
        there = dict(cursor.fetchall())
    missing = [name for name in EXTENSIONS if name not in there]
    sphere = tuple(int(part) for part in there.get("pg_sphere", "0").split("."))
    remedy = None
    if missing:
        remedy = f"`hven upgrade` creates {', '.join(missing)}"
    elif sphere < PGSPHERE_LEAST:
        remedy = "install pgSphere 1.4 or later, then ALTER EXTENSION pg_sphere UPDATE"
    return Finding(f"{database}: extensions", ", ".join(f"{k} {v}" for k, v in there.items()), remedy)


def revision(session: connection, database: str) -> Iterator[Finding]:
    """Read the schema's revision and the number of deployed functions."""
    for what, table, expression in (
        ("schema revision", "hven.alembic_version", "string_agg(version_num, ', ')"),
        ("functions", "hven.function_manifest", "count(*)::text"),
    ):
        found = None
        if _column(session, "SELECT to_regclass(%s)", table)[0]:
            (found,) = _column(session, f"SELECT {expression} FROM {table}")
        yield Finding(f"{database}: {what}", found or "none", None if found else "`hven upgrade`")


def _column(session: connection, query: str, *values: object) -> list:
    with session.cursor() as cursor:
        cursor.execute(query, values)
        return [row[0] for row in cursor.fetchall()]
