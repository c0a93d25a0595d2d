"""The loader against the least that a COPY can cost, and against what most programs do.

The floor is a COPY of bytes that were packed beforehand, into a table without index: nobody can load faster
through one connection. The rows have 59 columns, a fifth of the nullable cells NULL.
"""

import io
import time
from contextlib import closing

import numpy as np
from psycopg2.extras import execute_values

from db.cells import Values, blocks
from db.connect import connect, engine
from db.load import CHUNK, load, table_columns
from db.pack import pack
from db.partitions import ByTime
from db.schema import science
from tests.benchmarks import Measured, Result, in_turns
from tests.benchmarks.facts import production_server

SIZES = {"night": 100_000, "visit": 10_000, "tiny": 100}
"""Rows of a load; a Visit has some 10⁴."""
COLUMNS = 59
NULLS = 0.2  # of the nullable cells
SLOW_ROWS = 2_000  # for execute_values, which takes half a second for them
NATIVE = {"int8": "i8", "int2": "i2", "float8": "f8", "float4": "f4", "bool": "?"}


def run(rows: int) -> Measured:
    """Measure."""
    with production_server() as database, closing(connect(database)) as session:
        _make_tables(database, session)
        batch = _batch(session, rows)
        staged = {name: batch[name] for name in batch.dtype.names}
        final = _as_dia_source(batch)
        order, packed = _packed(session, "staging.dia_source", batch)
        few = [tuple(row) for row in _with_none(batch[:SLOW_ROWS])]
        names = ", ".join(batch.dtype.names)

        def raw():
            return _timed(session, "bare", lambda cursor: _copy(cursor, "bare", order, packed))

        def loader():
            return _timed(session, "staging.dia_source", lambda _: load(session, "staging.dia_source", batch))

        def indexed():
            return _timed(session, "level1.dia_source", lambda _: load(session, "level1.dia_source", final))

        def values():
            query = f"INSERT INTO staging.dia_source ({names}) VALUES %s"
            return _timed(session, "staging.dia_source", lambda cursor: execute_values(cursor, query, few))

        for warm in (raw, loader, indexed):
            warm()
        seconds = in_turns({"raw": raw, "loader": loader, "indexed": indexed, "values": values}, runs=7)
    rate = {name: rows / took for name, took in seconds.items()}
    rate["values"] = len(few) / seconds["values"]
    floor, unit = "COPY of packed bytes, no index", "rows/s"
    return Measured(
        {"rows": rows, "columns": len(staged), "execute_values": len(few)},
        [
            Result("loader into staging", rate["loader"], unit, floor, rate["raw"], goal=0.8),
            Result("loader into staging", rate["loader"], unit, "execute_values", rate["values"], goal=200),
            Result("loader into dia_source, indexed, partitioned", rate["indexed"], unit, floor, rate["raw"]),
        ],
    )


def _make_tables(database: str, session) -> None:
    tables = science("level1", ByTime()).tables
    made = [tables["staging.dia_source"], tables["level1.dia_source"]]
    with engine(database).begin() as connection:
        for schema in ("staging", "level1"):
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        made[0].metadata.create_all(connection, tables=made)
    with session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE level1.dia_source_all PARTITION OF level1.dia_source DEFAULT")
        cursor.execute("CREATE TABLE bare (LIKE staging.dia_source)")


def _batch(session, rows: int) -> np.ndarray:
    """DiaSources of one Visit, in the order of their ids, as a masked structured array."""
    rng = np.random.default_rng(151)
    columns = list(table_columns(session, "staging.dia_source").values())
    columns = columns[: COLUMNS - 1] + columns[-1:]
    batch = np.ma.zeros(rows, [(column.name, NATIVE[column.type]) for column in columns])
    for column in columns:
        values = rng.normal(100, 30, rows)
        batch[column.name] = values > 100 if column.type == "bool" else values
        if not column.not_null:
            batch.mask[column.name] = rng.random(rows) < NULLS
    batch["ra"], batch["dec"] = rng.uniform(10, 13.5, rows), rng.uniform(-20, -16.5, rows)
    batch["healpix29"] = np.sort(rng.integers(1 << 61, (1 << 61) + (1 << 48), rows))
    batch["dia_source_id"] = (1 << 56) + 16 * np.arange(rows)
    return batch


def _as_dia_source(batch: np.ndarray) -> dict[str, np.ndarray]:
    """The same rows as they would be after association, with Objects; as many columns."""
    rows = {name: batch[name] for name in batch.dtype.names if name != "job_id"}
    return rows | {"object_id": np.random.default_rng(152).integers(1, 1 << 60, len(batch))}


def _packed(session, table: str, batch: np.ndarray) -> tuple[str, bytes]:
    """Return the columns in the order in which they are packed, and the bytes."""
    given = {name: Values(batch.data[name], batch.mask[name]) for name in batch.dtype.names}
    cells = blocks(table_columns(session, table), given)
    names = ", ".join(name for block in cells for name in block.names)
    return names, b"".join(pack(cells, len(batch), CHUNK))


def _with_none(batch: np.ndarray):
    return zip(*(batch[name].tolist() for name in batch.dtype.names), strict=True)


def _copy(cursor, table: str, names: str, packed: bytes) -> None:
    cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN (FORMAT binary)", io.BytesIO(packed), size=1 << 18)


def _timed(session, table: str, work) -> float:
    """Return how long work and its commit take [s]; the table is emptied before, outside the time."""
    with session, session.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")
    with session.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    session.commit()
    begin = time.perf_counter()
    with session, session.cursor() as cursor:
        work(cursor)
    return time.perf_counter() - begin
