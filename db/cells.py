"""Arrays of values → cells of a binary COPY: what each column of a table takes, and what it refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from db.errors import HvenError
from db.pack import NULL, Cells

SCALARS = {
    "bool": "?",
    "int2": ">i2",
    "int4": ">i4",
    "int8": ">i8",
    "float4": ">f4",
    "float8": ">f8",
    "timestamptz": ">i8",  # microseconds since EPOCH
    "timestamp": ">i8",
}
"""Types of fixed length → the dtype that COPY takes."""
TEXTS = {"text": b"", "varchar": b"", "bpchar": b"", "bytea": b"", "json": b"", "jsonb": b"\x01"}
"""Types of variable length → what stands before their bytes."""
Null = np.ndarray | None  # which cells are NULL, if any may be
TAKES = {"b": "b", "i": "iu", "f": "fiu"}  # kind of the column's dtype → kinds of numpy's that it can hold
EPOCH = np.datetime64("2000-01-01", "us")
CONVERT = "convert the values before loading"
LIMITS = {"ra": (0.0, 360.0, "0 <= ra < 360"), "dec": (-90.0, np.nextafter(90, 91), "-90 <= dec <= 90")}
"""Columns with a range: least value, first value above, and the words for it [deg]."""


class LoadError(HvenError):
    """Rows that a table can't take. Nothing of their batch is stored."""

    exit_status = 5


@dataclass(frozen=True)
class Column:
    """A column of a table as the database's catalogue describes it.

    Parameters
    ----------
    name, type : str
        Its name, and the name of its type or, for an array, of its elements' type.
    oid : int
        Of `type`.
    unit : str or None
        As its COMMENT declares it, in brackets at the end.
    """

    relation: str = field(repr=False)
    name: str
    type: str
    oid: int
    is_array: bool = False
    not_null: bool = False
    has_default: bool = False
    is_generated: bool = False
    is_key: bool = False
    is_binary: bool = True
    unit: str | None = None

    @property
    def sql(self) -> str:
        """The type as SQL writes it."""
        return self.type + "[]" * self.is_array

    def refuse(self, problem: str, remedy: str) -> LoadError:
        """An error that names this column."""
        return LoadError(f"{self.relation}.{self.name} ({self.sql}) {problem}", remedy)


@dataclass(frozen=True)
class Values:
    """One column of the input: a numpy array or an Arrow array of text or lists, and which rows are NULL."""

    array: Any
    missing: np.ndarray | None = None
    unit: Any = None


def blocks(columns: Mapping[str, Column], given: Mapping[str, Values]) -> list[Cells]:
    """Return the cells that a table's columns take from the values given, columns of one type together.

    Raises
    ------
    LoadError
        For a dtype or shape that a column can't hold; filling the cells raises it for a value.
    """
    numbers: dict[str, list[tuple[Column, Values]]] = {}
    others = []
    for name, values in given.items():
        column = columns[name]
        if not column.is_array and column.type in TEXTS:
            others.append(_texts(column, values))
            continue
        if column.type not in SCALARS:
            raise column.refuse("is of a type that Hven does not pack", "load it through a query")
        array = values.array
        if column.is_array and (not isinstance(array, np.ndarray) or array.dtype == object):
            others.append(_lists(column, values))
            continue
        if not isinstance(array, np.ndarray):
            raise column.refuse(f"got {array.type}", "give one number a row")
        if column.is_array != (array.ndim > 1):
            raise column.refuse(
                f"got values of shape {array.shape[1:]}",
                "give one array a row" if column.is_array else "give one value a row",
            )
        storable = _storable(column, values)
        if column.is_array:
            others.append(_arrays(column, storable))
        else:
            numbers.setdefault(SCALARS[column.type], []).append((column, storable))
    return [_numbers(np.dtype(wire), block) for wire, block in numbers.items()] + others


def _storable(column: Column, values: Values) -> Values:
    """Return the values in a dtype that the column can take over element by element."""
    array, missing = values.array, values.missing
    wire = np.dtype(SCALARS[column.type])
    if column.type.startswith("timestamp") and array.dtype.kind == "M":
        unknown = np.isnat(array)
        missing = unknown if missing is None else missing | unknown
        return Values((array.astype("M8[us]") - EPOCH).astype("i8"), missing)
    if column.type.startswith("timestamp"):
        raise column.refuse(f"got dtype {array.dtype}; allowed is datetime64", CONVERT)
    if array.dtype.kind not in TAKES[wire.kind]:
        raise column.refuse(f"got dtype {array.dtype}; allowed is {wire.newbyteorder('=').name}", CONVERT)
    if wire.kind == "i" and not np.can_cast(array.dtype, wire):
        present = array if missing is None else array[~missing]
        limits = np.iinfo(wire)
        if present.size and (int(present.min()) < limits.min or int(present.max()) > limits.max):
            raise column.refuse(
                f"got integers from {present.min()} to {present.max()}; allowed are {limits.min} to {limits.max}",
                "find out where the values come from",
            )
    return Values(array, missing)


def _numbers(wire: np.dtype, block: list[tuple[Column, Values]]) -> Cells:
    """Scalar columns of one type of fixed length."""
    columns = [column for column, _ in block]
    native = wire.newbyteorder("=")
    masked = any(values.missing is not None for _, values in block)

    def fill(data: np.ndarray, part: slice) -> np.ndarray | None:
        got = np.empty(data.shape, native)
        null: Null = np.zeros(data.shape, bool) if masked else None
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows becomes infinite and is refused
            for i, (_, values) in enumerate(block):
                got[:, i] = values.array[part]
                if null is not None and values.missing is not None:
                    null[:, i] = values.missing[part]
        if wire.kind == "f":
            null = _finite(columns, got, null, part)
        _check_limits(columns, got, null, part)
        data[:] = got
        return _lengths(columns, null, wire.itemsize, part)

    return Cells(tuple(column.name for column in columns), wire, fill)


def _finite(columns: list[Column], got: np.ndarray, null: Null, part: slice) -> Null:
    """Return which floats are NULL: those that were masked, and NaN."""
    finite = np.isfinite(got)
    if finite.all():
        return null
    _refuse_where(np.isinf(got), columns, got, null, part, "finite numbers, and NaN for NULL")
    return ~finite if null is None else ~finite | null


def _check_limits(columns: list[Column], got: np.ndarray, null: Null, part: slice):
    for i, column in enumerate(columns):
        if column.name in LIMITS:
            low, above, allowed = LIMITS[column.name]
            bad = np.zeros(got.shape, bool)
            bad[:, i] = (got[:, i] < low) | (got[:, i] >= above)
            _refuse_where(bad, columns, got, null, part, allowed)


def _refuse_where(bad: np.ndarray, columns: list[Column], got, null: Null, part: slice, allowed: str):
    """Refuse the first value that is bad and not NULL, if there is one; arrays are (row, column)."""
    if null is not None:
        bad = bad & ~null
    if bad.any():
        row, i = (int(index) for index in np.argwhere(bad)[0])
        raise columns[i].refuse(
            f"got {got[row, i]} in row {part.start + row}; allowed are {allowed}",
            "correct or mask these values",
        )


def _lengths(columns: list[Column], null: np.ndarray | None, full: Any, part: slice) -> np.ndarray | None:
    """Return the lengths of cells, NULL where they hold none."""
    if null is None or not null.any():
        return full if isinstance(full, np.ndarray) else None
    for i, column in enumerate(columns):
        if column.not_null and null[:, i].any():
            row = part.start + int(np.argmax(null[:, i]))
            raise column.refuse(
                f"got NULL, NaN or a masked value in row {row}; allowed are values only",
                "measure it, or leave the row out",
            )
    return np.where(null, np.int32(NULL), np.asarray(full, np.int32))


def _element(wire: np.dtype) -> np.dtype:
    return np.dtype([("length", ">i4"), ("value", wire)])


def _arrays(column: Column, values: Values) -> Cells:
    """Arrays of one shape; an array that is all NaN or all masked is NULL."""
    wire, shape = np.dtype(SCALARS[column.type]), values.array.shape[1:]
    dimensions = [number for size in shape for number in (size, 1)] if 0 not in shape else []
    head = np.array([len(dimensions) // 2, 0, column.oid, *dimensions], ">i4")
    axes = tuple(range(1, values.array.ndim))
    dtype = np.dtype([("head", ">i4", head.shape), ("elements", _element(wire), shape)])

    def fill(data: np.ndarray, part: slice) -> np.ndarray | None:
        with np.errstate(over="ignore"):
            got = values.array[part].astype(wire.newbyteorder("="), copy=False)
        gaps = np.zeros(got.shape, bool) if values.missing is None else values.missing[part]
        if wire.kind == "f":
            gaps = gaps | np.isnan(got)
            _refuse_array((np.isinf(got) & ~gaps).any(axes), column, got, part, "finite numbers")
        null = gaps.all(axes) & (got.size > 0)
        partly = gaps.any(axes) & ~null
        _refuse_array(partly, column, got, part, "values, or NULL for all of it")
        cells = data[:, 0]
        cells["head"] = head
        cells["elements"]["length"] = wire.itemsize
        cells["elements"]["value"] = got
        return _lengths([column], null[:, None], dtype.itemsize, part)

    return Cells((column.name,), dtype, fill)


def _refuse_array(bad: np.ndarray, column: Column, got: np.ndarray, part: slice, allowed: str):
    if bad.any():
        row = int(np.argmax(bad))
        raise column.refuse(
            f"got {got[row].tolist()} in row {part.start + row}; allowed are arrays of {allowed}",
            "correct or mask these values",
        )


def _lists(column: Column, values: Values) -> Cells:
    """Arrays of one dimension that differ in length."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wire = np.dtype(SCALARS[column.type])
    timed = column.type.startswith("timestamp")
    native = pa.timestamp("us") if timed else pa.from_numpy_dtype(wire.newbyteorder("="))
    lists = _arrow(column, values, pa.large_list(native))
    sizes, flat = pc.list_value_length(lists).fill_null(0).to_numpy(), lists.flatten()
    elements = _storable(column, Values(flat.to_numpy(zero_copy_only=False))).array
    if flat.null_count or (wire.kind == "f" and not np.isfinite(elements).all()):
        raise column.refuse(
            "got NULL, NaN or infinity inside an array; allowed are arrays of values",
            "leave these elements out, or the whole array",
        )
    offsets = np.append(0, np.cumsum(sizes))
    null = lists.is_null().to_numpy(zero_copy_only=False)
    most = int(sizes.max(initial=0))
    empty, head = 12, 20  # bytes before the elements: number of dimensions, flags, oid; and size, lower bound

    def fill(data: np.ndarray, part: slice) -> np.ndarray | None:
        cells, size = data[:, 0], sizes[part]
        cells["head"] = np.array([1, 0, column.oid, 0, 1])
        cells["head"][:, 0], cells["head"][:, 3] = size > 0, size
        cells["elements"]["length"] = wire.itemsize
        used = np.arange(most) < size[:, None]
        cells["elements"]["value"][used] = elements[offsets[part.start] : offsets[part.stop]]
        full = np.where(size > 0, head + size * (4 + wire.itemsize), empty)
        return _lengths([column], null[part, None], full[:, None], part)

    dtype = np.dtype([("head", ">i4", (5,)), ("elements", _element(wire), (most,))])
    return Cells((column.name,), dtype, fill)


def _texts(column: Column, values: Values) -> Cells:
    import pyarrow as pa
    import pyarrow.compute as pc

    native, kinds, allowed = pa.large_string(), "USO", "texts"
    if column.type == "bytea":
        native, kinds, allowed = pa.large_binary(), "VO", "bytes (S drops zeros at the end)"
    if isinstance(values.array, np.ndarray) and values.array.dtype.kind not in kinds:
        raise column.refuse(f"got dtype {values.array.dtype}; allowed are {allowed}", CONVERT)
    texts = _arrow(column, values, native).cast(pa.large_binary())
    null = texts.is_null().to_numpy(zero_copy_only=False)
    texts = texts.fill_null(b"")
    sizes = pc.binary_length(texts).to_numpy()
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    before = np.frombuffer(TEXTS[column.type], np.uint8)
    most = int(sizes.max(initial=1))

    def fill(data: np.ndarray, part: slice) -> np.ndarray | None:
        cells, size = data[:, 0], sizes[part]
        cells["before"] = before
        cells["text"][np.arange(most) < size[:, None]] = content[offsets[part.start] : offsets[part.stop]]
        return _lengths([column], null[part, None], size[:, None] + len(before), part)

    return Cells((column.name,), np.dtype([("before", "u1", before.shape), ("text", "u1", (most,))]), fill)


def _arrow(column: Column, values: Values, type_):
    """Return the values as an Arrow array of a type, the missing ones NULL."""
    import pyarrow as pa

    try:
        array = values.array
        if isinstance(array, pa.Array):
            return array.cast(type_)
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8")
        return pa.array(array.tolist() if array.dtype.kind == "V" else array, type_, mask=values.missing)
    except (pa.ArrowException, TypeError, ValueError) as error:
        problem = f"got values that are not {type_} ({error})".replace("\n", " ")
        raise column.refuse(problem, CONVERT) from error
