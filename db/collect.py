"""The collector: compares the file store with the rows of all databases, and deletes what none of them knows.

A file is deleted when two looks, a grace time apart, found no row of it in any database, and nobody stored its
content again meanwhile. It is first moved aside, then looked for a third time: a row that came at the last moment
brings it back. A database that can't be asked stops all deletion, since its rows can't be known.
"""

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from db import inventory
from db.connect import HUB, connect
from db.errors import HvenError
from db.files import FileStore, FileStoreError
from db.queries import queries

GRACE = 24 * 3600.0  # seconds; longer than any job takes from storing a file to committing its row
TOMBSTONES = ".tombstones"
CONDEMNED = ".condemned"


class CollectError(HvenError):
    """The collector can't know which files are in use."""

    exit_status = 18


@dataclass
class Account:
    """What a look at the store found; files by sha256 in hexadecimal.

    Parameters
    ----------
    files, size : int
        All of the store, and its bytes.
    orphans : list of str
        Files without a row.
    missing : dict of str to list of str
        Rows without a file, and the databases that have them.
    changed : dict of str to str
        Files whose content is not what their name says, and why.
    buried, deleted, revived : list of str
        Given a tombstone; deleted after the grace time; whose tombstone was lifted.
    """

    files: int = 0
    size: int = 0
    orphans: list[str] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    buried: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)


def databases() -> list[str]:
    """Return every database whose rows keep files: the hub, and all Science Databases but the template."""
    found = {one.database for one in inventory.databases() if one.state != "template"}
    with closing(connect(HUB)) as session, session.cursor() as cursor:
        cursor.execute(queries("inventory")["known"])
        return sorted(found | {database for database, _, _ in cursor})


def in_use(names: Iterable[str]) -> dict[str, list[str]]:
    """Return sha256 → databases with a row of that file.

    Raises
    ------
    CollectError
        A database can't be asked.
    """
    used: dict[str, list[str]] = {}
    for name in names:
        try:
            with closing(connect(name)) as session, session.cursor("files") as cursor:
                cursor.itersize = 50_000
                cursor.execute(queries("files")["in_use"])
                for (sha256,) in cursor:
                    used.setdefault(sha256, []).append(name)
        except Exception as error:
            raise CollectError(
                f"files: {name} can't be asked which files it needs ({str(error).splitlines()[0]}), so none is deleted",
                "bring it up, or `hven upgrade`, or drop it and take it out of hub.science_database",
            ) from error
    return used


def look(store: FileStore, names: Iterable[str]) -> Account:
    """Compare files with rows, both ways; change nothing."""
    account = Account()
    used, there = in_use(names), set()
    for place in store.files():
        there.add(place.name)
        account.files += 1
        account.size += place.stat().st_size
    account.orphans = sorted(there - used.keys())
    account.missing = {sha256: used[sha256] for sha256 in sorted(used.keys() - there)}
    return account


def verify(store: FileStore, names: Iterable[str]) -> Account:
    """Read every file and compare its content with its name; note in the databases which are sound."""
    names = list(names)
    account, sound = look(store, names), []
    for place in store.files():
        try:
            store.verify(bytes.fromhex(place.name))
            sound.append(bytes.fromhex(place.name))
        except FileStoreError as error:
            account.changed[place.name] = error.problem
    for name in names:
        with closing(connect(name)) as session, session, session.cursor() as cursor:
            cursor.execute(queries("files")["verified"], {"sha256": sound})
    return account


def collect(store: FileStore, names: Iterable[str], *, grace: float = GRACE) -> Account:
    """Bury orphans; delete those that were buried a grace time ago and still are orphans."""
    names = list(names)
    account = look(store, names)
    orphans = set(account.orphans)
    tombstones = store.root / TOMBSTONES
    tombstones.mkdir(parents=True, exist_ok=True)
    buried = {stone.name: stone for stone in tombstones.iterdir()}
    for sha256 in buried.keys() - orphans:
        buried[sha256].unlink()
        account.revived.append(sha256)
    for sha256 in orphans - buried.keys():
        (tombstones / sha256).touch()
        account.buried.append(sha256)
    now = time.time()
    due = [sha256 for sha256 in sorted(orphans & buried.keys()) if _age(buried[sha256], now) >= grace]
    aside = {sha256: place for sha256 in due if (place := _move_aside(store, sha256, now - grace))}
    used = in_use(names) if aside else {}
    for sha256, place in aside.items():
        if sha256 in used:
            place.rename(_parent_of(store, sha256))
            account.revived.append(sha256)
        else:
            place.unlink()
            account.deleted.append(sha256)
        buried[sha256].unlink()
    return account


def _age(path: Path, now: float) -> float:
    """Return how long ago a file was touched [s]; a time in the future, as after a jump of the clock, is no age."""
    return now - path.stat().st_mtime


def _move_aside(store: FileStore, sha256: str, before: float) -> Path | None:
    """Take an orphan out of the store unless it was stored again since; return where it is now."""
    place, aside = store.path(bytes.fromhex(sha256)), store.root / CONDEMNED / sha256
    aside.parent.mkdir(exist_ok=True)
    place.rename(aside)
    if aside.stat().st_mtime <= before:  # after the move: nobody finds the file here to store it again
        return aside
    aside.rename(_parent_of(store, sha256))
    return None


def _parent_of(store: FileStore, sha256: str) -> Path:
    """Return the place of a file, with its folder made."""
    place = store.path(bytes.fromhex(sha256))
    place.parent.mkdir(parents=True, exist_ok=True)
    return place
