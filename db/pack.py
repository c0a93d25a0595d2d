"""Columns of cells → the bytes of PostgreSQL's binary COPY, without a Python loop over rows.

Each chunk of rows is laid out as a matrix of bytes in which every cell has its full width; then the bytes
that NULLs and short cells leave unused are squeezed out by one boolean index. Columns of one type stand side
by side, so that numpy works on blocks of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no header extension
TRAILER = b"\xff\xff"
BUFFER = 8 << 20  # bytes of one chunk, so that long texts don't exhaust memory
ALL_KEPT = {1: 0x01, 2: 0x0101, 4: 0x01010101, 8: 0x0101010101010101}  # that many True, as one integer
NULL = -1  # the length of a cell that holds none

Fill = Callable[[np.ndarray, slice], np.ndarray | None]
"""Writes some rows into the cells given, an array (row, column), in place; returns the bytes that each cell
uses, or NULL; or None where every cell is full."""


@dataclass(frozen=True)
class Cells:
    """Columns of one type: the dtype of a full cell without its length prefix, and what writes the cells.

    Cells of a number are full or NULL; the others may be shorter, and are alone in their block.
    """

    names: tuple[str, ...]
    dtype: np.dtype
    fill: Fill

    @property
    def full_or_null(self) -> bool:
        """Whether no cell is shorter than others."""
        return self.dtype.names is None


def pack(blocks: Sequence[Cells], rows: int, chunk: int) -> Iterator[bytes]:
    """Yield a binary COPY stream: signature, chunks of at most `chunk` rows, trailer."""
    layout = _layout(blocks, lambda block: block.dtype)
    kept = _layout(blocks, lambda block: f"{'u' if block.full_or_null else 'V'}{block.dtype.itemsize}")
    chunk = max(1, min(chunk, rows, BUFFER // layout.itemsize))
    record, keep = np.zeros(chunk, layout), np.empty(chunk, kept)
    record["columns"] = sum(len(block.names) for block in blocks)
    yield SIGNATURE
    for start in range(0, rows, chunk):
        part = slice(start, min(start + chunk, rows))
        count = part.stop - part.start
        yield _chunk(blocks, part, record[:count], keep[:count])
    yield TRAILER


def _layout(blocks: Sequence[Cells], cell: Callable[[Cells], DTypeLike]) -> np.dtype:
    fields = [
        (f"{i}", [("length", ">i4"), ("data", cell(block))], (len(block.names),)) for i, block in enumerate(blocks)
    ]
    return np.dtype([("columns", ">i2"), *fields])


def _chunk(blocks: Sequence[Cells], part: slice, record: np.ndarray, keep: np.ndarray) -> bytes:
    matrix, kept = (array.view(np.uint8).reshape(-1) for array in (record, keep))
    kept[:] = True
    full = True
    for i, block in enumerate(blocks):
        cells, width = record[f"{i}"], block.dtype.itemsize
        lengths = block.fill(cells["data"], part)
        cells["length"] = width if lengths is None else lengths
        if lengths is None:
            continue
        full = False
        if block.full_or_null:  # one store a cell, not one a byte
            keep[f"{i}"]["data"] = (lengths != NULL) * np.array(ALL_KEPT[width], f"u{width}")
        else:
            used = np.arange(width) < lengths[..., None]
            keep[f"{i}"]["data"] = used.view(f"V{width}")[..., 0]
    return record.tobytes() if full else matrix[kept.view(bool)].tobytes()
