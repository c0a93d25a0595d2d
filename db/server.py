"""The server that we work with, ours or an existing one: bring it up, look at the Python inside it."""

from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import connection

from db.cluster import Cluster, ClusterError, start, stop
from db.connect import MAINTENANCE, connect
from db.settings import server_user, uses_existing_server


@dataclass(frozen=True)
class InnerPython:
    """Python inside the server: its `sys.prefix` and the versions of what our functions import."""

    prefix: str
    numpy: str
    scipy: str


def bring_up(listen: str | None = None) -> bool:
    """Start the private server unless it runs or an existing one is named; return whether it was started.

    Raises
    ------
    ClusterError
        Among others, if the server would run another Python than ours; it is stopped again then.
    """
    if uses_existing_server():
        return False
    cluster = Cluster()
    started = start(cluster, listen)
    if started:
        try:
            check_python(cluster)
        except ClusterError:
            stop(cluster)
            raise
    return started


def check_python(cluster: Cluster) -> None:
    """Refuse a server whose PL/Python is not that of our venv: it falls back to the system's silently."""
    session = connect(MAINTENANCE)
    try:
        with session, session.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS plpython3u")
        found = inner_python(session)
        prefix = found.prefix
    except psycopg2.Error as error:
        prefix = str(error).splitlines()[0]
    finally:
        session.close()
    if prefix != str(cluster.venv):
        user = server_user().pw_name
        raise ClusterError(
            f"the Python inside the server is not that of {cluster.venv} (found: {prefix})",
            f"let user {user} read it (`chmod -R a+rX`, its parent folders too), then `hven up`",
        )


def inner_python(session: connection) -> InnerPython:
    """Ask the server's PL/Python; needs the extension plpython3u and a superuser."""
    body = "'import sys, numpy, scipy; return [sys.prefix, numpy.__version__, scipy.__version__]'"
    with session, session.cursor() as cursor:
        cursor.execute(f"CREATE FUNCTION pg_temp.hven_python() RETURNS text[] LANGUAGE plpython3u AS {body}")
        cursor.execute("SELECT pg_temp.hven_python()")
        (answer,) = cursor.fetchone()
        cursor.execute("DROP FUNCTION pg_temp.hven_python()")
    return InnerPython(*answer)
