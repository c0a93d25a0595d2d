"""Parquet: units, UCDs and descriptions are metadata of the fields; also as astropy writes them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from federation.columns import Field, is_list
from federation.errors import Level3Error
from federation.formats import BATCH, Sink, Source


def read(path: Path) -> Source:
    """Open a file for reading."""
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise Level3Error(f"level3: {path.name} is no Parquet file ({error})", "look at the file") from error
    described = _by_astropy(schema)
    fields = [_field(one, described.get(one.name, {})) for one in schema]
    description = (schema.metadata or {}).get(b"description")
    batches = _batches(file, fields)
    return Source(fields, batches, file.metadata.num_rows, description and description.decode())


def _field(one: pa.Field, described: dict) -> Field:
    about = {key.decode(): value.decode() for key, value in (one.metadata or {}).items()} | described
    words = {key: about.get(key) or None for key in ("unit", "ucd", "description")}
    return Field(one.name, _readable(one.type), str(one.type), **words)


def _readable(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(type_):
        return _readable(type_.value_type)
    if pa.types.is_timestamp(type_):
        return pa.timestamp("us", "UTC" if type_.tz else None)
    if is_list(type_):
        return pa.large_list(type_.value_type)
    plainer = {
        pa.types.is_date: pa.timestamp("us"), pa.types.is_decimal: pa.float64(),
        pa.types.is_fixed_size_binary: pa.large_binary(),
    }  # fmt: skip
    return next((instead for is_such, instead in plainer.items() if is_such(type_)), type_)


def _by_astropy(schema: pa.Schema) -> dict[str, dict]:
    """Return unit and description of columns as astropy's `table_meta_yaml` has them."""
    header = (schema.metadata or {}).get(b"table_meta_yaml")
    if not header:
        return {}
    from astropy.table import meta

    try:
        columns = meta.get_header_from_yaml(header.decode().split("\n"))["datatype"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {
        one["name"]: {key: str(one[key]) for key in ("unit", "description") if one.get(key)}
        | {key: str(value) for key, value in (one.get("meta") or {}).items() if key == "ucd"}
        for one in columns
    }


def _batches(file: pq.ParquetFile, fields: list[Field]) -> Iterator[pa.Table]:
    schema = pa.schema([pa.field(one.original, one.type) for one in fields])
    for batch in file.iter_batches(BATCH):
        table = pa.Table.from_batches([batch])
        yield table if table.schema.equals(schema) else _cast(table, schema)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for column, wanted in zip(table.columns, schema, strict=True):
        plain = column.combine_chunks()
        if pa.types.is_dictionary(plain.type):
            plain = plain.dictionary_decode()
        try:
            columns.append(plain if plain.type == wanted.type else plain.cast(wanted.type))
        except pa.ArrowException as error:
            raise Level3Error(
                f"level3: the column {wanted.name!r} can't be read ({error})", "convert it first"
            ) from error
    return pa.Table.from_arrays(columns, schema=schema)


def write(path: Path, sink: Sink, batches: Iterator[pa.Table]) -> None:
    """Write a file; a column that came from Parquet has the type again that it had."""
    types = [_as_it_was(one) for one in sink.fields]
    schema = pa.schema(
        [
            pa.field(
                one.original,
                type_,
                metadata={key: value for key in ("unit", "ucd", "description") if (value := getattr(one, key))},
            )
            for one, type_ in zip(sink.fields, types, strict=True)
        ],
        metadata={"description": sink.description} if sink.description else None,
    )
    with pq.ParquetWriter(path, schema) as writer:
        for table in batches:
            columns = [
                column.combine_chunks().cast(one.type) for column, one in zip(table.columns, schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _as_it_was(one: Field) -> pa.DataType:
    simple = {str(type_): type_ for type_ in (
        pa.int8(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.int16(), pa.int32(), pa.int64(), pa.float32(),
        pa.float64(), pa.bool_(), pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.date32(),
        pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ms", "UTC"),
    )}  # fmt: skip
    if one.kind in simple:
        return simple[one.kind]
    for item in simple.values():
        for made in (pa.list_(item), pa.large_list(item)):
            if str(made) == one.kind or str(made).replace("item:", "element:") == one.kind:
                return made
    return pa.list_(one.type.value_type) if is_list(one.type) else replace(one).type
