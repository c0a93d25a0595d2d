"""Put the functions of this folder into a database, and compare the two.

A file ``udf/**/*.sql`` begins with comment lines that declare what it needs:

``-- minimum revision: REVISION``
    The schema revision without which the functions can't run (``base`` for none).
``-- databases: hub level1 release``
    The kinds of database that it goes into.
``-- requires: NAME …``
    Files (without ``.sql``) that must be deployed before it.
``-- execute: ROLE …``
    Who may execute its functions; ``public`` for everybody.
``-- owner: ROLE``
    With whose rights a SECURITY DEFINER function runs; `hven_owner` unless given.

Inside, a line ``-- include: file.py`` is replaced by that file (found beside the SQL file), and the token
``:catalogue`` by the name of the database's catalogue schema. The first include of a PL/Python body follows
its opening quote without a line break, so that a traceback counts lines as the Python file does. What a file
imports from its neighbours must be included before it: such imports become empty lines.
"""

import hashlib
import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

TREE = Path(__file__).parent

_HEADER = re.compile(r"-- (minimum revision|databases|requires|execute|owner): *(.*)")
_INCLUDE = re.compile(r"-- include: (\S+)\s*")
_NEIGHBOUR = re.compile(r"(?m)^from udf\.[^\n(]*(\([^)]*\))?$")
_FUNCTION = re.compile(r"(?im)^CREATE OR REPLACE (?:FUNCTION|PROCEDURE|AGGREGATE) hven\.(\w+)")
_CATALOGUE = re.compile(r"(?<!:):catalogue\b")
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]*")

_FORGET = "DELETE FROM hven.function_manifest WHERE name = %s"
_RECORD = "INSERT INTO hven.function_manifest VALUES (%s, %s, %s)"
_NAMED = "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'hven'::regnamespace AND proname = ANY(%s)"


class DeployError(Exception):
    """A file can't be deployed; the text begins with its name and, where known, the line."""


@dataclass(frozen=True)
class FunctionFile:
    """One assembled file of functions.

    Attributes
    ----------
    name : str
        Path below ``udf`` without its ending, such as ``sky/healpix``.
    text : str
        With its includes, before the catalogue's name is put in.
    origins : tuple of (str, int)
        File and line that each line of the text comes from.
    minimum_revision : str
    databases, requires, execute : tuple of str
    owner : str
    """

    name: str
    text: str
    origins: tuple[tuple[str, int], ...]
    minimum_revision: str
    databases: tuple[str, ...]
    requires: tuple[str, ...]
    execute: tuple[str, ...]
    owner: str = "hven_owner"

    @property
    def sha256(self) -> str:
        """Digest of the assembled text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def functions(self) -> tuple[str, ...]:
        """Names, without schema, of the functions that the file creates."""
        return tuple(dict.fromkeys(_FUNCTION.findall(self.text)))


def read(tree: Path = TREE) -> dict[str, FunctionFile]:
    """All files of a tree by name, each after those that it requires.

    Raises
    ------
    DeployError
        For a missing declaration, include or required file, and for files that require each other.
    """
    files = {}
    for path in sorted(tree.rglob("*.sql")):
        name = path.relative_to(tree).with_suffix("").as_posix()
        files[name] = _assemble(path, name)
    for file in files.values():
        for missing in set(file.requires) - set(files):
            raise DeployError(f"{file.name}.sql: requires {missing}, and there is no {missing}.sql")
    try:
        order = TopologicalSorter({file.name: file.requires for file in files.values()}).static_order()
        return {name: files[name] for name in order}
    except CycleError as error:
        cycle = error.args[1]
        raise DeployError(f"{cycle[0]}.sql: requires itself through {' → '.join(cycle)}") from None


def manifest(tree: Path = TREE) -> dict[str, str]:
    """Name → sha256 of the assembled text of each file of a tree."""
    return {name: file.sha256 for name, file in read(tree).items()}


def deploy(connection, catalogue: str | None, *, revisions=None, tree: Path = TREE) -> list[str]:
    """Create or replace the functions of a tree in one database; the caller commits.

    Parameters
    ----------
    connection : psycopg2 connection
        Of a superuser, as PL/Python demands.
    catalogue : str or None
        Name of the catalogue schema: ``level1``, ``release`` (the template) or a release's own name; None in
        the hub, which has none.
    revisions : collection of str, optional
        The schema revisions that the database has. Files whose minimum revision is not among them are left
        out, as a frozen release needs. All files go in where it is not given.

    Returns
    -------
    list of str
        Names of the files deployed, in their order.

    Raises
    ------
    DeployError
        With the file's name and line where the server refuses its text; nothing is changed then.
    """
    files = [file for file in read(tree).values() if _belongs(file, catalogue, revisions)]
    with connection.cursor() as cursor:
        for file in files:
            _create(cursor, file, catalogue)
            cursor.execute(_FORGET, (file.name,))
            cursor.execute(_RECORD, (file.name, file.sha256, file.minimum_revision))
    return [file.name for file in files]


def difference(connection, catalogue: str | None, *, revisions=None, tree: Path = TREE) -> dict[str, str]:
    """Name → ``missing``, ``changed`` or ``unknown`` for each file in which tree and database differ."""
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, sha256 FROM hven.function_manifest")
        there = dict(cursor.fetchall())
    here = {file.name: file.sha256 for file in read(tree).values() if _belongs(file, catalogue, revisions)}
    found = dict.fromkeys(here.keys() - there.keys(), "missing")
    found |= dict.fromkeys(there.keys() - here.keys(), "unknown")
    found |= {name: "changed" for name in here.keys() & there.keys() if here[name] != there[name]}
    return dict(sorted(found.items()))


def _belongs(file: FunctionFile, catalogue: str | None, revisions) -> bool:
    kind = {None: "hub", "level1": "level1"}.get(catalogue, "release")
    has_revision = revisions is None or file.minimum_revision in {"base", *revisions}
    return kind in file.databases and has_revision


def _assemble(path: Path, name: str) -> FunctionFile:
    headers = ("minimum revision", "databases", "requires", "execute", "owner")
    declared: dict[str, list[str]] = {header: [] for header in headers}
    lines: list[str] = []
    origins: list[tuple[str, int]] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            declared[header[1]] += header[2].split()
        if include := _INCLUDE.fullmatch(line):
            body = _included(path.parent / include[1], f"{name}.sql line {number}")
            if lines and lines[-1].endswith("$python$"):
                lines[-1] += body.pop(0)
                origins += [(include[1], n) for n in range(2, len(body) + 2)]
            else:
                origins += [(include[1], n) for n in range(1, len(body) + 1)]
            lines += body
        else:
            lines.append(line)
            origins.append((f"{name}.sql", number))
    for key in ("minimum revision", "databases", "execute"):
        if not declared[key]:
            raise DeployError(f"{name}.sql: a line `-- {key}: …` is missing")
    return FunctionFile(
        name,
        "\n".join(lines) + "\n",
        tuple(origins),
        declared["minimum revision"][0],
        tuple(declared["databases"]),
        tuple(declared["requires"]),
        tuple(declared["execute"]),
        *declared["owner"],
    )


def _included(path: Path, where: str) -> list[str]:
    if not path.is_file():
        raise DeployError(f"{where}: includes {path.name}, and there is no such file beside it")
    return _NEIGHBOUR.sub(lambda found: "\n" * found[0].count("\n"), path.read_text()).splitlines()


def _create(cursor, file: FunctionFile, catalogue: str | None) -> None:
    import psycopg2

    if catalogue is not None and not _SCHEMA_NAME.fullmatch(catalogue):
        raise DeployError(f"deploy: catalogue is {catalogue!r}, allowed is a lower-case identifier")
    text = file.text if catalogue is None else _CATALOGUE.sub(catalogue, file.text)
    try:
        cursor.execute(text)
        cursor.execute(_NAMED, (list(file.functions),))
        for (signature,) in cursor.fetchall():
            cursor.execute(f"ALTER ROUTINE {signature} OWNER TO {file.owner}")
            cursor.execute(f"REVOKE ALL ON ROUTINE {signature} FROM public")
            cursor.execute(f"GRANT EXECUTE ON ROUTINE {signature} TO {', '.join(file.execute)}")
    except psycopg2.Error as error:
        where = f"{file.name}.sql"
        if error.diag.statement_position:
            line = text.count("\n", 0, int(error.diag.statement_position) - 1)
            where = "{} line {}".format(*file.origins[line])
        raise DeployError(f"{where}: {error.diag.message_primary} ({error.diag.sqlstate})") from error
