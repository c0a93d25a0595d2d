"""Rows of a VOTable as BINARY or BINARY2 (VOTable 1.4, 5.3 and 5.4): base64 of what numpy reads, in pieces."""

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from federation.columns import Field, is_list
from federation.errors import Level3Error

CODES = {
    "boolean": "S1", "bit": "u1", "unsignedByte": "u1", "short": ">i2", "int": ">i4", "long": ">i8", "float": ">f4",
    "double": ">f8", "char": "S1", "unicodeChar": ">u2",
}  # fmt: skip
PIECE = 3 << 20  # characters of base64 read at once
LONGEST_ROW = 64 << 20  # bytes
COUNT = struct.Struct(">I")  # before an array whose length differs


@dataclass(frozen=True)
class Packed:
    """A column as the bytes have it.

    Parameters
    ----------
    code : str
        numpy's type of an element.
    count : int or None
        Elements of a cell; None where each says so itself.
    null : str or None
        The integer that stands for NULL.
    """

    code: str
    count: int | None
    null: str | None

    @property
    def dtype(self) -> np.dtype:
        """What a cell of fixed length is."""
        return np.dtype((self.code, (self.count,))) if self.count != 1 else np.dtype(self.code)


def batches(path: Path, fields: Sequence[Field], nulls: Sequence[str | None], flagged: bool) -> Iterator[pa.Table]:
    """Yield the rows.

    Parameters
    ----------
    nulls : sequence of str or None
        What stands for NULL in each column.
    flagged : bool
        Whether each row begins with a bit for each column that is NULL, as in BINARY2.
    """
    columns = [_packed(one, null) for one, null in zip(fields, nulls, strict=True)]
    flags = math.ceil(len(columns) / 8) if flagged else 0
    read = _fixed if all(one.count is not None for one in columns) else _variable
    left = b""
    for piece in _decoded(path):
        rows, used = read(left + piece, columns, flags)
        left = (left + piece)[used:]
        if len(rows[0]):
            yield _table(rows, columns, fields)
        if len(left) > LONGEST_ROW:
            break
    if left:
        raise Level3Error(f"level3: {path.name} can't be read (its last row is cut short)", "get the file anew")


def _packed(field: Field, null: str | None) -> Packed:
    datatype, size = field.kind.split(" ")[0], (field.kind.split(" ") + [""])[1]
    if datatype == "bit" and size not in ("", "1"):
        raise Level3Error(f"level3: the column {field.original!r} holds arrays of bits", "write it as TABLEDATA")
    if "*" in size:
        return Packed(CODES[datatype], None, null)
    return Packed(CODES[datatype], math.prod(int(one) for one in size.split("x")) if size else 1, null)


def _decoded(path: Path) -> Iterator[bytes]:
    """Yield the bytes of the stream."""
    with path.open("rb") as file:
        head = b""
        while not (found := re.search(rb"<(?:\w+:)?STREAM([^>]*)>", head)):
            if not (piece := file.read(1 << 16)):
                raise Level3Error(f"level3: {path.name} has no STREAM", "get the file anew")
            head += piece
        if not re.search(rb"encoding\s*=\s*[\"']base64[\"']", found[1]) or b"href" in found[1]:
            raise Level3Error(
                f"level3: {path.name} has its rows elsewhere, or not as base64; allowed is base64 in the file",
                "write it as TABLEDATA",
            )
        left, ended = head[found.end() :], False
        while not ended:
            piece = left + file.read(PIECE)
            content, ended = piece.partition(b"<")[0], b"<" in piece
            if not ended and len(piece) == len(left):
                raise Level3Error(f"level3: {path.name} can't be read (it is cut short)", "get the file anew")
            plain = content.translate(None, b" \t\r\n")
            whole = len(plain) if ended else len(plain) // 4 * 4
            left = plain[whole:]
            try:
                yield base64.b64decode(plain[:whole], validate=True)
            except binascii.Error as error:
                raise Level3Error(f"level3: {path.name} can't be read ({error})", "get the file anew") from error


Rows = list[tuple[object, np.ndarray]]
"""Cells of each column, an array or a list of arrays, and which are flagged as NULL."""


def _fixed(content: bytes, columns: Sequence[Packed], flags: int) -> tuple[Rows, int]:
    row = np.dtype([("flags", "u1", (flags,)), *((str(n), one.dtype) for n, one in enumerate(columns))])
    data = np.frombuffer(content, row, len(content) // row.itemsize)
    is_null = np.unpackbits(data["flags"], axis=1).astype(bool)
    none = np.zeros(len(data), bool)
    return [(data[str(n)], is_null[:, n] if flags else none) for n in range(len(columns))], len(data) * row.itemsize


def _variable(content: bytes, columns: Sequence[Packed], flags: int) -> tuple[Rows, int]:
    """Walk through rows that differ in length; the last one may not be whole yet."""
    plan = [(one.count, np.dtype(one.code).itemsize) for one in columns]
    cells: list[list[bytes]] = [[] for _ in columns]
    flagged, used = [], 0
    while used + flags <= len(content):
        at, row = used + flags, []
        for fixed, size in plan:
            if fixed is None and at + COUNT.size > len(content):
                at = len(content) + 1
                break
            count = COUNT.unpack_from(content, at)[0] if fixed is None else fixed
            at += COUNT.size if fixed is None else 0
            row.append(content[at : at + count * size])
            at += count * size
        if at > len(content) or at == used:
            break
        for column, cell in zip(cells, row, strict=True):
            column.append(cell)
        flagged.append(content[used : used + flags])
        used = at
    is_null = np.unpackbits(np.frombuffer(b"".join(flagged), "u1").reshape(-1, max(flags, 1)), axis=1).astype(bool)
    none = np.zeros(len(flagged), bool)
    rows = []
    for n, (one, column) in enumerate(zip(columns, cells, strict=True)):
        read = column if one.count is None else np.frombuffer(b"".join(column), one.dtype)
        rows.append((read, is_null[:, n] if flags else none))
    return rows, used


def _table(rows: Rows, columns: Sequence[Packed], fields: Sequence[Field]) -> pa.Table:
    arrays = [_arrow(*cells, one, field) for cells, one, field in zip(rows, columns, fields, strict=True)]
    return pa.Table.from_arrays(arrays, [str(n) for n in range(len(arrays))])


def _arrow(cells, is_null: np.ndarray, one: Packed, field: Field) -> pa.Array:
    if field.kind.startswith(("char", "unicodeChar")):
        return _texts(cells, is_null, "utf-16-be" if one.code == ">u2" else "utf-8")
    parts = [np.frombuffer(cell, one.code) for cell in cells] if isinstance(cells, list) else None
    flat = np.concatenate(parts) if parts else np.asarray(cells).reshape(-1)
    missing = None
    if one.code == "S1":
        is_true = np.isin(flat, [b"T", b"t", b"1"])
        missing, flat = ~(is_true | np.isin(flat, [b"F", b"f", b"0"])), is_true
    elif field.kind.startswith("bit"):  # writers differ in which bit of the byte they set
        flat = flat != 0
    elif one.null is not None and flat.dtype.kind in "iu":
        missing = flat == int(one.null)
    item = field.type.value_type if is_list(field.type) else field.type
    values = flat if flat.dtype.kind == "b" else flat.astype(flat.dtype.newbyteorder("="))
    if not is_list(field.type):
        return pa.array(values, item, mask=is_null if missing is None else is_null | missing)
    sizes = [len(part) for part in parts] if parts is not None else np.full(len(cells), one.count)
    offsets = pa.array(np.append(0, np.cumsum(sizes)), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, pa.array(values, item, mask=missing), mask=pa.array(is_null))


def _texts(cells, is_null: np.ndarray, encoding: str) -> pa.Array:
    given = cells if isinstance(cells, list) else [cell.tobytes() for cell in cells]
    texts = [cell.decode(encoding, "replace").partition("\0")[0] or None for cell in given]
    return pc.if_else(pa.array(is_null), None, pa.array(texts, pa.string()))
