"""Backups: a folder of dumps with the digests that a restored database must have.

`DIR/<database>/` is pg_dump's directory format, `roles.sql` the server's roles, `manifest.json` says what was taken
when and holds the digests of all tables, read in the very snapshot that was dumped; `SHA256SUMS` covers all files
(`sha256sum -c` reads it). Each database is consistent in itself; for one moment over all of them, and for a point in
time between backups, there is WAL (docs/operations.md).
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from db import checksum, settings
from db.comparison import Report
from db.connect import MAINTENANCE, connect, dsn, resolve
from db.errors import HvenError, reason
from db.inventory import databases
from db.queries import queries

MANIFEST, ROLES, SUMS = "manifest.json", "roles.sql", "SHA256SUMS"
FORM = 1  # of the manifest
COMPRESSION = 1  # of gzip: floats shrink little more at 6, which takes three times as long

Say = Callable[[str], None]


class BackupError(HvenError):
    """A backup can't be made or used."""

    exit_status = 13


def back_up(folder: Path, wanted: list[str], say: Say, *, passwords: bool = False, jobs: int = 0) -> None:
    """Dump databases into a new folder, which appears when it is complete.

    Parameters
    ----------
    folder : Path
        Must not exist.
    wanted : list of str
        Databases or names such as level1; all of ours (less the template, which `hven upgrade` makes) if empty.
    say : callable
        Is told how far it is.
    passwords : bool
        With the hashes of the roles' passwords.
    jobs : int
        Tables that are dumped at once; default one a processor.

    Raises
    ------
    BackupError
        The folder exists, the disk is full, or pg_dump failed; nothing is left behind.
    """
    names = [resolve(name) for name in wanted] or [entry.database for entry in databases() if entry.state != "template"]
    if unknown := [name for name in names if not _exists(name)]:
        raise BackupError(f"backup: there is no database {', '.join(unknown)}", "`hven status` lists what there is")
    if not names:
        raise BackupError("backup: the server has no database of ours", "`hven upgrade` makes them")
    if folder.exists():
        raise BackupError(f"backup: {folder} exists already", "name a folder that does not exist")
    with _written(folder) as unfinished:
        tool("pg_dumpall", "--globals-only", f"--file={unfinished / ROLES}", f"--dbname={dsn(MAINTENANCE)}",
              *([] if passwords else ["--no-role-passwords"]))  # fmt: skip
        made = {
            "form": FORM,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "passwords": passwords,
            "databases": {name: _dump(name, unfinished, jobs or settings.cores(), say) for name in names},
        }
        (unfinished / MANIFEST).write_text(json.dumps(made, indent=1))
        sums = [f"{digest}  {path}\n" for path, digest in _sums(unfinished)]
        (unfinished / SUMS).write_text("".join(sums))


def manifest(folder: Path, wanted: list[str]) -> dict:
    """Return what a backup says of itself.

    Raises
    ------
    BackupError
        There is no complete backup in the folder, or it lacks one of the databases.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        said = reason(error)
        raise BackupError(f"restore: {folder} is not a complete backup ({said})", "name another folder") from error
    if unknown := [name for name in wanted if name not in found["databases"]]:
        held = ", ".join(found["databases"])
        raise BackupError(f"restore: {folder} has no {', '.join(unknown)}; it holds {held}", "name one of these")
    return found


def check_files(folder: Path, wanted: list[str]) -> None:
    """Compare the files of some databases, and those that all need, with their checksums.

    Raises
    ------
    BackupError
        A file is damaged, lost or foreign.
    """

    def needed(path: str) -> bool:
        return "/" not in path or path.partition("/")[0] in wanted

    sums = (folder / SUMS).read_text().splitlines() if (folder / SUMS).exists() else []
    expected = {path: digest for digest, _, path in (line.partition("  ") for line in sums) if needed(path)}
    there = dict(_sums(folder, needed))
    wrong = [path for path in sorted(expected.keys() | there.keys()) if expected.get(path) != there.get(path)]
    if wrong:
        raise BackupError(
            f"restore: {folder} has damaged, lost or foreign files: {', '.join(wrong[:5])}", "use another backup"
        )


def _exists(database: str) -> bool:
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        cursor.execute(queries("databases")["exists"], {"database": database})
        return cursor.rowcount > 0


def _dump(database: str, folder: Path, jobs: int, say: Say) -> dict:
    """Dump one database; return what the manifest says of it."""
    say(f"{database}: dumping")
    with checksum.snapshot(database) as held:
        covered = checksum.subjects(held[0], everything=True)
        tool("pg_dump", "--format=directory", f"--jobs={jobs}", f"--compress={COMPRESSION}", f"--snapshot={held[1]}",
              f"--file={folder / database}", f"--dbname={dsn(database)}")  # fmt: skip
        say(f"{database}: taking digests")
        tables = checksum.digest(database, held, covered)
    report = Report(database, "everything", checksum.ORDER, tables)
    rows = sum(table.whole.rows for table in tables.values())
    size = sum(path.stat().st_size for path in (folder / database).iterdir())
    say(f"{database}: {len(tables)} tables, {rows} rows, {size / settings.MB:.1f} MB")
    return {"rows": rows, "digests": report.as_dict()}


@contextmanager
def _written(folder: Path) -> Iterator[Path]:
    """Yield a folder that gets its name when all in it is on the disk, and is removed if anything fails."""
    unfinished = folder.with_name(folder.name + ".unfinished")
    try:
        unfinished.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(unfinished, os.O_RDONLY)
    except OSError as error:
        raise BackupError(f"backup: can't make {unfinished} ({error.strerror})", "name another folder") from error
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in unfinished.iterdir():  # by a backup that was killed
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield unfinished
        for path in (*unfinished.rglob("*"), unfinished):
            _sync(path)
        unfinished.rename(folder)
        _sync(folder.parent)
    except BlockingIOError as error:
        raise BackupError(f"backup: another one writes to {folder}", "wait for it, or name another folder") from error
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise BackupError(f"backup: can't write to {unfinished} ({error.strerror})", "make room there") from error
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    finally:
        os.close(opened)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _sums(folder: Path, needed: Callable[[str], bool] = lambda _: True) -> Iterator[tuple[str, str]]:
    """Yield name and SHA-256 of the files below a folder, but the list of them."""

    def digest(path: str) -> str:
        with (folder / path).open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    paths = sorted(path for path in names if path != SUMS and needed(path))
    with ThreadPoolExecutor(settings.cores()) as pool:
        yield from zip(paths, pool.map(digest, paths), strict=True)


def tool(name: str, *options: str) -> str:
    """Run one of PostgreSQL's programs and return what it printed; it ends with us."""
    own = settings.BINARIES / name
    command = [str(own) if own.exists() else name, *options]
    environment = os.environ | {"LC_ALL": "C", "PGAPPNAME": "hven"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            printed, said = process.communicate()
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        causes = [line for line in said.splitlines() if "error" in line or "detail" in line] or said.splitlines()[-1:]
        full = "No space left on device" in said
        raise BackupError(
            f"{name} failed ({'; '.join(causes[:3]).rstrip('.')})",
            "make room on the disk" if full else "mend that, then repeat",
        )
    return printed
