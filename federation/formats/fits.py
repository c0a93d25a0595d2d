"""FITS binary tables, read and written in pieces as the bytes lie on disk (FITS standard 4.0, 7.3)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from federation.columns import Field, is_list
from federation.errors import Level3Error
from federation.formats import BATCH, Sink, Source

CODES = {"L": "i1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
UNSIGNED = {("I", 1 << 15): np.uint16, ("J", 1 << 31): np.uint32, ("K", 1 << 63): np.uint64, ("B", -128): np.int8}
"""Code and TZERO → the type that the standard writes so."""
WRITTEN = {
    pa.bool_(): "L", pa.int8(): "B", pa.uint8(): "B", pa.int16(): "I", pa.uint16(): "I", pa.int32(): "J",
    pa.uint32(): "J", pa.int64(): "K", pa.uint64(): "K", pa.float32(): "E", pa.float64(): "D",
}  # fmt: skip
CARD = 2880


@dataclass(frozen=True)
class Packed:
    """A column as the bytes have it: code, how many elements a cell has, scaling, and the value for NULL."""

    code: str
    repeat: int
    scale: float
    zero: float
    null: int | None

    @property
    def dtype(self) -> np.dtype:
        """What one cell is."""
        if self.code == "A":
            return np.dtype(f"S{max(self.repeat, 1)}")
        return np.dtype((CODES[self.code], (self.repeat,))) if self.repeat != 1 else np.dtype(CODES[self.code])


def read(path: Path) -> Source:
    """Open the first binary table of a file."""
    from astropy.io import fits

    try:
        with fits.open(path, memmap=True, lazy_load_hdus=True) as file:
            table = next((hdu for hdu in file if isinstance(hdu, fits.BinTableHDU)), None)
            if table is None or isinstance(table, fits.CompImageHDU):
                raise Level3Error(f"level3: {path.name} holds no binary table", "name a file that does")
            header, offset = table.header.copy(), table.fileinfo()["datLoc"]
    except OSError as error:
        raise Level3Error(f"level3: {path.name} is no FITS file ({error})", "look at the file") from error
    columns = [_column(header, number) for number in range(1, header["TFIELDS"] + 1)]
    rows, width = header["NAXIS2"], header["NAXIS1"]
    size = sum(packed.dtype.itemsize if packed.repeat else 0 for _, packed in columns)
    if width != size or path.stat().st_size < offset + rows * width:
        raise Level3Error(
            f"level3: {path.name} is cut short, or its rows are not of the length that it says", "get it anew"
        )
    kept = [one for one in columns if one[1].repeat]
    return Source([one for one, _ in kept], _batches(path, kept, offset, rows), rows, header.get("EXTNAME"))


def _column(header, number: int) -> tuple[Field, Packed]:
    name = str(header.get(f"TTYPE{number}", f"col{number}"))
    form = str(header[f"TFORM{number}"]).strip()
    found = re.fullmatch(r"(\d*)([A-Z])(.*)", form)
    if not found or found[2] not in {*CODES, "A"}:
        what = "of variable length" if found and found[2] in "PQ" else f"of type {form}"
        raise Level3Error(
            f"level3: the column {name!r} holds arrays {what}; allowed are L, B, I, J, K, E, D and A of fixed length"
            if found and found[2] in "PQ"
            else f"level3: the column {name!r} is {what}; allowed are L, B, I, J, K, E, D and A of fixed length",
            "leave it out, or write it as a table of its own with one value a row",
        )
    packed = Packed(
        found[2],
        int(found[1] or 1),
        float(header.get(f"TSCAL{number}", 1)),
        header.get(f"TZERO{number}", 0),
        header.get(f"TNULL{number}"),
    )
    dim = header.get(f"TDIM{number}")
    words = {
        "unit": header.get(f"TUNIT{number}"),
        "ucd": header.get(f"TUCD{number}"),
        "description": header.get(f"TCOMM{number}"),
    }
    kind = " ".join(
        filter(None, [form, f"TDIM={dim}" if dim else "", f"TNULL={packed.null}" if packed.null is not None else ""])
    )
    return Field(name, _type(packed), kind, **words), packed


def _type(packed: Packed) -> pa.DataType:
    if packed.code == "A":
        return pa.string()
    if packed.code == "L":
        item = pa.bool_()
    elif (packed.code, packed.zero) in UNSIGNED and packed.scale == 1:
        item = pa.from_numpy_dtype(UNSIGNED[packed.code, packed.zero])
    elif packed.scale != 1 or packed.zero:
        item = pa.float64()
    else:
        item = pa.from_numpy_dtype(np.dtype(CODES[packed.code]).newbyteorder("="))
    return item if packed.repeat == 1 else pa.large_list(item)


def _batches(path: Path, columns: list[tuple[Field, Packed]], offset: int, rows: int) -> Iterator[pa.Table]:
    dtype = np.dtype([(str(n), packed.dtype) for n, (_, packed) in enumerate(columns)])
    names = [one.original for one, _ in columns]
    with path.open("rb") as file:
        file.seek(offset)
        for start in range(0, rows, BATCH):
            data = np.fromfile(file, dtype, min(BATCH, rows - start))
            arrays = [_arrow(data[str(n)], one.type, packed) for n, (one, packed) in enumerate(columns)]
            yield pa.Table.from_arrays(arrays, names)


def _arrow(cells: np.ndarray, type_: pa.DataType, packed: Packed) -> pa.Array:
    if packed.code == "A":
        plain = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(cells.dtype.itemsize), len(cells), [None, pa.py_buffer(np.ascontiguousarray(cells))]
        )
        try:
            texts = pc.cast(pc.cast(plain, pa.binary()), pa.string())
        except pa.ArrowException:
            texts = pa.array([one.decode("latin-1") for one in cells.tolist()], pa.string())
        cut = pc.replace_substring_regex(texts, "\x00.*$", "") if b"\x00" in cells.tobytes() else texts
        texts = pc.ascii_rtrim(cut, characters=" ")
        return pc.if_else(pc.equal(texts, ""), None, texts)
    item = type_.value_type if is_list(type_) else type_
    flat = np.ascontiguousarray(cells).reshape(-1)
    missing = None
    if packed.code == "L":
        missing, flat = flat == 0, flat == ord("T")
    elif packed.null is not None and packed.code in "BIJK":
        missing = flat == packed.null
    if packed.code == "L":
        values = flat
    elif (packed.code, packed.zero) in UNSIGNED and packed.scale == 1:
        wanted = np.dtype(UNSIGNED[packed.code, packed.zero])
        flip = np.array(1 << (8 * wanted.itemsize - 1), f"u{wanted.itemsize}")
        values = (flat.astype(f"u{wanted.itemsize}") ^ flip).view(wanted)
    elif packed.scale != 1 or packed.zero:
        values = flat * packed.scale + packed.zero
    else:
        values = flat.astype(flat.dtype.newbyteorder("="))
    array = pa.array(values, item, mask=missing)
    if not is_list(type_):
        return array
    offsets = pa.array(np.arange(0, flat.size + 1, packed.repeat), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, array)


def write(path: Path, sink: Sink, batches: Iterator[pa.Table]) -> None:
    """Write a file; NULL is NaN, TNULL, a blank text (as an empty one is), or neither T nor F."""
    from astropy.io import fits

    packed = [_pack_as(one, sink) for one in sink.fields]
    header = fits.Header([("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2)])
    dtype = np.dtype([(str(n), one.dtype) for n, one in enumerate(packed)])
    for key, value in (
        ("NAXIS1", dtype.itemsize),
        ("NAXIS2", sink.rows),
        ("PCOUNT", 0),
        ("GCOUNT", 1),
        ("TFIELDS", len(packed)),
    ):
        header[key] = value
    for number, (one, how) in enumerate(zip(sink.fields, packed, strict=True), 1):
        _describe(header, number, one, how)
    if sink.description:
        header["EXTNAME"] = sink.description[:60].encode("ascii", "replace").decode()
    written = 0
    with path.open("wb") as file:
        file.write(fits.PrimaryHDU().header.tostring().encode())
        file.write(header.tostring().encode())
        for table in batches:
            data = np.zeros(len(table), dtype)
            for number, (column, how) in enumerate(zip(table.columns, packed, strict=True)):
                data[str(number)] = _cells(column.combine_chunks(), how, sink.fields[number])
            file.write(data.tobytes())
            written += len(table)
        file.write(bytes(-file.tell() % CARD))
    if written != sink.rows:
        raise Level3Error(
            f"level3: {written} rows came instead of {sink.rows}", "export again: the table changed meanwhile"
        )


def _pack_as(one: Field, sink: Sink) -> Packed:
    form = re.match(r"(\d*)([A-Z])", one.kind if re.match(r"\d*[LBIJKEDA]\b", one.kind) else "")
    null = re.search(r"TNULL=(-?\d+)", one.kind)
    item = one.type.value_type if is_list(one.type) else one.type
    if item not in WRITTEN:  # texts, and what is written as text
        width = max(sink.widths.get(one.name, 1), int(form[1] or 1) if form and form[2] == "A" else 1)
        return Packed("A", width, 1, 0, None)
    code = WRITTEN[item]
    zero = next(
        (zero for (known, zero), type_ in UNSIGNED.items() if known == code and pa.from_numpy_dtype(type_) == item), 0
    )
    repeat = sink.widths.get(one.name, 1) if is_list(one.type) else 1
    least = int(np.iinfo(CODES[code]).min) if code in "BIJK" else 0
    fill = int(null[1]) if null else least if one.name in sink.with_null and code in "BIJK" else None
    return Packed(code, repeat, 1, zero, fill)


def _describe(header, number: int, one: Field, how: Packed) -> None:
    header[f"TTYPE{number}"] = one.original.encode("ascii", "replace").decode()[:68]
    header[f"TFORM{number}"] = f"{how.repeat if how.repeat != 1 or how.code == 'A' else ''}{how.code}"
    if how.zero:
        header[f"TZERO{number}"] = how.zero
    if how.null is not None:
        header[f"TNULL{number}"] = how.null
    if dim := re.search(r"TDIM=(\S+)", one.kind):
        header[f"TDIM{number}"] = dim[1]
    for key, value in (("TUNIT", one.unit), ("TUCD", one.ucd), ("TCOMM", one.description)):
        if value:
            header[f"{key}{number}"] = value.encode("ascii", "replace").decode().replace("\n", " ")


def _cells(column: pa.Array, how: Packed, one: Field) -> np.ndarray:
    if how.code == "A":
        texts = column.cast(pa.string()) if not pa.types.is_large_binary(column.type) else column
        return np.array(
            [(v or "").encode() if not isinstance(v, bytes) else v for v in texts.to_pylist()], f"S{how.repeat}"
        )
    if is_list(column.type):
        sizes = pc.list_value_length(column)
        if column.null_count or pc.min(sizes).as_py() != how.repeat or pc.max(sizes).as_py() != how.repeat:
            raise Level3Error(
                f"level3: the arrays of {one.name} differ in length; FITS allows one length here",
                "export to Parquet, ECSV or VOTable",
            )
        return _numbers(column.flatten(), how).reshape(-1, how.repeat)
    return _numbers(column, how)


def _numbers(column: pa.Array, how: Packed) -> np.ndarray:
    missing = column.is_null().to_numpy(zero_copy_only=False)
    zero = pa.scalar(0, pa.int64()).cast(column.type)
    values = column.fill_null(zero).to_numpy(zero_copy_only=False)
    if how.code == "L":
        return np.where(missing, 0, np.where(values, ord("T"), ord("F"))).astype("i1")
    if how.zero:
        kind = np.dtype(UNSIGNED[how.code, how.zero])
        flip = np.array(1 << (8 * kind.itemsize - 1), f"u{kind.itemsize}")
        stored = (values.astype(kind).view(f"u{kind.itemsize}") ^ flip).view(
            np.dtype(CODES[how.code]).newbyteorder("=")
        )
    else:
        stored = values.astype(np.dtype(CODES[how.code]).newbyteorder("="))
    if how.code in "ED":
        return np.where(missing, np.nan, stored).astype(CODES[how.code])
    return (np.where(missing, how.null if how.null is not None else 0, stored) if missing.any() else stored).astype(
        CODES[how.code]
    )
