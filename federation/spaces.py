"""Spaces of users: a schema of one's own in a release's database, with quota, duration, and a reason for both."""

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import date

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection

from db import databases, users
from db.connect import HUB, MAINTENANCE, connect
from db.software import software
from federation.errors import Level3Error
from federation.sessions import HOME, job_login, queries

DEFAULT_QUOTA = "5GB"
UNITS = {"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


@dataclass(frozen=True)
class Space:
    """A user's space in one database.

    Parameters
    ----------
    login : str
        The user.
    quota, used : int
        Bytes that it may hold, and holds: tables with indexes and TOAST, temporary ones too, and files.
    state : str
        open, full or expired.
    expires : date or None
        Until when it is kept.
    afterwards : str
        archive or drop.
    products : int
        Number of its tables and files.
    """

    login: str
    quota: int
    used: int
    state: str
    expires: date | None
    afterwards: str
    products: int

    def as_dict(self) -> dict[str, object]:
        """Return the fields for JSON."""
        return asdict(self) | {"expires": self.expires and self.expires.isoformat()}


@dataclass(frozen=True)
class Terms:
    """On what terms a space is kept: LDM-151, 5, lets value and cost decide on both."""

    quota: int
    expires: date | None = None
    afterwards: str = "archive"
    reason: str | None = None
    cost: str | None = None


def size(text: str) -> int:
    """Return bytes of a size such as 5GB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B|)", text.strip(), re.IGNORECASE)
    if not found or not float(found[1]):
        raise Level3Error(f"level3: got the size {text!r}; allowed are such as 500MB, 5GB, 1TB", "give such a size")
    return int(float(found[1]) * UNITS[found[2].upper()])


def default_release() -> str:
    """Return the newest published release, else level1."""
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["newest_release"])
        return (cursor.fetchone() or ("level1",))[0]


def install(session: connection) -> None:
    """Put Level 3 in place in a database; the caller commits. Harmless where it is."""
    with session.cursor() as cursor:
        cursor.execute((HOME / "level3.sql").read_text())
        cursor.execute(queries("spaces")["production"], {"version": software().software_version})


def has_spaces(database: str) -> bool:
    """Return whether Level 3 is in place in a database."""
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["has_spaces"])
        return cursor.fetchone()[0]


def open_space(login: str, database: str, terms: Terms) -> None:
    """Give a level3 user a schema of its own, or new terms for the one that it has.

    Raises
    ------
    Level3Error
        The user is no level3 user, or may not enter this database: one that is not published, a mini-DR.
    """
    _check_user(login, database)
    users.give_schema(login, database)
    _second_login(login, database)
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        install(session)
        values = vars(terms) | {"login": login, "schema": users.own_schema(login), "what": "open"}
        cursor.execute(queries("spaces")["open"], values)
        cursor.execute(queries("spaces")["record"], values)


def _check_user(login: str, database: str) -> None:
    known = {user.name: user.role for user in users.listed()}
    if known.get(login) != "level3":
        raise Level3Error(
            f"level3: {login} is {'a ' + known[login] if login in known else 'no user'}; spaces are for level3 users",
            f"`hven user add {login} --role level3`",
        )
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute("SELECT has_database_privilege(%s, current_database(), 'CONNECT, TEMPORARY')", [login])
        if not cursor.fetchone()[0]:
            raise Level3Error(
                f"level3: {login} may not enter {database}; allowed are level1 and published releases",
                "name one of them by --release",
            )


def _second_login(login: str, database: str) -> None:
    """Make the login under which lanes work for a user, in the same schema and under the same limits."""
    name, own = sql.Identifier(job_login(login)), sql.Identifier(login)
    home = users.own_schema(login)
    path = sql.SQL(", ").join(map(sql.Identifier, [home, *databases.search_path(database)]))
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["has_role"], {"role": job_login(login)})
        if not cursor.rowcount:
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(name, own))
            cursor.execute(sql.SQL("ALTER ROLE {} SET role = {}").format(name, own))
        users.limit(session, job_login(login), "level3")
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        here = sql.Identifier(session.info.dbname)
        cursor.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}").format(name, here, path))


def spaces(database: str, login: str | None = None) -> list[Space]:
    """Return the spaces of a database, or a user's."""
    if not has_spaces(database):
        return []
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["usage"], {"login": login})
        return [Space(*row) for row in cursor]


def space(database: str, login: str) -> Space:
    """Return a user's space; raises `Level3Error` without one."""
    if found := spaces(database, login):
        return found[0]
    raise Level3Error(f"level3: {login} has no space in {database}", f"`hven level3 open {login} --release {database}`")


def set_terms(login: str, database: str, what: str, terms: Terms) -> None:
    """Change quota and duration of a space, with the reason."""
    space(database, login)
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        values = vars(terms) | {"login": login, "schema": users.own_schema(login), "what": what}
        cursor.execute(queries("spaces")["open"], values)
        cursor.execute(queries("spaces")["set_expiry"], values)
        cursor.execute(queries("spaces")["record"], values)


def records(login: str, database: str) -> list[tuple]:
    """Return what was decided on a space: when, what, quota, until when, why, at what cost."""
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["records"], {"login": login})
        return cursor.fetchall()


def share(
    login: str, database: str, product: str, access: str, readers: Sequence[str], public_from: date | None
) -> None:
    """Let others read a product of a user's, or nobody any more.

    Parameters
    ----------
    access : str
        private, group or public.
    readers : sequence of str
        For `group`: users and groups.
    public_from : date or None
        When a private or group product becomes public by itself.
    """
    values = {
        "login": login,
        "product": product,
        "access": access,
        "readers": list(readers),
        "public_from": public_from,
    }
    with closing(connect(database)) as session, session, session.cursor() as cursor, refusals():
        cursor.execute(queries("spaces")["share"], values)


class refusals:
    """Turn what our SQL refuses (class VN), and what a user may not do, into an error that ends a command."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, psycopg2.Error) and error.pgcode and (error.pgcode[:2] in ("VN", "42", "54", "57")):
            said, hint = error.diag.message_primary, (error.diag.message_hint or "look at the statement").rstrip(".")
            raise Level3Error(said.rstrip("."), hint) from error


def create_group(name: str, members: Sequence[str]) -> None:
    """Make a group of users, or set its members; products are shared with it by its name, `group_NAME`."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise Level3Error(f"level3: got the group {name!r}; allowed are a-z, 0-9 and _", "choose such a name")
    known = {user.name for user in users.listed()}
    if unknown := [one for one in members if one not in known]:
        raise Level3Error(f"level3: {', '.join(unknown)} is no user", "`hven user list` shows them")
    group = sql.Identifier(f"group_{name}")
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["has_role"], {"role": f"group_{name}"})
        if not cursor.rowcount:
            cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(group))
        cursor.execute(queries("spaces")["members"], {"role": f"group_{name}"})
        present = {member for (member,) in cursor}
        for member in present - set(members):
            cursor.execute(sql.SQL("REVOKE {} FROM {}").format(group, sql.Identifier(member)))
        for member in set(members) - present:
            cursor.execute(sql.SQL("GRANT {} TO {}").format(group, sql.Identifier(member)))
