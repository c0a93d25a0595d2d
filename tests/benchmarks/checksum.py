"""Digests of a table against what people do without them: hash each row as text, or send all rows to a client."""

import hashlib
from contextlib import closing

from db import checksum
from db.connect import connect
from db.load import load
from tests.benchmarks import Measured, Result, in_turns
from tests.benchmarks.facts import production_server
from tests.benchmarks.ingest import _as_dia_source, _batch, _make_tables

SIZES = {"night": 1_000_000, "visit": 50_000, "tiny": 200}
"""Rows of dia_source."""
BATCH = 100_000
AS_TEXT = "SELECT md5(string_agg(md5(row::text), '' ORDER BY dia_source_id)) FROM level1.dia_source AS row"


class _Hash:
    """A file that COPY writes to."""

    def __init__(self):
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Hash the next bytes."""
        self.hash.update(data)


def run(rows: int) -> Measured:
    """Measure."""
    with production_server() as database, closing(connect(database)) as session:
        _make_tables(database, session)
        columns = _fill(session, rows)

        def ours():
            with checksum.snapshot(database) as held:
                wanted = checksum.chosen(checksum.subjects(held[0], everything=True), ("level1.dia_source",))
                checksum.digest(database, held, wanted)

        def as_text():
            with session.cursor() as cursor:
                cursor.execute(AS_TEXT)

        def sent():
            with session.cursor() as cursor:
                cursor.copy_expert("COPY (SELECT * FROM level1.dia_source ORDER BY dia_source_id) TO STDOUT", _Hash())

        ours()
        seconds = in_turns({"ours": ours, "as text": as_text, "sent": sent})
    rate = {name: rows / took for name, took in seconds.items()}
    what, unit = "digest of dia_source by HEALPix pixel", "rows/s"
    return Measured(
        {"rows": rows, "columns": columns},
        [
            Result(what, rate["ours"], unit, "md5 of rows as text", rate["as text"], goal=2),
            Result(what, rate["ours"], unit, "COPY as text and sha256", rate["sent"], goal=1),
        ],
    )


def _fill(session, rows: int) -> int:
    """Fill dia_source with rows over the whole sky; return its number of columns."""
    for first in range(0, rows, BATCH):
        batch = _as_dia_source(_batch(session, min(BATCH, rows - first)))
        batch["dia_source_id"] = batch["dia_source_id"] + (first << 4)
        batch["healpix29"] = batch["healpix29"] % (1 << 48) * 49152
        load(session, "level1.dia_source", batch)
    session.commit()
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE level1.dia_source")
        cursor.execute(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'level1.dia_source'::regclass AND attnum > 0"
        )
        return cursor.fetchone()[0]
