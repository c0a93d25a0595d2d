"""The formats of users' files: each module has `read(path) -> Source` and `write(path, table, batches)`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pyarrow as pa

from federation.columns import Field
from federation.errors import Level3Error

BATCH = 1 << 16  # rows at once
ENDINGS = {
    ".csv": "text", ".ecsv": "text", ".fits": "fits", ".fit": "fits", ".fts": "fits", ".vot": "votable",
    ".xml": "votable", ".votable": "votable", ".parquet": "parquet", ".pq": "parquet", ".parq": "parquet",
}  # fmt: skip
"""Ending of a file's name → the module of its format."""


@dataclass
class Source:
    """A file that is being read.

    Parameters
    ----------
    fields : sequence of Field
        Its columns.
    batches : iterator of pyarrow.Table
        Its rows, columns in the order of `fields`. Those of files of text come as text.
    rows : int or None
        How many, if the file says so.
    bad : list of (int, str)
        Rows that could not be read at all, by number from 1, with what is wrong; grows while reading.
    """

    fields: Sequence[Field]
    batches: Iterator[pa.Table]
    rows: int | None = None
    description: str | None = None
    bad: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Sink:
    """What is written: columns, how many rows, and what a format must know before the first one.

    Parameters
    ----------
    widths : mapping of str to int
        Name → bytes of the longest text, or elements of the longest array.
    with_null : set of str
        Columns in which some value is NULL.
    """

    fields: Sequence[Field]
    rows: int
    widths: dict[str, int]
    with_null: set[str]
    description: str | None = None


def module(path: Path) -> ModuleType:
    """Return the module for a file's format, by its name."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise Level3Error(
            f"level3: {path.name} ends in {ending or 'nothing'}; allowed are {', '.join(ENDINGS)}", "rename the file"
        )
    return import_module(f"federation.formats.{ENDINGS[ending]}")


def read(path: Path) -> Source:
    """Open a file for reading."""
    if not path.is_file():
        raise Level3Error(f"level3: there is no file {path}", "look at its name")
    return module(path).read(path)
