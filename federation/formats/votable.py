"""VOTable 1.4: TABLEDATA, read and written row by row. An XML file's entities are not followed."""

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
from federation.formats import BATCH, Sink, Source

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
TAGS = (b"<TD>", b"</TD>", b"<TR>", b"</TR>")
QUOTES = {"&quot;": '"', "&apos;": "'"}


def read(path: Path) -> Source:
    """Open the first table of a file for reading."""
    try:
        _refuse_entities(path)
        events = _events(path)
        fields, description, nulls = _head(path, events)
    except (OSError, ValueError, expat.ExpatError) as error:
        raise Level3Error(f"level3: {path.name} is no VOTable ({error})", "look at the file") from error
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
    names, rest = [one.original for one in fields], b""
    ended = False
    with path.open("rb") as file:
        file.seek(start)
        while not ended and (piece := file.read(4 * CHUNK)):
            content, ended, _ = (rest + piece).partition(b"</TABLEDATA")
            ended = bool(ended)
            whole, end, rest = content.rpartition(b"</TR>")
            if whole:
                yield _table(_cells(path, whole + end, len(fields)), names, nulls)
    if not ended or rest.strip():
        raise Level3Error(f"level3: {path.name} can't be read (its rows don't end as they should)", "get the file anew")


def _cells(path: Path, rows: bytes, width: int) -> list[str]:
    """Return the texts of all cells of whole rows, one after the other."""
    plain = rows.count(b"<") == sum(rows.count(tag) for tag in TAGS)
    if not plain or any(odd in rows for odd in (b"&#", b"\x1e", b"\x1f")):
        rows = _plainer(path, rows)
    count = rows.count(b"<TR>")
    text = rows.replace(b"</TD><TD>", b"\x1f")  # by far the fastest, and how most are written
    if text.count(b"<TD>") > count:
        text = re.sub(rb"</TD>\s*<TD>", b"\x1f", text)
    text = re.sub(rb"</TD>\s*</TR>\s*<TR>\s*<TD>", b"\x1e", text)
    inside = re.fullmatch(rb"\s*<TR>\s*<TD>(.*)</TD>\s*</TR>\s*", text, re.DOTALL)
    lines = inside[1].decode().split("\x1e") if inside else []
    if not inside or b"<" in inside[1] or any(line.count("\x1f") != width - 1 for line in lines):
        raise Level3Error(f"level3: {path.name} has a row that is not {width} cells", "mend the file")
    cells = "\x1f".join(lines).split("\x1f")
    return [unescape(cell, QUOTES) for cell in cells] if b"&" in rows else cells


def _plainer(path: Path, rows: bytes) -> bytes:
    """Return rows with attributes, empty elements and characters by number, as plain ones."""
    try:
        tree = ElementTree.fromstring(b"<T>" + rows + b"</T>")
    except ElementTree.ParseError as error:
        raise Level3Error(f"level3: {path.name} can't be read ({error})", "mend the file") from error
    made = ("".join(f"<TD>{escape(cell.text or '')}</TD>" for cell in row) for row in tree)
    return "".join(f"<TR>{row}</TR>" for row in made).replace("\x1e", "").replace("\x1f", "").encode()


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
        while not began and (piece := file.read(CHUNK)):
            parser.Parse(piece, False)


def _events(path: Path) -> Iterator[tuple]:
    """Yield (begins, element, attributes or text, place)."""
    from astropy.utils.xml.iterparser import get_xml_iterator

    with path.open("rb") as file, get_xml_iterator(file) as events:
        for begins, name, data, place in events:
            yield begins, name.rpartition(":")[2], data, place


def _head(path: Path, events: Iterator[tuple]) -> tuple[list[Field], str | None, list[str | None]]:
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
        elif begins and name in ("BINARY", "BINARY2", "FITS"):
            raise Level3Error(
                f"level3: {path.name} has its rows as {name}; allowed is TABLEDATA",
                "write it as TABLEDATA, such as by `stilts tcopy ofmt=votable-tabledata`",
            )
        elif begins and name == "TABLEDATA":
            if not fields:
                raise Level3Error(f"level3: {path.name} declares no columns", "mend the file")
            return [_field(one) for one in fields], description, [one.get("null") for one in fields]
    raise Level3Error(f"level3: {path.name} holds no TABLEDATA", "name a file that does")


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
    names, width = [one.original for one in fields], len(fields)
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
                    yield _table(cells, names, nulls)
                    cells = []
            elif name == "TABLEDATA":
                break
    except (OSError, ValueError) as error:
        raise Level3Error(f"level3: {path.name} can't be read ({error})", "look at the file") from error
    if cells:
        yield _table(cells, names, nulls)


def _table(cells: list[str], names: list[str], nulls: list[str | None]) -> pa.Table:
    width = len(names)
    columns = []
    for number, null in enumerate(nulls):
        empty = {"", null or ""}
        texts = pa.array(cells[number::width], pa.string())
        columns.append(pc.if_else(pc.is_in(texts, pa.array(sorted(empty))), None, texts))
    return pa.Table.from_arrays(columns, [str(n) for n in range(width)])


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
