"""Federation: the tables of another Science Database as a foreign schema, through postgres_fdw.

pgSphere's functions are declared shippable, so that cones, joins and aggregates run where the rows are. The
remote login has the rights of a scientist and no more, and scientists alone read the foreign tables.
"""

import secrets
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from db import databases
from db.cluster import Cluster
from db.connect import MAINTENANCE, connect, resolve
from db.settings import uses_existing_server
from federation.errors import Level3Error
from federation.sessions import queries

OPTIONS = {"extensions": "pg_sphere", "fetch_size": "10000", "fdw_tuple_cost": "0.05"}


@dataclass(frozen=True)
class Remote:
    """A Science Database elsewhere.

    Parameters
    ----------
    schema : str
        Its catalogue, which keeps its name here: dr1.object is dr1.object.
    where : mapping of str to str
        libpq's host, port and dbname, sslmode and so on.
    login, password : str
        Who reads there.
    """

    schema: str
    where: Mapping[str, str]
    login: str
    password: str


def federate(database: str, target: str) -> int:
    """Make another Science Database of this server a foreign schema of one, or bring it up to date.

    Parameters
    ----------
    database : str
        Where it is to be seen.
    target : str
        dr1, or level1: the pointer is followed anew.

    Returns
    -------
    int
        How many tables it has.
    """
    if resolve(target) == resolve(database):
        raise Level3Error(f"level3: {target} is {database} itself", "name another database")
    layout = databases.layout(resolve(target))
    if layout.is_mini or layout.kind == "hub":
        raise Level3Error(
            f"level3: {target} is {'a mini-DR' if layout.is_mini else 'the hub'}; allowed are releases and level1",
            "name one of them",
        )
    login, password = _remote_login("scientist")
    remote = Remote(layout.catalogue, _here(resolve(target)), login, password)
    count = federate_remote(database, remote, ["hven_scientist"])
    if layout.kind == "level1":
        federate_remote(database, remote, ["hven_scientist"], "efd", "live_efd")
    return count


def federate_remote(
    database: str, remote: Remote, readers: list[str], remote_schema: str | None = None, schema: str | None = None
) -> int:
    """Make a Science Database anywhere a foreign schema; return how many tables it has.

    Parameters
    ----------
    database : str
        The local database, of any server of Hven's or another with pgSphere.
    readers : list of str
        Local roles that may read it.
    remote_schema, schema : str, optional
        Its name there and here; default the catalogue's.
    """
    schema = schema or remote.schema
    server = f"hven_{schema}"
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("foreign")["extensions"])
        cursor.execute(queries("foreign")["is_ours"], {"schema": schema})
        if cursor.fetchone()[0]:
            raise Level3Error(f"level3: {database} has a schema {schema} of its own", "federate under another name")
        _server(cursor, server, remote)
        cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
        cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        take = sql.SQL("IMPORT FOREIGN SCHEMA {} FROM SERVER {} INTO {} OPTIONS (import_default 'false')")
        try:
            cursor.execute(take.format(*map(sql.Identifier, [remote_schema or remote.schema, server, schema])))
        except psycopg2.Error as error:
            said = str(error).splitlines()[0]
            raise Level3Error(
                f"level3: {schema} can't be federated ({said})", "look at the address and the login"
            ) from error
        for reader in readers:
            names = sql.Identifier(schema), sql.Identifier(reader)
            cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(*names))
            cursor.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(*names))
        cursor.execute(queries("foreign")["count"], {"schema": schema})
        return cursor.fetchone()[0]


def _server(cursor, server: str, remote: Remote) -> None:
    """Make the foreign server anew, with one mapping for all who are let in."""
    name = sql.Identifier(server)
    cursor.execute(sql.SQL("DROP SERVER IF EXISTS {} CASCADE").format(name))
    options = {**OPTIONS, **remote.where}
    cursor.execute(
        sql.SQL("CREATE SERVER {} FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({})").format(name, _options(options))
    )
    # hven_owner's functions ask there on behalf of those who may read the tables.
    cursor.execute(sql.SQL("GRANT USAGE ON FOREIGN SERVER {} TO hven_owner").format(name))
    mapping = sql.SQL("CREATE USER MAPPING FOR PUBLIC SERVER {} OPTIONS ({})")
    cursor.execute(mapping.format(name, _options({"user": remote.login, "password": remote.password})))


def _options(options: Mapping[str, str]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(key), sql.Literal(str(value))) for key, value in options.items()
    )


def _here(database: str) -> dict[str, str]:
    """Where a database of this server is, for the server itself."""
    if uses_existing_server():
        with closing(connect(MAINTENANCE)) as session:
            return {"host": session.info.host, "port": str(session.info.port), "dbname": database}
    return {"host": str(Cluster().run), "port": str(Cluster().port), "dbname": database}


def _remote_login(role: str) -> tuple[str, str]:
    """Return the login by which foreign tables are read, with a password made for it once."""
    name = f"hven_foreign_{role}"
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["lock_login"], {"login": name})
        if password := known_password(name):
            return name, password
        password = secrets.token_urlsafe(32)
        cursor.execute(queries("spaces")["has_role"], {"role": name})
        if not cursor.rowcount:
            make = sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}")
            cursor.execute(make.format(sql.Identifier(name), sql.Identifier(f"hven_{role}")))
        verifier = encrypt_password(password, name, session, "scram-sha-256")
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD %s").format(sql.Identifier(name)), [verifier])
        return name, password


def known_password(login: str) -> str | None:
    """Return the password of a foreign login that some database of this server has in a mapping, or None."""
    with closing(connect(MAINTENANCE)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("foreign")["databases"])
        names = [name for (name,) in cursor]
    for name in names:
        with closing(connect(name)) as session, session, session.cursor() as cursor:
            cursor.execute(queries("foreign")["password"], {"login": login})
            if found := cursor.fetchone():
                return found[0]
    return None


def analyze(database: str, schema: str) -> None:
    """Fetch statistics of a foreign schema's tables, so that joins with it are planned well."""
    with closing(connect(database)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(queries("foreign")["tables"], {"schema": schema})
        for (table,) in cursor.fetchall():
            cursor.execute(f"ANALYZE {table}")
