"""Logins: each is a member of one group role, with the limits that `rights.yaml` sets for it."""

import re
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass

from psycopg2 import sql
from psycopg2.extensions import connection, encrypt_password

from db import databases, rights
from db.connect import MAINTENANCE, connect
from db.databases import ROOT
from db.errors import HvenError
from db.queries import queries

NAME = re.compile(r"(?!pg_|hven_|postgres$|public$|none$)[a-z][a-z0-9_]{0,39}")
PASSWORD_LENGTH = 12  # characters at least
NOT_A_SETTING = ("connections", "transaction_timeout")


class UserError(HvenError):
    """A login can't be made, changed or dropped as asked."""

    exit_status = 10


@dataclass(frozen=True)
class User:
    """A login.

    Parameters
    ----------
    name : str
        Its name.
    role : str
        Its group, without `hven_`.
    connections : int
        How many it may have at a time; -1 = any number.
    sessions : int
        How many it has now.
    """

    name: str
    role: str
    connections: int
    sessions: int

    def as_dict(self) -> dict[str, object]:
        """Return the fields for JSON."""
        return asdict(self)


def roles() -> list[str]:
    """Return the roles that a login can have."""
    return [role for role in rights.rules()["roles"] if role != "owner"]


def add(name: str, role: str, password: str, schema_in: Iterable[str] = ()) -> None:
    """Make a login.

    Parameters
    ----------
    name : str
        a-z, digits and underscores.
    role : str
        One of `roles()`.
    password : str
        Only its SCRAM verifier goes to the server, so that no log shows it.
    schema_in : iterable of str
        Databases in which it gets a schema of its own (level3 alone).

    Raises
    ------
    UserError
        For a name that is taken or not allowed, an unknown role, a weak password.
    """
    if not NAME.fullmatch(name):
        raise UserError(
            f"user: got the name {name!r}; allowed are a-z, 0-9 and _, at most 40, not beginning with hven_ or pg_",
            "choose such a name",
        )
    if role not in roles():
        raise UserError(f"user: got the role {role!r}; allowed are {', '.join(roles())}", "name one of them")
    if schema_in and role != "level3":
        raise UserError(f"user: a {role} has no schema of its own, only level3 has", "use --role level3")
    _check_password(name, password)
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        cursor.execute((ROOT / "db" / "roles.sql").read_text())
        if (groups := _groups(session, name)) is not None:
            known = ", ".join(groups) or "no group"
            raise UserError(f"user: {name} exists already, in {known}", "choose another name, or drop it first")
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s IN ROLE {}").format(_id(name), _id(f"hven_{role}"))
        cursor.execute(create, [encrypt_password(password, name, session, "scram-sha-256")])
        limit(session, name, role)
    for database in schema_in:
        give_schema(name, database)


def set_password(name: str, password: str) -> None:
    """Give a login another password."""
    _check_password(name, password)
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        _known(session, name)
        alter = sql.SQL("ALTER ROLE {} PASSWORD %s").format(_id(name))
        cursor.execute(alter, [encrypt_password(password, name, session, "scram-sha-256")])


def listed() -> list[User]:
    """Return all logins."""
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("users")["list"], {"groups": [f"hven_{role}" for role in roles()]})
        return [User(*row) for row in cursor]


def drop(name: str) -> None:
    """End a login's sessions and drop it, with its schemas if they are empty.

    Raises
    ------
    UserError
        There is no such login, or it owns something.
    """
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        _known(session, name)
        cursor.execute(queries("users")["databases_with"], {"name": name})
        holding = [database for (database,) in cursor]
        for database in holding:
            _refuse_owner(name, database)
        for database in holding:
            with closing(connect(database)) as there, there, there.cursor() as inner:
                inner.execute(sql.SQL("DROP OWNED BY {}").format(_id(name)))
        cursor.execute(queries("users")["end_sessions"], {"name": name})
        cursor.execute(sql.SQL("DROP ROLE {}").format(_id(name)))


def refresh() -> None:
    """Give all logins the limits that `rights.yaml` sets now."""
    for user in listed():
        with closing(connect(MAINTENANCE)) as session, session:
            limit(session, user.name, user.role)


def own_schema(name: str) -> str:
    """Return the name of the schema that a level3 login owns."""
    return f"user_{name}"


def give_schema(name: str, database: str) -> None:
    """Make a schema of a login's own, where its new tables go by default."""
    schema = _id(own_schema(name))
    path = sql.SQL(", ").join([schema, *map(sql.Identifier, databases.search_path(database))])
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(schema, _id(name)))
        setting = "ALTER ROLE {} IN DATABASE {} SET search_path = {}"
        cursor.execute(sql.SQL(setting).format(_id(name), _id(session.info.dbname), path))


def limit(session: connection, name: str, role: str) -> None:
    """Set a login's limits; settings that its role does not name go back to the server's."""
    limits = rights.rules()["limits"]
    own = limits[role]
    settings = {setting for of in limits.values() for setting in of} - set(NOT_A_SETTING)
    with session.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT %s").format(_id(name)), [own.get("connections", -1)])
        for setting in sorted(settings):
            change = sql.SQL("SET {} = %s" if setting in own else "RESET {}").format(_id(setting))
            value = own.get(setting)
            values = [f"{value}s" if isinstance(value, int) else value] if setting in own else []
            cursor.execute(sql.SQL("ALTER ROLE {} ").format(_id(name)) + change, values)


def _groups(session: connection, name: str) -> list[str] | None:
    with session.cursor() as cursor:
        cursor.execute(queries("users")["exists"], {"name": name})
        found = cursor.fetchone()
        return found[0] if found else None


def _known(session: connection, name: str) -> None:
    if not set(_groups(session, name) or ()) & {f"hven_{role}" for role in roles()}:
        raise UserError(f"user: {name} is no user of Hven", "`hven user list` shows them")


def _refuse_owner(name: str, database: str) -> None:
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("users")["owned"], {"name": name})
        owned = [thing for (thing,) in cursor]
    if owned:
        raise UserError(
            f"user: {name} owns {len(owned)} objects in {database}: {', '.join(owned[:3])}",
            f"in {database}, REASSIGN OWNED BY {name} TO another user, or DROP OWNED BY {name}",
        )


def _check_password(name: str, password: str) -> None:
    problem = None
    if len(password) < PASSWORD_LENGTH:
        problem = f"has {len(password)} characters, allowed are {PASSWORD_LENGTH} or more"
    elif name in password.lower():
        problem = "contains the name"
    elif len(set(password)) < PASSWORD_LENGTH // 2:
        problem = f"repeats {len(set(password))} different characters, allowed are {PASSWORD_LENGTH // 2} or more"
    if problem:
        raise UserError(f"user: the password of {name} {problem}", "choose a longer one, such as four random words")


def _id(name: str) -> sql.Identifier:
    return sql.Identifier(name)
