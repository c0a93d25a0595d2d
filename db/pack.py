"""Columns of cells → the bytes of PostgreSQL's binary COPY, without a Python loop over rows.

Each chunk of rows is laid out as a matrix of bytes in which every cell has its column's full width; then the
bytes that NULLs and short cells leave unused are squeezed out by one boolean index.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no header extension
TRAILER = b"\xff\xff"
BUFFER = 8 << 20  # bytes of one chunk, so that long texts don't exhaust memory
ALL_KEPT = {1: 0x01, 2: 0x0101, 4: 0x01010101, 8: 0x0101010101010101}  # that many True, as one integer
NULL = -1  # the length of a cell that holds none

Fill = Callable[[np.ndarray, slice], np.ndarray | None]
"""Writes some rows of a column into the cells given, in place; returns the bytes that each uses, or NULL, or
None where every cell is full."""


@dataclass(frozen=True)
class Cells:
    """One column: the dtype of a full cell without its length prefix, and what writes the cells."""

    name: str
    dtype: np.dtype
    fill: Fill


def pack(columns: Sequence[Cells], rows: int, chunk: int) -> Iterator[bytes]:
    """Yield a binary COPY stream: signature, chunks of at most `chunk` rows, trailer."""
    layout = np.dtype(
        [("columns", ">i2")]
        + [(f"{i}", [("length", ">i4"), ("data", column.dtype)]) for i, column in enumerate(columns)]
    )
    chunk = max(1, min(chunk, rows, BUFFER // layout.itemsize))
    record = np.zeros(chunk, layout)
    record["columns"] = len(columns)
    keep = np.empty((chunk, layout.itemsize), bool)
    yield SIGNATURE
    for start in range(0, rows, chunk):
        part = slice(start, min(start + chunk, rows))
        count = part.stop - part.start
        yield _chunk(columns, part, record[:count], keep[:count])
    yield TRAILER


def _chunk(columns: Sequence[Cells], part: slice, record: np.ndarray, keep: np.ndarray) -> bytes:
    keep[:] = True
    full = True
    for i, column in enumerate(columns):
        cell, width = record[f"{i}"], column.dtype.itemsize
        lengths = column.fill(cell["data"], part)
        cell["length"] = width if lengths is None else lengths
        if lengths is not None:
            start = record.dtype.fields[f"{i}"][1] + 4
            _keep(keep[:, start : start + width], lengths)
            full = False
    matrix = record.view(np.uint8).reshape(keep.shape)
    return matrix.tobytes() if full else matrix.reshape(-1)[keep.reshape(-1)].tobytes()


def _keep(keep: np.ndarray, lengths: np.ndarray) -> None:
    """Mark the first `lengths` bytes of each cell as used."""
    width = keep.shape[1]
    null = lengths == NULL
    if width in ALL_KEPT and (null | (lengths == width)).all():  # one store a cell, not `width`
        unit = f"u{width}"
        keep.view(unit)[:, 0] = ~null * np.array(ALL_KEPT[width], unit)
    else:
        keep[:] = np.arange(width) < lengths[:, None]
