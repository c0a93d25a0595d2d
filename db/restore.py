"""Restoring backups: into new databases, which get their names when their digests are those of the backup."""

import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from db import checksum, settings
from db.backup import ROLES, BackupError, Say, check_files, manifest, tool
from db.comparison import Report, differences, parse
from db.connect import MAINTENANCE, connect, dsn
from db.queries import queries

NAME = re.compile(r"[a-z_][a-z0-9_]{0,40}")
STATEMENT = re.compile(r"^(?:CREATE|ALTER|COMMENT|GRANT|REVOKE) .*?;$", re.MULTILINE | re.DOTALL)
ROLE = r'(?:"(?:[^"]|"")+"|\w+)'
OF_ROLE = re.compile(rf"(?:(?:CREATE|ALTER|COMMENT ON) ROLE|GRANT) ({ROLE})(?: TO ({ROLE}))?")
CREATE_ROLE = re.compile(rf"CREATE ROLE ({ROLE});")
TABLESPACE = re.compile(rf"^CREATE TABLESPACE ({ROLE}) ", re.MULTILINE)
UNFINISHED = "unfinished_"


def restore(folder: Path, wanted: list[str], say: Say, *, name: str | None = None, jobs: int = 0) -> list[str]:
    """Restore databases of a backup that do not exist on this server, with their settings and grants.

    Roles that are missing are made; those that exist stay as they are. An interruption leaves databases whose names
    begin with `unfinished_`, which the next attempt replaces.

    Parameters
    ----------
    folder : Path
    wanted : list of str
        Databases of the backup; all if empty.
    say : callable
        Is told how far it is.
    name : str, optional
        Name of the restored database, if one is wanted; default its own.
    jobs : int
        Tables that are restored at once; default one a processor.

    Returns
    -------
    list of str
        Names of the restored databases.

    Raises
    ------
    BackupError
        A database of the name exists, the backup is damaged, or the restored tables differ from those saved.
    """
    held = manifest(folder, wanted)
    targets = {source: name or source for source in wanted or held["databases"]}
    if name and len(targets) > 1:
        raise BackupError(f"restore: {folder} holds {', '.join(targets)}", "name the one that gets the new name")
    _refuse(targets.values())
    say(f"{folder}: checking the files")
    check_files(folder, list(targets))
    missing = _make_roles((folder / ROLES).read_text(), say)
    for source, target in targets.items():
        say(f"{target}: restoring")
        unfinished = _create(folder / source, source, target)
        tool("pg_restore", "--exit-on-error", f"--jobs={jobs or settings.cores()}", f"--dbname={dsn(unfinished)}",
             *(["--no-tablespaces"] if missing else []), str(folder / source))  # fmt: skip
        _finish(unfinished, target, parse(held["databases"][source]["digests"]), say)
    return list(targets.values())


def _refuse(targets: Iterable[str]) -> None:
    """Refuse names that are taken or are none."""
    with _server() as cursor:
        for target in targets:
            if not NAME.fullmatch(target):
                raise BackupError(
                    f"restore: got the name {target!r}; allowed are a-z, 0-9 and _, beginning with a letter",
                    "choose such a name",
                )
            cursor.execute(queries("databases")["exists"], {"database": target})
            if cursor.rowcount:
                raise BackupError(
                    f"restore: database {target} exists and is never overwritten",
                    "restore it `--as` another name, or drop it first",
                )


def _make_roles(globals_: str, say: Say) -> list[str]:
    """Make the roles that this server lacks; return the tablespaces that it lacks."""
    with _server() as cursor:
        cursor.execute("SELECT quote_ident(rolname) FROM pg_roles")
        there = {role for (role,) in cursor}
        new = {found[1] for line in globals_.splitlines() if (found := CREATE_ROLE.match(line))} - there
        for line in globals_.splitlines():
            concerned = OF_ROLE.match(line)
            if concerned and not new.isdisjoint(concerned.groups()):
                cursor.execute(line)
        cursor.execute("SELECT quote_ident(spcname) FROM pg_tablespace")
        missing = sorted(set(TABLESPACE.findall(globals_)) - {space for (space,) in cursor})
    if new:
        say(f"roles made: {', '.join(sorted(new))}")
    if missing:
        say(f"tablespaces that are missing: {', '.join(missing)}; their tables go to the default one")
    return missing


def _create(dump: Path, source: str, target: str) -> str:
    """Make an empty database with the settings, grants and comment of the one saved; return its name for now."""
    contents = tool("pg_restore", "--create", "--list", str(dump)).splitlines(keepends=True)
    with NamedTemporaryFile("w") as chosen:
        chosen.writelines(line for line in contents if " DATABASE " in line)
        chosen.flush()
        text = tool("pg_restore", "--create", f"--use-list={chosen.name}", "--file=-", str(dump))
    unfinished = UNFINISHED + target
    with _server() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {unfinished} (FORCE)")
        for statement in STATEMENT.findall(text):
            cursor.execute(re.sub(rf"\bDATABASE {source}\b", f"DATABASE {unfinished}", statement, count=1))
    return unfinished


def _finish(unfinished: str, target: str, saved: Report, say: Say) -> None:
    """Compare a restored database with what was saved, gather statistics, and give it its name."""
    say(f"{target}: comparing digests")
    with checksum.snapshot(unfinished) as held:
        found = checksum.digest(unfinished, held, checksum.subjects(held[0], everything=True), saved.order)
    tables = sorted({entry.table for entry in differences(found, saved.tables)})
    if tables:
        raise BackupError(
            f"restore: {target} differs from the backup in {', '.join(tables[:5])}; it stands as {unfinished}",
            "look at it there, and use another backup",
        )
    tool("vacuumdb", "--analyze", "--quiet", f"--jobs={settings.cores()}", f"--dbname={dsn(unfinished)}")
    with _server() as cursor:
        cursor.execute(f"ALTER DATABASE {unfinished} RENAME TO {target}")
    rows = sum(table.whole.rows for table in found.values())
    say(f"{target}: {len(found)} tables, {rows} rows, as saved")


@contextmanager
def _server() -> Iterator:
    """Yield a cursor for statements about databases and roles, each its own transaction."""
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        session.autocommit = True
        yield cursor
