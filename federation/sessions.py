"""Sessions in which SQL of users runs: with their rights and no more.

`SET ROLE` in an administrator's session would not do: the user's SQL could RESET it. So each user has a second
login, `hven_job_NAME`, a member of the first and of nothing else, whose password is made for one connection.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection, encrypt_password

from db import queries as catalogue
from db.connect import MAINTENANCE, ConnectionFailed, connect, dsn, resolve
from federation.errors import Level3Error

HOME = Path(__file__).parent


@cache
def queries(topic: str) -> dict[str, str]:
    """Return the queries of a topic of Level 3 by name."""
    return catalogue.queries(topic, HOME / "queries")


def job_login(login: str) -> str:
    """Return the name of a user's second login."""
    return f"hven_job_{login}"


@contextmanager
def as_user(database: str, login: str) -> Iterator[connection]:
    """Open a session with the rights of a user; what is done in it is committed if all went well.

    With a password in PGPASSWORD the user logs in; without, an administrator works for the user.
    """
    with closing(_login(database, login)) as session, session:
        yield session


def _login(database: str, login: str) -> connection:
    if os.environ.get("PGPASSWORD"):
        return connect(database, user=login)
    name, password = job_login(login), secrets.token_urlsafe(32)
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["lock_login"], {"login": login})  # one password at a time
        cursor.execute(queries("spaces")["has_role"], {"role": name})
        if not cursor.rowcount:
            raise Level3Error(f"level3: {login} has no space", f"`hven level3 open {login}`")
        verifier = encrypt_password(password, name, session, "scram-sha-256")
        change = sql.SQL("ALTER ROLE {} PASSWORD %s VALID UNTIL %s").format(sql.Identifier(name))
        cursor.execute(queries("spaces")["soon"])
        cursor.execute(change, [verifier, cursor.fetchone()[0]])
        session.commit()
        cursor.execute(queries("spaces")["lock_login"], {"login": login})
        try:
            opened = psycopg2.connect(dsn(resolve(database), name), password=password, application_name="hven level3")
        except psycopg2.OperationalError as error:
            said = str(error).splitlines()[0]
            raise ConnectionFailed(f"level3: {login} can't work in {database} ({said})", "`hven status`") from error
    from db import adapt

    adapt.register(opened)
    return opened
