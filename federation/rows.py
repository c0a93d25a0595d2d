"""Rows of a file → rows that a table takes, and those that it can't."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from federation.columns import Field, is_list, stored
from federation.positions import Position, degrees, pixels

LONGEST = 60  # characters of a value in a report


@dataclass(frozen=True)
class Bad:
    """A row that no table takes: its number in the file from 1, the column, the value, and what is wrong."""

    row: int
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.column} is {self.value!r}, {self.reason}"


def checked(
    batch: pa.Table, fields: Sequence[Field], position: Position | None, first: int
) -> tuple[pa.Table, list[Bad]]:
    """Return the good rows of a batch under the names of the table, with ra, dec and healpix29, and the bad ones.

    Parameters
    ----------
    batch : pyarrow.Table
        Columns in the order of the fields that are not derived.
    first : int
        Number of its first row in the file.
    """
    bad: dict[int, Bad] = {}
    originals = [one for one in fields if not one.derived]
    columns = [column.combine_chunks() for column in batch.columns]
    values = {}

    def note(wrong, column: pa.Array, name: str, reason: str) -> None:
        for row in np.flatnonzero(np.asarray(pc.fill_null(wrong, False).to_numpy(zero_copy_only=False))).tolist():
            bad.setdefault(row, Bad(first + row, name, str(column[row].as_py())[:LONGEST], reason))

    for column, field in zip(columns, originals, strict=True):
        typed, wrong = _typed(column, field.type)
        if wrong is not None:
            note(wrong, column, field.original, f"no {_words(field.type)}")
        fitting, wrong, reason = _fitting(typed, field.type)
        if wrong is not None:
            note(wrong, column, field.original, reason)
        values[field.name] = fitting
    if position:
        _place(values, columns, originals, position, note)
        values["row_id"] = pa.array(np.arange(first, first + len(batch)))
    table = pa.table(values)
    if not bad:
        return table, []
    keep = np.ones(len(table), bool)
    keep[list(bad)] = False
    return table.filter(pa.array(keep)), [bad[row] for row in sorted(bad)]


def _words(type_: pa.DataType) -> str:
    return "array of numbers" if is_list(type_) else {"timestamp[us]": "time"}.get(str(type_), str(type_))


def _typed(column: pa.Array, type_: pa.DataType) -> tuple[pa.Array, pa.Array | None]:
    """Return texts as what they should be, NULL where they are not, and where that is; others as they are."""
    if column.type == type_ or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column, None
    if type_ in (pa.string(), pa.large_string()):
        return column, None
    if is_list(type_) or type_ == pa.large_binary() or type_ == pa.binary():
        return _each(column, type_)
    trimmed = pc.utf8_trim_whitespace(column)
    if pa.types.is_boolean(type_):
        lower = pc.utf8_lower(trimmed)
        trimmed = pc.if_else(pc.equal(lower, "t"), "true", pc.if_else(pc.equal(lower, "f"), "false", lower))
    if pa.types.is_timestamp(type_):
        trimmed = pc.utf8_rtrim(trimmed, characters="Z")
    try:
        return trimmed.cast(type_), None
    except pa.ArrowException:
        return _where_it_can_be(trimmed, type_)


NUMBERS = {True: r"^[+-]?\d{1,20}$", False: r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$|^[+-]?(?i:nan|inf|infinity)$"}
"""Whether integers → what a number looks like."""


def _where_it_can_be(column: pa.Array, type_: pa.DataType) -> tuple[pa.Array, pa.Array]:
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        is_number = pc.match_substring_regex(column, NUMBERS[pa.types.is_integer(type_)])
        try:
            return pc.if_else(is_number, column, None).cast(type_), pc.invert(pc.fill_null(is_number, True))
        except pa.ArrowException:  # one is too large, say
            pass
    return _each(column, type_)


def _each(column: pa.Array, type_: pa.DataType) -> tuple[pa.Array, pa.Array]:
    """Convert value by value, as is needed where some are wrong."""
    values: list = []
    for text in column.to_pylist():
        try:
            values.append(None if text is None else _one(text, type_))
        except (ValueError, pa.ArrowException, TypeError):
            values.append(None)
    made = pa.array(values, type_)
    return made, pc.and_(made.is_null(), column.is_valid())


def _one(text: str, type_: pa.DataType):
    import json

    if is_list(type_):
        numbers = json.loads(text) if text.lstrip().startswith("[") else text.split()
        flat = np.array(numbers).reshape(-1).tolist()
        return pa.array([str(one) for one in flat], pa.string()).cast(type_.value_type).to_pylist()
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return bytes.fromhex(text.removeprefix("\\x"))
    return pa.scalar(text, pa.string()).cast(type_).as_py()


def _fitting(column: pa.Array, type_: pa.DataType) -> tuple[pa.Array, pa.Array | None, str]:
    """Return the column as it is stored, where it can't be, and why."""
    if is_list(type_):
        return _fitting_lists(column, type_)
    if pa.types.is_floating(column.type):
        wrong = pc.is_inf(column) if column.type != pa.float16() else None
        made = column.cast(stored(type_))
        return (
            made,
            wrong if wrong is not None and pc.any(wrong).as_py() else None,
            "allowed are finite numbers, and NaN for NULL",
        )
    if column.type == pa.uint64():
        wrong = pc.greater(column, (1 << 63) - 1)
        return (
            pc.if_else(wrong, 0, column).cast(pa.int64()),
            wrong if pc.any(wrong).as_py() else None,
            "allowed is below 2^63",
        )
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        wrong = pc.match_substring(column, "\x00")
        return column, wrong if pc.any(wrong).as_py() else None, "allowed are texts without NUL"
    return (
        column.cast(stored(type_)) if column.type in (pa.int8(), pa.uint8(), pa.uint16(), pa.uint32()) else column,
        None,
        "",
    )


def _fitting_lists(column: pa.Array, type_: pa.DataType) -> tuple[pa.Array, pa.Array | None, str]:
    lists = column.cast(stored(type_))
    flat = lists.flatten()
    if not flat.null_count and not (pa.types.is_floating(flat.type) and not pc.all(pc.is_finite(flat)).as_py()):
        return lists, None, ""

    def broken(one) -> bool:
        return one is not None and any(v is None or (isinstance(v, float) and not np.isfinite(v)) for v in one)

    values = lists.to_pylist()
    wrong = [broken(one) for one in values]
    return (
        pa.array([None if no else one for one, no in zip(values, wrong, strict=True)], lists.type),
        pa.array(wrong),
        "allowed are arrays of finite numbers",
    )


def _place(values: dict, columns: list, fields: Sequence[Field], position: Position, note) -> None:
    """Add ra and dec [deg] unless they are there, and healpix29."""
    found, good = {}, None
    for which, angle, low, high in (("ra", position.ra, 0.0, 360.0), ("dec", position.dec, -90.0, 90.0)):
        field = fields[angle.number]
        given = columns[angle.number] if angle.scale is None else values[field.name]
        place = degrees(given, angle, which)
        below = pc.less(place, high) if which == "ra" else pc.less_equal(place, high)
        inside = pc.and_(pc.greater_equal(place, low), below)
        allowed = "allowed are 0 <= ra < 360 deg" if which == "ra" else "allowed are -90 <= dec <= 90 deg"
        if angle.scale is None:
            note(
                pc.and_(place.is_null(), given.is_valid()),
                columns[angle.number],
                field.original,
                "allowed are sexagesimal angles such as 12:34:56.7",
            )
        numbers = place.to_numpy(zero_copy_only=False)
        absent = pa.array(np.isnan(numbers.astype(float)))
        note(
            pc.and_(pc.invert(pc.fill_null(inside, True)), pc.invert(absent)),
            columns[angle.number],
            field.original,
            allowed,
        )
        here = np.asarray(pc.fill_null(inside, False).to_numpy(zero_copy_only=False))
        good = here if good is None else good & here
        found[which] = numbers
    ra, dec = (np.where(good, found[which], 0).astype(float) for which in ("ra", "dec"))
    if not position.as_is:
        for which, numbers in (("ra", ra), ("dec", dec)):
            values[which] = pa.array(numbers, pa.float64(), mask=~good)
    values["healpix29"] = pa.array(pixels(ra, dec), pa.int64(), mask=~good)
