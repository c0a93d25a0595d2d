"""Columns of users' files: their names and types here, and what is remembered of them for the way back."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from federation.errors import Level3Error

LONGEST = 58  # bytes; PostgreSQL takes 63, and a suffix may follow
SYSTEM = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
ADDED = ("row_id", "ra", "dec", "healpix29")


@dataclass(frozen=True)
class Field:
    """A column of a file.

    Parameters
    ----------
    original : str
        Its name in the file.
    type : pyarrow.DataType
        What its values are; in files of text, what they are to become.
    kind : str
        Its type in the file's own words, kept for the way back; "" if the type says all.
    name : str
        Its name in the table.
    derived : bool
        Whether it was added here: no export has it.
    """

    original: str
    type: pa.DataType
    kind: str = ""
    unit: str | None = None
    ucd: str | None = None
    description: str | None = None
    name: str = ""
    derived: bool = False

    @property
    def sql(self) -> str:
        """The type as SQL writes it."""
        if is_list(self.type):
            return f"{SQL[self.type.value_type]}[]"
        return SQL[self.type]


SQL = {
    pa.bool_(): "boolean", pa.int8(): "smallint", pa.int16(): "smallint", pa.uint8(): "smallint",
    pa.int32(): "integer", pa.uint16(): "integer", pa.int64(): "bigint", pa.uint32(): "bigint", pa.uint64(): "bigint",
    pa.float16(): "real", pa.float32(): "real", pa.float64(): "double precision",
    pa.string(): "text", pa.large_string(): "text", pa.binary(): "bytea", pa.large_binary(): "bytea",
    pa.timestamp("us"): "timestamp", pa.timestamp("us", "UTC"): "timestamptz",
}  # fmt: skip
STORED = {
    pa.int8(): pa.int16(), pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(), pa.float16(): pa.float32(),
}  # fmt: skip
"""Types that PostgreSQL does not have → the narrowest that holds them."""


def is_list(type_: pa.DataType) -> bool:
    """Return whether values are arrays."""
    return pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)


def stored(type_: pa.DataType) -> pa.DataType:
    """Return the type that a column is loaded as."""
    if is_list(type_):
        return pa.large_list(STORED.get(type_.value_type, type_.value_type))
    return STORED.get(type_, type_)


def check_types(fields: Sequence[Field]) -> None:
    """Refuse columns whose values no column of a table can hold."""
    for field in fields:
        inner = field.type.value_type if is_list(field.type) else field.type
        numbers = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner)
        if inner not in SQL or (is_list(field.type) and not numbers):
            raise Level3Error(
                f"level3: the column {field.original!r} is of type {field.type}; allowed are booleans, integers,"
                " floats, texts, bytes, times, and arrays of numbers",
                "leave it out or convert it before the import",
            )


def named(
    fields: Sequence[Field], reserved: set[str], has_position: bool, adds_position: bool
) -> tuple[list[Field], list[str]]:
    """Return the fields with names that SQL takes without quotes, and what was changed.

    Parameters
    ----------
    reserved : set of str
        Words that are no names.
    has_position, adds_position : bool
        Whether columns `row_id` and `healpix29` of our own will be added, and whether `ra` and `dec` too.

    Raises
    ------
    Level3Error
        Two columns have the same name.
    """
    originals = [field.original for field in fields]
    if double := sorted({name for name in originals if originals.count(name) > 1}):
        raise Level3Error(
            f"level3: the file has the column {', '.join(map(repr, double))} more than once",
            "rename one of them in the file",
        )
    taken = set(ADDED) if adds_position else {"row_id", "healpix29"} if has_position else set()
    result, changed = [], []
    for number, field in enumerate(fields, 1):
        name = clean(field.original) or f"column_{number}"
        if name in reserved | SYSTEM:
            name += "_"
        if name in taken and name in ADDED:
            name += "_given"
        unique, suffix = name, 2
        while unique in taken:
            unique, suffix = f"{name}_{suffix}", suffix + 1
        taken.add(unique)
        if unique != field.original:
            changed.append(f"{field.original!r} is stored as {unique}")
        result.append(replace(field, name=unique))
    return result, changed


def clean(name: str) -> str:
    """Return a name in lower_snake_case; "" if nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9_]+", "_", plain).strip("_")[:LONGEST]
    return f"c_{plain}" if plain[:1].isdigit() else plain
