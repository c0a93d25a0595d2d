"""VOTable 1.4: read in pieces, written as TABLEDATA. An XML file's entities are not followed."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr, unescape

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from federation.columns import Field, is_list
from federation.errors import Level3Error
from federation.formats import BATCH, Sink, Source, votable_binary

TYPES = {
    "boolean": pa.bool_(), "bit": pa.bool_(), "unsignedByte": pa.uint8(), "short": pa.int16(),
    "int": pa.int32(), "long": pa.int64(),
    "float": pa.float32(), "double": pa.float64(), "char": pa.string(), "unicodeChar": pa.string(),
}  # fmt: skip
WRITTEN = {
    pa.bool_(): "boolean", pa.uint8(): "unsignedByte", pa.int8(): "short", pa.int16(): "short", pa.uint16(): "int",
    pa.int32(): "int", pa.uint32(): "long", pa.int64(): "long", pa.uint64(): "long", pa.float16(): "float",
    pa.float32(): "float", pa.float64(): "double",
}  # fmt: skip
CHUNK = 1 << 20
QUOTES = {"&quot;": '"', "&apos;": "'"}


def read(path: Path) -> Source:
    """Open the first table of a file for reading."""
    try:
        _refuse_entities(path)
        events = _events(path)
        fields, description, nulls, form = _head(path, events)
    except (OSError, ValueError, expat.ExpatError) as error:
        raise Level3Error(f"level3: {path.name} is no VOTable ({error})", "look at the file") from error
    if form != "TABLEDATA":
        events.close()
        return Source(fields, votable_binary.batches(path, fields, nulls, form == "BINARY2"), None, description)
    if (start := _plain_rows(path)) is not None:
        events.close()
        return Source(fields, _fast_batches(path, start, fields, nulls), None, description)
    return Source(fields, _batches(path, events, fields, nulls), None, description)


def _plain_rows(path: Path) -> int | None:
    """Return where the rows begin, if they may be split as bytes: UTF-8, and elements without a prefix."""
    with path.open("rb") as file:
        head = file.read(CHUNK)
    found = re.search(rb"<TABLEDATA\s*>", head)
    encoding = re.match(rb"\s*<\?xml[^>]*encoding=[\"']([^\"']*)", head)
    is_utf8 = not encoding or encoding[1].lower() in (b"utf-8", b"us-ascii", b"ascii")
    return found.end() if found and is_utf8 and head.count(b"<TABLEDATA") == 1 and b"<!--" not in head else None


def _fast_batches(path: Path, start: int, fields: list[Field], nulls: list[str | None]) -> Iterator[pa.Table]:
    """Split rows as bytes, several times faster than by events; what is not plain cells in plain rows is refused."""
    rest, ended = b"", False
    with path.open("rb") as file:
        file.seek(start)
        while not ended and (piece := file.read(4 * CHUNK)):
            content, ended, _ = (rest + piece).partition(b"</TABLEDATA")
            ended = bool(ended)
            whole, end, rest = content.rpartition(b"</TR>")
            if whole:
                yield _table(_cells(path, whole + end, len(fields)), nulls)
    if not ended or rest.strip():
        raise Level3Error(f"level3: {path.name} can't be read (its rows don't end as they should)", "get the file anew")


def _cells(path: Path, rows: bytes, width: int) -> list[pa.Array]:
    """Return the columns of whole rows: tags alternate so regularly that their places tell what lies between."""
    rows = rows.replace(b"<TD/>", b"<TD></TD>")
    tags = _tags(rows, width)
    if tags is None or b"&#" in rows:
        rows = _plainer(path, rows)
        tags = _tags(rows, width)
    if tags is None:
        raise Level3Error(f"level3: {path.name} has a row that is not {width} cells", "mend the file")
    try:
        rows.decode()
    except UnicodeDecodeError as error:
        raise Level3Error(f"level3: {path.name} is not UTF-8 ({error})", "convert it") from error
    odd, columns = np.arange(0, 2 * len(tags), 2), []
    for begin, end in zip((tags[:, 1:-1:2] + len("<TD>")).T, tags[:, 2::2].T, strict=True):
        offsets = np.append(np.column_stack([begin, end]).ravel(), 0).astype("i4")  # a cell, and what is up to the next
        offsets[-1] = offsets[-2]
        between = pa.StringArray.from_buffers(2 * len(tags), pa.py_buffer(offsets), pa.py_buffer(rows))
        columns.append(_unescaped(between.take(pa.array(odd))))
    return columns


def _tags(rows: bytes, width: int) -> np.ndarray | None:
    """Return where the tags of each row begin, shape (rows, 2 width + 2), or None where rows are not plain."""
    found = np.flatnonzero(np.frombuffer(rows, "u1") == ord("<"))
    if found.size % (2 * width + 2) or rows[-5:] != b"</TR>":
        return None
    tags = found.reshape(-1, 2 * width + 2)
    starts = np.ndarray(len(rows) - 3, "<u4", rows, strides=(1,))[tags]
    expected = np.frombuffer(b"<TR>" + b"<TD></TD" * width + b"</TR", "<u4")
    closed = np.frombuffer(rows, "u1")[tags[:, [*range(2, 2 * width + 1, 2), -1]] + len("</TD")] == ord(">")
    return tags if (starts == expected).all() and closed.all() else None


def _unescaped(cells: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring(cells, "&")).as_py():
        return cells
    return pa.array([unescape(cell, QUOTES) for cell in cells.to_pylist()], pa.string())


def _plainer(path: Path, rows: bytes) -> bytes:
    """Return rows with attributes, empty elements and characters by number, as plain ones."""
    try:
        tree = ElementTree.fromstring(b"<T>" + rows + b"</T>")
    except ElementTree.ParseError as error:
        raise Level3Error(f"level3: {path.name} can't be read ({error})", "mend the file") from error
    made = ("".join(f"<TD>{escape(cell.text or '')}</TD>" for cell in row) for row in tree)
    return "".join(f"<TR>{row}</TR>" for row in made).encode()


def _refuse_entities(path: Path) -> None:
    """Refuse a file that declares entities, before anything reads it."""

    def entity(name, *_):
        raise Level3Error(
            f"level3: {path.name} declares the entity {name!r}; allowed are none, since they reach outside the file"
            " or grow without end",
            "take the declaration out",
        )

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = entity
    parser.SkippedEntityHandler = lambda name, _: entity(name)
    parser.StartElementHandler = lambda *_: began.append(True)
    began: list[bool] = []
    with path.open("rb") as file:
        while not began and (piece := file.read(1 << 14)):
            parser.Parse(piece, False)


def _events(path: Path) -> Iterator[tuple]:
    """Yield (begins, element, attributes or text, place)."""
    from astropy.utils.xml.iterparser import get_xml_iterator

    with path.open("rb") as file, get_xml_iterator(file) as events:
        for begins, name, data, place in events:
            yield begins, name.rpartition(":")[2], data, place


def _head(path: Path, events: Iterator[tuple]) -> tuple[list[Field], str | None, list[str | None], str]:
    """Return the columns, the table's description, what stands for NULL in each, and the form of the rows."""
    fields: list[dict] = []
    described = description = None
    for begins, name, data, _ in events:
        if begins and name == "FIELD":
            fields.append(dict(data))
        elif begins and name == "VALUES" and fields and "null" in data:
            fields[-1]["null"] = data["null"]
        elif not begins and name == "DESCRIPTION":
            if fields and described is not fields[-1]:
                described = fields[-1]
                described["description"] = data.strip()
            elif not fields:
                description = data.strip()
        elif begins and name == "FITS":
            raise Level3Error(
                f"level3: {path.name} has its rows as FITS; allowed are TABLEDATA, BINARY and BINARY2",
                "import the FITS file itself",
            )
        elif begins and name in ("TABLEDATA", "BINARY", "BINARY2"):
            if not fields:
                raise Level3Error(f"level3: {path.name} declares no columns", "mend the file")
            return [_field(one) for one in fields], description, [one.get("null") for one in fields], name
    raise Level3Error(f"level3: {path.name} holds no rows", "name a file that does")


def _field(one: dict) -> Field:
    name, datatype, size = one.get("name") or one.get("ID", ""), one.get("datatype"), one.get("arraysize")
    if datatype not in TYPES:
        raise Level3Error(
            f"level3: the column {name!r} is of type {datatype}; allowed are {', '.join(TYPES)}", "leave it out"
        )
    type_ = TYPES[datatype]
    if size and size != "1" and type_ != pa.string():
        type_ = pa.large_list(type_)
    if type_ == pa.string() and size and "x" in size:
        raise Level3Error(
            f"level3: the column {name!r} holds arrays of texts, which no table here takes", "leave it out"
        )
    if one.get("xtype") == "timestamp":
        type_ = pa.timestamp("us")
    kind = f"{datatype} {size or ''} {one.get('xtype', '')}".rstrip()
    return Field(name, type_, kind, one.get("unit"), one.get("ucd"), one.get("description"))


def _batches(path: Path, events: Iterator[tuple], fields: list[Field], nulls: list[str | None]) -> Iterator[pa.Table]:
    width = len(fields)
    cells: list[str] = []
    try:
        for begins, name, data, place in events:
            if begins:
                if name not in ("TD", "TR"):
                    raise Level3Error(
                        f"level3: {path.name} has {name} amid its rows, in line {place[0]}", "mend the file"
                    )
            elif name == "TD":
                cells.append(data)
            elif name == "TR":
                if len(cells) % width:
                    raise Level3Error(
                        f"level3: {path.name}, line {place[0]}: a row has {len(cells) % width} cells,"
                        f" allowed are {width}",
                        "mend the file",
                    )
                if len(cells) >= BATCH * width:
                    yield _table(_columns(cells, width), nulls)
                    cells = []
            elif name == "TABLEDATA":
                break
    except (OSError, ValueError) as error:
        raise Level3Error(f"level3: {path.name} can't be read ({error})", "look at the file") from error
    if cells:
        yield _table(_columns(cells, width), nulls)


def _columns(cells: list[str], width: int) -> list[pa.Array]:
    return [pa.array(cells[number::width], pa.string()) for number in range(width)]


def _table(columns: list[pa.Array], nulls: list[str | None]) -> pa.Table:
    """Return the table of columns of texts, in which empty ones are NULL, and those that a column names."""
    made = [
        pc.if_else(pc.is_in(texts, pa.array(sorted({"", null or ""}))), None, texts)
        for texts, null in zip(columns, nulls, strict=True)
    ]
    return pa.Table.from_arrays(made, [str(n) for n in range(len(made))])


def write(path: Path, sink: Sink, batches: Iterator[pa.Table]) -> None:
    """Write a file; NULL is an empty cell, as an empty text is."""
    with path.open("w", encoding="utf-8") as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n<RESOURCE type="results">\n<TABLE>\n'
        )
        if sink.description:
            file.write(f"<DESCRIPTION>{escape(sink.description)}</DESCRIPTION>\n")
        file.writelines(_declaration(one) for one in sink.fields)
        file.write("<DATA>\n<TABLEDATA>\n")
        for table in batches:
            columns = [
                _texts(column.combine_chunks(), "10" if one.kind.startswith("bit") else "TF")
                for column, one in zip(table.columns, sink.fields, strict=True)
            ]
            file.writelines(f"<TR><TD>{'</TD><TD>'.join(row)}</TD></TR>\n" for row in zip(*columns, strict=True))
        file.write("</TABLEDATA>\n</DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")


def _declaration(one: Field) -> str:
    item = one.type.value_type if is_list(one.type) else one.type
    datatype, size, xtype = (*one.kind.split(" "), "", "")[:3] if one.kind.split(" ")[0] in TYPES else ("", "", "")
    if not datatype:
        datatype = WRITTEN.get(item, "char")
        size = "*" if is_list(one.type) or item not in WRITTEN else ""
        xtype = "timestamp" if pa.types.is_timestamp(item) else ""
    pairs = {
        "name": one.original,
        "datatype": datatype,
        "arraysize": size,
        "xtype": xtype,
        "unit": one.unit,
        "ucd": one.ucd,
    }
    attributes = " ".join(f"{key}={quoteattr(value)}" for key, value in pairs.items() if value)
    inside = f"<DESCRIPTION>{escape(one.description)}</DESCRIPTION>" if one.description else ""
    return f"<FIELD {attributes}>{inside}</FIELD>\n"


def _texts(column: pa.Array, booleans: str = "TF") -> list[str]:
    type_ = column.type
    if is_list(type_):
        inner = [_texts(pa.array(one or [], type_.value_type)) for one in column.to_pylist()]
        return [" ".join(one) for one in inner]
    write = _writer(type_, booleans)
    return ["" if one is None else write(one) for one in column.to_pylist()]


def _writer(type_: pa.DataType, booleans: str) -> Callable:
    """Return what writes one value."""
    if pa.types.is_boolean(type_):
        return lambda one: booleans[0] if one else booleans[1]
    if pa.types.is_floating(type_):
        dtype = np.dtype(type_.to_pandas_dtype()).type
        return lambda one: str(dtype(one))
    if pa.types.is_timestamp(type_):
        return lambda one: one.isoformat(timespec="microseconds")
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return escape
    return bytes.hex if pa.types.is_binary(type_) or pa.types.is_large_binary(type_) else str
