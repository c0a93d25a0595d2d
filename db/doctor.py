"""Facts about machine, server and databases; with each that is a fault, its remedy."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version

import psycopg2
from psycopg2.extensions import connection

from db import settings
from db.bootstrap import PGSPHERE_LEAST
from db.cluster import Cluster
from db.connect import connect
from db.queries import queries
from db.server import MAINTENANCE, inner_python

DISK_LEAST = 5 * settings.GB  # room for a night's WAL and a checkpoint
EXTENSIONS = ("pg_sphere", "plpython3u")
ROLES = (
    *("hven_owner", "hven_frozen", "hven_public", "hven_scientist", "hven_level3"),
    *("hven_worker", "hven_release_admin", "hven_operator"),
)


@dataclass(frozen=True)
class Finding:
    """A fact about the installation; `remedy` is None if it is as it should be."""

    what: str
    found: str
    remedy: str | None = None


def machine() -> Iterator[Finding]:
    """Look at the folder of everything, its disk, and our own Python."""
    home = settings.hven_home()
    yield Finding("home", str(home))
    yield Finding("python", f"{sys.prefix}: Python {sys.version.split()[0]}, numpy {version('numpy')}")
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    short = f"make room: at least {DISK_LEAST / settings.GB:.0f} GB" if free < DISK_LEAST else None
    yield Finding("disk", f"{free / settings.GB:.1f} GB free at {existing}", short)


def our_databases() -> list[str]:
    """Return the names of our databases that let us in.

    Raises
    ------
    ConnectionFailed
        There is no server.
    """
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        cursor.execute(queries("doctor")["our_databases"])
        return [name for (name,) in cursor]


def server(databases: list[str]) -> Iterator[Finding]:
    """Look at the server's version, its roles, and the Python inside it."""
    with closing(connect(MAINTENANCE)) as session:
        yield server_version(session)
        yield roles(session)
    yield python_inside([MAINTENANCE, *databases])


def server_version(session: connection) -> Finding:
    """Compare the server's major version with ours."""
    major, minor = divmod(session.server_version, 10000)
    wanted = settings.POSTGRESQL_MAJOR
    where = "existing server" if settings.uses_existing_server() else "private server"
    remedy = f"use PostgreSQL {wanted}, for which the schema is tested" if major != wanted else None
    return Finding("server", f"{where}, PostgreSQL {major}.{minor}", remedy)


def roles(session: connection) -> Finding:
    """Look for the roles that the grants name."""
    with session.cursor() as cursor:
        cursor.execute(queries("doctor")["roles"], [list(ROLES)])
        there = [name for (name,) in cursor]
    missing = [role for role in ROLES if role not in there]
    remedy = f"`hven upgrade` makes {', '.join(missing)}" if missing else None
    return Finding("roles", ", ".join(there) or "none", remedy)


def python_inside(databases: list[str]) -> Finding:
    """Ask the Python inside the server, through the first database that can."""
    said = "no database has the extension plpython3u"
    for database in databases:
        with closing(connect(database)) as session:
            try:
                found = inner_python(session)
            except psycopg2.errors.UndefinedObject:  # no such language there
                continue
            except psycopg2.Error as error:
                said = str(error).splitlines()[0]
                continue
        facts = f"{found.prefix}: numpy {found.numpy}, scipy {found.scipy}"
        return Finding("python in server", facts, _python_remedy(found.prefix, found.numpy))
    return Finding("python in server", said, _python_remedy("", ""))


def _python_remedy(prefix: str, numpy: str) -> str | None:
    """Say what the server's Python lacks; on an existing server only numpy's series matters."""
    if settings.uses_existing_server():
        if numpy.partition(".")[0] == version("numpy").partition(".")[0]:
            return None
        return f"install plpython3u there, with numpy {version('numpy')} and scipy {version('scipy')}"
    same = prefix == str(Cluster().venv) and numpy == version("numpy")
    return None if same else "`hven down`, then `hven up`, which says why"


def extensions(session: connection, database: str) -> Finding:
    """Look for the extensions of a database, and for a pgSphere that is too old."""
    with session.cursor() as cursor:
        cursor.execute(queries("doctor")["extensions"])
        there = dict(cursor)
    missing = [name for name in EXTENSIONS if name not in there]
    remedy = None
    if missing:
        remedy = f"`hven upgrade` creates {', '.join(missing)}"
    elif tuple(int(part) for part in there["pg_sphere"].split(".")) < PGSPHERE_LEAST:
        remedy = "install pgSphere 1.4 or later, then ALTER EXTENSION pg_sphere UPDATE"
    return Finding(f"{database}: extensions", ", ".join(f"{k} {v}" for k, v in there.items()), remedy)
