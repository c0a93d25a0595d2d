"""CSV and ECSV: read as texts, block by block; what they are is guessed from the first block, or in the header."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pyarrow import csv as arrow_csv

from federation.columns import Field, is_list
from federation.errors import Level3Error
from federation.formats import Sink, Source

BLOCK = 1 << 20  # bytes; pyarrow keeps several at once
SAMPLE = 20_000  # rows that types are guessed from
INTEGER = r"^\s*[+-]?\d{1,18}\s*$"
FLOAT = r"^\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|[nN][aA][nN])\s*$"
BOOLEAN = r"^\s*([tT]rue|[fF]alse|TRUE|FALSE)\s*$"
TIME = r"^\s*\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?Z?\s*$"
ECSV_TYPES = {
    "bool": pa.bool_(), "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(),
    "float16": pa.float16(), "float32": pa.float32(), "float64": pa.float64(), "string": pa.string(),
}  # fmt: skip


def sidecar(path: Path) -> Path:
    """Return where the types, units and UCDs of a CSV lie."""
    return path.with_name(path.name + ".json")


def read(path: Path) -> Source:
    """Open a file for reading."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header = _header(file)
            names = next(csv.reader([header[1]], delimiter=header[2]), [])
    except UnicodeDecodeError as error:
        raise Level3Error(f"level3: {path.name} is not UTF-8 ({error})", "convert it") from error
    described, line, delimiter = header
    if not names:
        raise Level3Error(f"level3: {path.name} has no line of names", "give the columns names in the first line")
    bad: list[tuple[int, str]] = []
    lines = line.count("\n")  # those of the header and the names
    batches = _batches(path, len(names), lines + described.get("lines", 0), delimiter, bad)
    if path.suffix.lower() == ".ecsv":
        fields = _declared(path, names, described)
        return Source(fields, batches, None, (described.get("meta") or {}).get("description"), bad)
    if sidecar(path).is_file():
        about = json.loads(sidecar(path).read_text())
        fields = [_from_sidecar(name, about["columns"].get(name, {})) for name in names]
        return Source(fields, batches, None, about.get("description"), bad)
    first = next(batches, None)
    fields = [
        Field(name, _guess(first.column(n).slice(0, SAMPLE)) if first else pa.string()) for n, name in enumerate(names)
    ]
    return Source(fields, _again(first, batches), None, None, bad)


def _header(file) -> tuple[dict, str, str]:
    """Return ECSV's description of the columns with the number of its lines, the line of names, and the delimiter."""
    comments, line = [], file.readline()
    while line.startswith("#"):
        comments.append(line[1:].removeprefix(" ").rstrip("\r\n"))
        line = file.readline()
    if not any(one.startswith("%ECSV") for one in comments):
        return {"lines": len(comments)}, line, ","
    from astropy.table import meta

    try:
        found = meta.get_header_from_yaml([one for one in comments if not one.startswith("%")])
    except Exception as error:  # whatever a strange header makes YAML raise
        raise Level3Error(
            f"level3: the header of the ECSV can't be read ({error})".replace("\n", " "), "mend it"
        ) from error
    return dict(found) | {"lines": len(comments)}, line, found.get("delimiter", " ")


def _declared(path: Path, names: Sequence[str], described: dict) -> list[Field]:
    columns = {one["name"]: one for one in described.get("datatype", [])}
    if list(columns) != list(names):
        raise Level3Error(
            f"level3: {path.name} declares the columns {list(columns)} and has {list(names)}", "mend its header"
        )
    fields = []
    for name, one in columns.items():
        subtype = str(one.get("subtype", ""))
        shaped = re.fullmatch(r"(\w+)\[(.*)\]", subtype)
        item = ECSV_TYPES.get(shaped[1] if shaped else one["datatype"])
        if item is None or (subtype and not shaped):
            raise Level3Error(
                f"level3: the column {name!r} is of type {subtype or one['datatype']}, which is not read",
                "leave it out",
            )
        about = one.get("meta") or {}
        unit = one.get("unit")
        fields.append(
            Field(
                name,
                pa.large_list(item) if shaped else item,
                subtype or one["datatype"],
                str(unit) if unit is not None else None,
                about.get("ucd"),
                one.get("description"),
            )
        )
    return fields


def _from_sidecar(name: str, about: dict) -> Field:
    inner = about.get("type", "string").removesuffix("[]")
    item = {
        str(one): one
        for one in [*ECSV_TYPES.values(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.large_binary()]
    }
    type_ = item.get(inner, pa.string())
    words = {key: about.get(key) for key in ("unit", "ucd", "description")}
    return Field(
        name, pa.large_list(type_) if about.get("type", "").endswith("[]") else type_, about.get("kind", ""), **words
    )


def _batches(path: Path, columns: int, skip: int, delimiter: str, bad: list) -> Iterator[pa.Table]:
    names = [str(number) for number in range(columns)]

    def refused(row) -> str:
        bad.append((row.number or 0, f"{row.actual_columns} values, there are {row.expected_columns} columns"))
        return "skip"

    try:
        reader = arrow_csv.open_csv(
            path,
            arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK, skip_rows=skip, column_names=names),
            arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refused),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
                quoted_strings_can_be_null=delimiter != ",",
            ),
        )
        for batch in reader:
            yield pa.Table.from_batches([batch])
    except pa.ArrowException as error:
        if "Empty CSV" in str(error):
            return
        raise Level3Error(
            f"level3: {path.name} can't be read ({error})".replace("\n", " ")[:500], "look at the file"
        ) from error


def _again(first: pa.Table | None, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    if first is not None:
        yield first
    yield from rest


def _guess(values: pa.ChunkedArray) -> pa.DataType:
    present = values.drop_null()
    if not len(present):
        return pa.string()
    for pattern, type_ in (
        (INTEGER, pa.int64()),
        (FLOAT, pa.float64()),
        (BOOLEAN, pa.bool_()),
        (TIME, pa.timestamp("us")),
    ):
        # A few wrong rows must not make a column of numbers one of texts.
        if pc.mean(pc.cast(pc.match_substring_regex(present, pattern), pa.float64())).as_py() > 0.99:
            return type_
    return pa.string()


def write(path: Path, sink: Sink, batches: Iterator[pa.Table]) -> None:
    """Write a file; NULL is an empty cell. In CSV an empty text is ``""``; in ECSV it is NULL too."""
    is_ecsv = path.suffix.lower() == ".ecsv"
    with path.open("wb") as file:
        names = [one.original for one in sink.fields]
        if is_ecsv:
            file.write(_ecsv_header(sink).encode())
        else:
            sidecar(path).write_text(json.dumps(_sidecar(sink), indent=1))
        line = (" " if is_ecsv else ",").join(_quoted(name, is_ecsv) for name in names) + "\n"
        file.write(line.encode())
        options = arrow_csv.WriteOptions(
            include_header=False, delimiter=" " if is_ecsv else ",", quoting_style="needed"
        )
        for table in batches:
            columns = [_as_text(column.combine_chunks()) for column in table.columns]
            data = pa.Table.from_arrays(columns, [str(n) for n in range(len(columns))])
            if is_ecsv:  # a blank line, or two delimiters in a row, would be no cell
                file.write(_ecsv_rows(data))
            else:
                arrow_csv.write_csv(data, file, options)


def _quoted(name: str, is_ecsv: bool) -> str:
    return (
        '"' + name.replace('"', '""') + '"'
        if re.search(r'[\s",#]' if is_ecsv else r'[\s",]', name) or not name
        else name
    )


def _as_text(column: pa.Array) -> pa.Array:
    if is_list(column.type):
        return pa.array([None if one is None else json.dumps(one) for one in column.to_pylist()], pa.string())
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.array([None if one is None else one.hex() for one in column.to_pylist()], pa.string())
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "True", "False")
    return column


def _ecsv_rows(data: pa.Table) -> bytes:
    cells = []
    for column in data.columns:
        texts = pc.cast(column, pa.string())
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            wild = pc.match_substring_regex(texts, r'[\s"#,]|^$')
            quoted = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
            texts = pc.if_else(wild, quoted, texts)
        cells.append(pc.fill_null(pc.cast(texts, pa.large_string()), '""'))
    lines = pc.binary_join_element_wise(*cells, pa.scalar(" ", pa.large_string())) if len(cells) > 1 else cells[0]
    return ("\n".join(lines.to_pylist()) + "\n").encode() if len(lines) else b""


def _ecsv_header(sink: Sink) -> str:
    columns = []
    for one in sink.fields:
        kind = one.kind if one.kind in ECSV_TYPES else _ecsv_type(one)
        described = {"name": one.original, "datatype": "string" if "[" in kind else kind}
        if "[" in kind:
            described["subtype"] = kind
        described |= {key: getattr(one, key) for key in ("unit", "description") if getattr(one, key)}
        if one.ucd:
            described["meta"] = {"ucd": one.ucd}
        columns.append(described)
    about = {"meta": {"description": sink.description}} if sink.description else {}
    text = yaml.safe_dump(
        {"datatype": columns} | about, sort_keys=False, default_flow_style=None, width=10_000, allow_unicode=True
    )
    return "".join(f"# {line}\n" for line in ["%ECSV 1.0", "---", *text.splitlines()])


def _ecsv_type(one: Field) -> str:
    inner = one.type.value_type if is_list(one.type) else one.type
    known = {type_: name for name, type_ in ECSV_TYPES.items()}
    name = known.get(inner, "string")
    return (one.kind if re.fullmatch(rf"{name}\[.*\]", one.kind) else f"{name}[null]") if is_list(one.type) else name


def _sidecar(sink: Sink) -> dict:
    columns = {}
    for one in sink.fields:
        inner = one.type.value_type if is_list(one.type) else one.type
        about = {
            "type": f"{inner}{'[]' * is_list(one.type)}",
            "kind": one.kind or None,
            **{key: getattr(one, key) for key in ("unit", "ucd", "description")},
        }
        columns[one.original] = {key: value for key, value in about.items() if value}
    return {"description": sink.description, "columns": columns}
