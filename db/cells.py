"""Arrays of values → cells of a binary COPY: what each column of a table takes, and what it refuses."""

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


def cells(column: Column, values: Values) -> Cells:
    """Return the cells that a column takes from its values.

    Raises
    ------
    LoadError
        For a dtype or shape that the column can't hold; filling the cells raises it for a value.
    """
    array, missing = values.array, values.missing
    if not column.is_array and column.type in TEXTS:
        return _texts(column, array, missing)
    if column.type not in SCALARS:
        raise column.refuse("has no binary form that Hven knows", "load it through a query")
    if column.is_array and (not isinstance(array, np.ndarray) or array.dtype == object):
        return _lists(column, array, missing)
    if not isinstance(array, np.ndarray):
        raise column.refuse(f"got {array.type}", "give one number a row")
    if column.is_array != (array.ndim > 1):
        raise column.refuse(
            f"got values of shape {array.shape[1:]}",
            "give one array a row" if column.is_array else "give one value a row",
        )
    array, missing = _storable(column, array, missing)
    return (_arrays if column.is_array else _scalars)(column, array, missing)


def _storable(column: Column, array: np.ndarray, missing: np.ndarray | None):
    """Return the values in a dtype that the column can take over element by element."""
    wire = np.dtype(SCALARS[column.type])
    if column.type.startswith("timestamp") and array.dtype.kind == "M":
        unknown = np.isnat(array)
        missing = unknown if missing is None else missing | unknown
        return (array.astype("M8[us]") - EPOCH).astype("i8"), missing
    if column.type.startswith("timestamp"):
        raise column.refuse(f"got dtype {array.dtype}; allowed is datetime64", CONVERT)
    if array.dtype.kind not in TAKES[wire.kind]:
        raise column.refuse(f"got dtype {array.dtype}; allowed is {wire.newbyteorder('=').name}", CONVERT)
    if wire.kind == "i" and not np.can_cast(array.dtype, wire):
        present = array if missing is None else array[~missing]
        limits = np.iinfo(wire)
        if present.size and (int(present.min()) < limits.min or int(present.max()) > limits.max):
            raise column.refuse(
                f"got integers from {present.min()} to {present.max()};"
                f" allowed are {limits.min} to {limits.max}",
                "find out where the values come from",
            )
    return array, missing


def _finite(column: Column, got: np.ndarray, null: np.ndarray | None, part: slice) -> np.ndarray | None:
    """Return which floats are NULL: those that were masked, and NaN."""
    finite = np.isfinite(got)
    if finite.all():
        return null
    _refuse_where(np.isinf(got), column, got, null, part, "finite numbers, and NaN for NULL")
    return ~finite if null is None else ~finite | null


def _refuse_where(bad, column: Column, got: np.ndarray, null: np.ndarray | None, part: slice, allowed: str):
    if null is not None:
        bad = bad & ~null
    if bad.any():
        row = int(np.nonzero(bad)[0][0])
        raise column.refuse(
            f"got {got[row]} in row {part.start + row}; allowed are {allowed}", "correct or mask these values"
        )


def _lengths(column: Column, null: np.ndarray | None, full: Any, part: slice) -> np.ndarray | None:
    """Return the lengths of cells, NULL where they hold none."""
    if null is None or not null.any():
        return full if isinstance(full, np.ndarray) else None
    if column.not_null:
        row = part.start + int(np.flatnonzero(null)[0])
        raise column.refuse(
            f"got NULL, NaN or a masked value in row {row}; allowed are values only",
            "measure it, or leave the row out",
        )
    return np.where(null, NULL, full)


def _scalars(column: Column, array: np.ndarray, missing: np.ndarray | None) -> Cells:
    wire = np.dtype(SCALARS[column.type])
    low, above, allowed = LIMITS.get(column.name, (None, None, ""))

    def fill(data: np.ndarray, part: slice) -> np.ndarray | None:
        got = array[part]
        null = None if missing is None else missing[part]
        if wire.kind == "f":
            got = _narrowed(got, wire)
            null = _finite(column, got, null, part)
            if low is not None:
                _refuse_where((got < low) | (got >= above), column, got, null, part, allowed)
        data[:] = got
        return _lengths(column, null, wire.itemsize, part)

    return Cells(column.name, wire, fill)


def _narrowed(got: np.ndarray, wire: np.dtype) -> np.ndarray:
    if got.dtype.itemsize <= wire.itemsize:
        return got
    with np.errstate(over="ignore"):  # what overflows becomes infinite, which is refused
        return got.astype(wire.newbyteorder("="))


def _element(wire: np.dtype) -> np.dtype:
    return np.dtype([("length", ">i4"), ("value", wire)])


def _arrays(column: Column, array: np.ndarray, missing: np.ndarray | None) -> Cells:
    """Arrays of one shape; an array that is all NaN or all masked is NULL."""
    wire, shape = np.dtype(SCALARS[column.type]), array.shape[1:]
    dimensions = [number for size in shape for number in (size, 1)] if 0 not in shape else []
    head = np.array([len(dimensions) // 2, 0, column.oid, *dimensions], ">i4")
    axes = tuple(range(1, array.ndim))

    def fill(data: np.ndarray, part: slice) -> np.ndarray | None:
        got = _narrowed(array[part], wire) if wire.kind == "f" else array[part]
        gaps = None if missing is None else missing[part]
        if wire.kind == "f":
            gaps = _finite(column, got, gaps, part)
        null = None if gaps is None else gaps.all(axes)
        if gaps is not None:
            _refuse_where(gaps.any(axes), column, got, null, part, "arrays of values, or NULL for all of it")
        data["head"] = head
        data["elements"]["length"] = wire.itemsize
        data["elements"]["value"] = got
        return _lengths(column, null, data.dtype.itemsize, part)

    dtype = np.dtype([("head", ">i4", head.shape), ("elements", _element(wire), shape)])
    return Cells(column.name, dtype, fill)


def _lists(column: Column, array, missing: np.ndarray | None) -> Cells:
    """Arrays of one dimension that differ in length."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wire = np.dtype(SCALARS[column.type])
    timed = column.type.startswith("timestamp")
    native = pa.timestamp("us") if timed else pa.from_numpy_dtype(wire.newbyteorder("="))
    lists = _arrow(column, array, missing, pa.large_list(native))
    sizes, flat = pc.list_value_length(lists).fill_null(0).to_numpy(), lists.flatten()
    elements, _ = _storable(column, flat.to_numpy(zero_copy_only=False), None)
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
        size = sizes[part]
        data["head"] = (0, 0, column.oid, 0, 1)
        data["head"][:, 0], data["head"][:, 3] = size > 0, size
        data["elements"]["length"] = wire.itemsize
        used = np.arange(most) < size[:, None]
        data["elements"]["value"][used] = elements[offsets[part.start] : offsets[part.stop]]
        full = np.where(size > 0, head + size * (4 + wire.itemsize), empty)
        return _lengths(column, null[part], full, part)

    return Cells(column.name, np.dtype([("head", ">i4", (5,)), ("elements", _element(wire), (most,))]), fill)


def _texts(column: Column, array, missing: np.ndarray | None) -> Cells:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, np.ndarray) and array.dtype.kind == "S" and column.type != "bytea":
        array = np.char.decode(array, "utf-8")
    elif isinstance(array, np.ndarray) and array.dtype.kind == "V":
        array = array.tolist()
    elif isinstance(array, np.ndarray) and array.dtype.kind not in "UO":
        raise column.refuse(f"got dtype {array.dtype}; allowed are texts", CONVERT)
    native = pa.large_binary() if column.type == "bytea" else pa.large_string()
    texts = _arrow(column, array, missing, native).cast(pa.large_binary())
    null = texts.is_null().to_numpy(zero_copy_only=False)
    texts = texts.fill_null(b"")
    sizes = pc.binary_length(texts).to_numpy()
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    before = np.frombuffer(TEXTS[column.type], np.uint8)
    most = int(sizes.max(initial=0))

    def fill(data: np.ndarray, part: slice) -> np.ndarray | None:
        size = sizes[part]
        data["before"] = before
        data["text"][np.arange(most) < size[:, None]] = content[offsets[part.start] : offsets[part.stop]]
        return _lengths(column, null[part], size + len(before), part)

    return Cells(column.name, np.dtype([("before", "u1", before.shape), ("text", "u1", (most,))]), fill)


def _arrow(column: Column, array, missing: np.ndarray | None, type_):
    """Return the values as an Arrow array of a type, the missing ones NULL."""
    import pyarrow as pa

    try:
        if isinstance(array, pa.Array):
            return array.cast(type_)
        return pa.array(array, type_, mask=missing)
    except (pa.ArrowException, TypeError, ValueError) as error:
        problem = f"got values that are not {type_} ({error})".replace("\n", " ")
        raise column.refuse(problem, CONVERT) from error
