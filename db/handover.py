"""Hand-over of a release to the night: what it knows of the sky becomes what the live database starts from."""

import tempfile
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
        rows = {table: _copy(source, target, table) for table in TABLES}
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


def _copy(source: Connection, target: Connection, table: str) -> int:
    with source.cursor() as reader, target.cursor() as writer, tempfile.SpooledTemporaryFile(SPOOL) as between:
        reader.execute(queries("handover")["columns"], {"table": table})
        columns = reader.fetchone()[0]
        reader.copy_expert(f"COPY (SELECT {columns} FROM {table}) TO STDOUT", between)
        between.seek(0)
        writer.copy_expert(f"COPY {table} ({columns}) FROM STDIN", between)
        return writer.rowcount
