"""Hand-over of a release to the night: what it knows of the sky becomes what the live database starts from."""

import tempfile
from collections.abc import Mapping
from contextlib import closing

from psycopg2.extensions import connection as Connection

from db.connect import connect
from db.files import StoredFile, register
from db.queries import queries

TABLES = ("filter", "detector", "refcat", "object", "patch")
"""Copied whole, in this order."""
SPOOL = 1 << 26  # bytes that are kept in memory


def hand_over(release: str, level1: str) -> dict[str, int]:
    """Copy filters, detectors, reference stars, Objects and templates of a release into an empty live database.

    All of it is one transaction. The files stay where they are: both databases name them.

    Returns
    -------
    dict
        Table → rows.
    """
    with closing(connect(release)) as source, closing(connect(level1)) as target, source, target:
        rows = {table: copy_table(source, target, table) for table in TABLES}
        with source.cursor() as reader, target.cursor() as cursor:
            reader.execute(queries("handover")["templates"])
            names = [column.name for column in reader.description]
            for row in reader.fetchall():
                values = dict(zip(names, row, strict=True))
                stored = StoredFile(bytes(values["sha256"]), values["size"])
                values["file_id"] = register(cursor, stored, values["media_type"], name=values["name"])
                cursor.execute(queries("handover")["save_template"], values)
            rows["coadd"] = reader.rowcount
    return rows


def columns_of(connection: Connection, table: str) -> str:
    """Return the columns of a table as a list for SQL; generated ones are left out."""
    with connection.cursor() as cursor:
        cursor.execute(queries("handover")["columns"], {"table": table})
        return cursor.fetchone()[0]


def copy_table(source: Connection, target: Connection, table: str) -> int:
    """Copy a table whole; return its rows."""
    columns = columns_of(source, table)
    return copy_rows(source, target, f"SELECT {columns} FROM {table}", {}, table, columns)


def copy_rows(
    source: Connection, target: Connection, query: str, values: Mapping, table: str, columns: str
) -> int:
    """Copy what a query gives into columns of a table of another database; return the rows."""
    with source.cursor() as reader, target.cursor() as writer, tempfile.SpooledTemporaryFile(SPOOL) as between:
        reader.copy_expert(f"COPY ({reader.mogrify(query, values or None).decode()}) TO STDOUT", between)
        between.seek(0)
        writer.copy_expert(f"COPY {table} ({columns}) FROM STDIN", between)
        return writer.rowcount
