"""Digests of tables, by which two databases are compared whatever the order and the storage of their rows.

Each row's columns, in the order of their names, are hashed to 64 bits, and this hash by two seeds to two more; a set
of rows is told by its count, the exclusive or of the first and the sum modulo 2**64 of the second. What one lane
misses (rows that come in pairs cancel in the exclusive or) changes the other. Hashing the row's hash again breaks its
linearity in the columns, so values that change places between rows are seen.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from queue import SimpleQueue

import psycopg2
from psycopg2 import sql
from psycopg2.extras import NamedTupleCursor

from db import schema, settings
from db.connect import connect
from db.errors import HvenError
from db.queries import queries

ORDER = 3  # pixels of 7.3 degrees: 768 on the sky
SCIENCE_SCHEMAS = ("catalogue", "efd", "synthetic", "hub")
PIECE = 1 << 12  # blocks that are digested at once: 32 MB
WORD = 1 << 64
MODELS = schema.metadata.tables
OBJECT_PLACE = "(object_id >> 3 & 18014398509481983) << 8"  # an Object's id holds its order-25 pixel


class ChecksumError(HvenError):
    """A digest can't be taken or compared."""

    exit_status = 12


@dataclass(frozen=True)
class Digest:
    """What a set of rows is told by; the sum of two is that of both sets."""

    rows: int = 0
    xor: int = 0
    sum: int = 0

    def __add__(self, other: "Digest") -> "Digest":
        return Digest(self.rows + other.rows, self.xor ^ other.xor, (self.sum + other.sum) % WORD)

    def __str__(self) -> str:
        return f"{self.xor:016x}-{self.sum:016x}"


@dataclass(frozen=True)
class Subject:
    """What of a table is digested.

    Parameters
    ----------
    name : str
        Name under which two databases are compared: the catalogue's schema is `catalogue` in each.
    relation : str
        Its name in this database, quoted.
    columns : tuple of str
        Names, in their order; followed by IS NULL where only that counts.
    expressions : tuple of str
        What is hashed of each.
    place : str
        Expression of the order-29 pixel.
    """

    name: str
    relation: str
    columns: tuple[str, ...]
    expressions: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class TableDigest:
    """Digests of a table by pixel of the coarse order; the pixel is None for rows without a place."""

    columns: tuple[str, ...]
    pixels: dict[int | None, Digest] = field(default_factory=dict)

    @property
    def whole(self) -> Digest:
        """Digest of all rows."""
        return sum(self.pixels.values(), Digest())


def subjects(session, everything: bool = False) -> list[Subject]:
    """Return what of a database is digested: the science columns, or all columns of all tables.

    Parameters
    ----------
    session : psycopg2 connection
    everything : bool
        Also queues, logs, clocks and users' own tables: for a copy of the very same database.
    """
    with session.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute(queries("checksum")["columns"])
        tables = [(*key, list(rows)) for key, rows in groupby(cursor, lambda row: (row.name, row.relation))]
    found = []
    for name, relation, given in tables:
        covered = given if everything else _science(name, given)
        if covered:
            hidden = set() if everything else {c.column for c in covered if _kind(name, c.column) == "presence"}
            columns = tuple(f"{c.column} IS NULL" if c.column in hidden else c.column for c in covered)
            expressions = tuple(f"{c.expression} IS NULL" if c.column in hidden else c.expression for c in covered)
            found.append(Subject(name, relation, columns, expressions, _place(given)))
    return found


def chosen(found: list[Subject], names: tuple[str, ...]) -> list[Subject]:
    """Return the subjects of some tables, by name with or without schema; all if no name is given.

    Raises
    ------
    ChecksumError
        A name is none of theirs.
    """
    known = {key: subject for subject in found for key in (subject.name.split(".")[1], subject.relation, subject.name)}
    if unknown := [name for name in names if name not in known]:
        raise ChecksumError(
            f"checksum: no table {', '.join(unknown)} is covered; covered are {', '.join(s.name for s in found)}",
            "name one of these, or cover everything by --all",
        )
    return [known[name] for name in dict.fromkeys(names)] or found


def _science(name: str, columns: list) -> list:
    """Return the science columns of a table, by the models."""
    model = MODELS.get(name)
    if model is None or model.schema not in SCIENCE_SCHEMAS or model.info.get("science") is False:
        return []
    return [column for column in columns if column.column in model.columns and _kind(name, column.column)]


def _kind(table: str, column: str) -> bool | str:
    return MODELS[table].columns[column].info["science"]


def _place(columns: list) -> str:
    names = {column.column: column.not_null for column in columns}
    if "healpix29" in names:
        return "healpix29"
    return OBJECT_PLACE if names.get("object_id") else "NULL::bigint"


@contextmanager
def snapshot(database: str) -> Iterator[tuple]:
    """Hold the present state of a database; yield the connection that holds it, and the snapshot's name."""
    with closing(connect(database)) as session:
        session.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with session.cursor() as cursor:
            cursor.execute(queries("checksum")["snapshot"])
            yield session, cursor.fetchone()[0]


def digest(
    database: str,
    held: tuple,
    wanted: list[Subject],
    order: int = ORDER,
    say: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, TableDigest]:
    """Digest tables of a database in one snapshot, on as many connections as there are processors.

    Parameters
    ----------
    database : str
    held : tuple
        Of `snapshot`.
    wanted : list of Subject
    order : int
        HEALPix order of the pixels, NESTED.
    say : callable
        Is told how many blocks are done, and of how many.

    Returns
    -------
    dict
        Name of the table → its digests.
    """
    session, name = held
    pieces = [piece for subject in wanted for piece in _pieces(session, subject)]
    total, done = sum(piece.blocks for piece in pieces), 0
    tables = {subject.name: TableDigest(subject.columns) for subject in wanted}
    readers: SimpleQueue = SimpleQueue()

    def work(piece: _Piece) -> list[tuple]:
        reader = readers.get()
        try:
            return _digest(reader, piece, order)
        finally:
            readers.put(reader)

    with ThreadPoolExecutor(settings.cores()) as pool, ExitStack() as stack:
        for _ in range(settings.cores()):
            readers.put(stack.enter_context(_reader(database, name)))
        stack.callback(pool.shutdown, cancel_futures=True)  # first of all, so that an interruption need not wait
        for piece, rows in zip(pieces, pool.map(work, pieces), strict=True):
            pixels = tables[piece.subject.name].pixels
            for pixel, count, xor, added in rows:
                pixels[pixel] = pixels.get(pixel, Digest()) + Digest(count, xor % WORD, int(added) % WORD)
            done += piece.blocks
            say(done, total)
    return tables


@dataclass(frozen=True)
class _Piece:
    """A range of blocks of a table or partition."""

    subject: Subject
    leaf: str
    first: int
    blocks: int


def _pieces(session, subject: Subject) -> Iterator[_Piece]:
    with _readable(subject.relation), session.cursor() as cursor:
        cursor.execute(queries("checksum")["leaves"], {"relation": subject.relation})
        for leaf, blocks in cursor.fetchall():
            for first in range(0, blocks, PIECE):
                yield _Piece(subject, leaf, first, min(PIECE, blocks - first))


@contextmanager
def _reader(database: str, name: str) -> Iterator:
    """Yield a connection that sees the snapshot."""
    with closing(connect(database)) as session:
        session.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with session.cursor() as cursor:
            cursor.execute("SET TRANSACTION SNAPSHOT %s", (name,))
            cursor.execute(queries("checksum")["plan"])
        yield session


def _digest(session, piece: _Piece, order: int) -> list[tuple]:
    query = sql.SQL(queries("checksum")["digest"]).format(
        place=sql.SQL(piece.subject.place),
        shift=sql.Literal(2 * (29 - order)),
        leaf=sql.SQL(piece.leaf),
        columns=sql.SQL(", ").join(map(sql.SQL, piece.subject.expressions)),
        first=sql.Literal(f"({piece.first},0)"),
        last=sql.Literal(f"({piece.first + piece.blocks},0)"),
    )
    with _readable(piece.leaf), session.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


@contextmanager
def _readable(relation: str) -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        said = (error.diag.message_primary or str(error)).strip()
        raise ChecksumError(
            f"checksum: {relation} can't be read ({said})", "connect as a role that may read all tables, or name some"
        ) from error
