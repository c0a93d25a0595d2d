"""The file store: content-addressed files on disk, rows of `queue.file` in the database.

A file's name is the sha256 of its content, so it is never overwritten, and the same content is stored once.
Content comes first, then the row in the transaction of the job that made it: a crash between the two leaves
an orphan that the collector finds, never a row without content.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from db.errors import HvenError
from db.queries import queries

PIECE = 1 << 20  # bytes read at once


class FileStoreError(HvenError):
    """The store can't take or give a file."""

    exit_status = 8


@dataclass(frozen=True)
class StoredFile:
    """What identifies a file: the checksum of its content (32 bytes) and its length in bytes."""

    sha256: bytes
    size: int


@dataclass(frozen=True)
class Extent:
    """Where a product lies inside a pack [byte]."""

    offset: int
    length: int


@dataclass(frozen=True)
class FileStore:
    """A folder of content-addressed files."""

    root: Path

    def path(self, sha256: bytes) -> Path:
        """Return where the content of this checksum lies, or would lie."""
        name = sha256.hex()
        return self.root / name[:2] / name[2:4] / name

    def put(self, content: bytes | Path) -> StoredFile:
        """Store content (or a copy of a file) durably; the same content again costs only checksums.

        Raises
        ------
        FileStoreError
            The store is full, read-only or absent; nothing is left behind.
        """
        stored = _identify(content)
        place = self.path(stored.sha256)
        if _keep(place, stored.size):
            return stored
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(content, place)
        except OSError as error:
            raise FileStoreError(
                f"file store: cannot write under {self.root} ({error.strerror})",
                "make room, or make the folder writable for this user",
            ) from error
        return stored

    def receive(self, source: Path, sha256: bytes) -> int:
        """Take in a file from another store, going on where an earlier attempt ended; return the bytes copied.

        Raises
        ------
        FileStoreError
            The store can't be written, or what arrived is not the content of this checksum; that is thrown away.
        """
        place = self.path(sha256)
        if _keep(place, source.stat().st_size):
            return 0
        part = place.parent / f".part-{sha256.hex()}"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            copied = _append(source, part)
        except OSError as error:
            raise FileStoreError(
                f"file store: cannot write under {self.root} ({error.strerror})",
                "make room, or make the folder writable for this user",
            ) from error
        if (found := _identify(part).sha256) != sha256:
            part.unlink()
            raise FileStoreError(
                f"file store: {sha256.hex()} arrived as {found.hex()}",
                "verify the file where it comes from, then send again",
            )
        part.chmod(0o444)
        part.rename(place)
        _sync(place.parent)
        return copied

    def get(self, sha256: bytes) -> Path:
        """Return the path of stored content.

        Raises
        ------
        FileStoreError
            It is not there.
        """
        place = self.path(sha256)
        if not place.exists():
            raise FileStoreError(
                f"file store: {sha256.hex()} is not under {self.root}", "restore it from a backup, or recreate it"
            )
        return place

    def verify(self, sha256: bytes) -> None:
        """Read stored content and compare it with its name; raises FileStoreError if it has changed."""
        found = _identify(self.get(sha256)).sha256
        if found != sha256:
            raise FileStoreError(
                f"file store: {sha256.hex()} has changed on disk, its content is now {found.hex()}",
                "restore it from a backup, or recreate it",
            )


    def part(self, sha256: bytes, offset: int, length: int) -> bytes:
        """Return some bytes of stored content, such as one product of a pack.

        Raises
        ------
        FileStoreError
            The file is not there, or ends before the part does.
        """
        with self.get(sha256).open("rb") as stream:
            stream.seek(offset)
            found = stream.read(length)
        if len(found) != length:
            raise FileStoreError(
                f"file store: {sha256.hex()} has {len(found)} of the {length} bytes that were asked for at {offset}",
                "verify the file, then restore it from a backup, or recreate it",
            )
        return found

    def put_pack(self, parts: Iterable[bytes]) -> "tuple[StoredFile, list[Extent]]":
        """Store many small products as one file; return it, and where each of them lies.

        A night's stamps and Alert packets would be millions of files, each costing a block and two syncs.
        """
        content = list(parts)
        ends = list(accumulate(map(len, content)))
        extents = [Extent(end - len(part), len(part)) for part, end in zip(content, ends, strict=True)]
        return self.put(b"".join(content)), extents

    def files(self) -> Iterator[Path]:
        """Yield every file of content; what is half written or condemned is none."""
        for place in self.root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"):
            if len(place.name) == 64:
                yield place


def register(
    cursor: Cursor, stored: StoredFile, media_type: str, *, name: str | None = None, job_id: int | None = None
) -> int:
    """Return the file_id of stored content, with a row made unless there is one."""
    values = {"sha256": stored.sha256, "size": stored.size, "media_type": media_type, "name": name, "job_id": job_id}
    cursor.execute(queries("files")["register"], values)
    return cursor.fetchone()[0]


def _identify(content: bytes | Path) -> StoredFile:
    if isinstance(content, bytes):
        return StoredFile(hashlib.sha256(content).digest(), len(content))
    with content.open("rb") as stream:
        return StoredFile(hashlib.file_digest(stream, "sha256").digest(), content.stat().st_size)


def _keep(place: Path, size: int) -> bool:
    """Return whether content is there, and sound; it counts as new then, so that the collector spares it."""
    try:
        os.utime(place)
        return place.stat().st_size == size and _identify(place).sha256.hex() == place.name
    except OSError:  # absent, or of another owner: it is written
        return False


def _write(content: bytes | Path, place: Path) -> None:
    """Write beside the place, sync, then rename: the place holds all of the content or nothing."""
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=".part-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                with content.open("rb") as source:
                    while piece := source.read(PIECE):
                        stream.write(piece)
            stream.flush()
            os.fchmod(descriptor, 0o444)
            os.fsync(descriptor)
        Path(name).rename(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync(place.parent)


def _append(source: Path, part: Path) -> int:
    """Append to a part what it lacks of the source, durably; return how many bytes that was."""
    with source.open("rb") as reader, part.open("ab") as stream:
        begun = stream.tell()
        reader.seek(begun)
        while piece := reader.read(PIECE):
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())
        return stream.tell() - begun


def _sync(folder: Path) -> None:
    """Make what was renamed into a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
