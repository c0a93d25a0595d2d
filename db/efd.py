"""The archive copy of the Engineering and Facility Database: copied day by day, and compared.

The source is a schema of any PostgreSQL database, a table a topic: one column of time, and columns of numbers. A day
of a topic is copied in one transaction and counts as copied once both sides agree on its count and digest; so an
interruption costs at most a day, and a day that has got late samples is copied again.
"""

import math
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extras import NamedTupleCursor

from db.connect import connect
from db.errors import HvenError
from db.load import described
from db.queries import queries

LOOK_BACK = 2.0  # days before the last sample that are compared again, for samples that came late
SPOOL = 64 << 20  # bytes of a day that stay in memory

TAI_OF = {
    "timestamp with time zone": "40587 + (extract(epoch FROM {time})::float8 + 37) / 86400",
    "double precision": "{time}",
}
"""Type of a topic's time → expression of TAI as MJD; 37 leap seconds since 2017."""

NATIVE_OF = {
    "timestamp with time zone": "to_timestamp(({tai}::float8 - 40587) * 86400 - 37)",
    "double precision": "{tai}::float8",
}
"""Type of a topic's time → expression of that type from TAI as MJD, by which its index is used."""


class EfdError(HvenError):
    """The Engineering and Facility Database can't be copied."""

    exit_status = 21


@dataclass(frozen=True)
class Topic:
    """A table of the source, and what of it is copied."""

    name: str
    table: sql.Composable
    time: str
    time_type: str
    field: tuple[str, ...]
    unit: tuple[str, ...]
    description: str

    def samples(self, low: float, high: float) -> sql.Composed:
        """Return the query of the samples from one moment until before another, in the form of `efd.sample`."""
        time = sql.Identifier(self.time)
        fields = [sql.SQL("NULLIF({}::float8, 'NaN')").format(sql.Identifier(field)) for field in self.field]
        native = NATIVE_OF[self.time_type]
        low_, high_ = (sql.SQL(native).format(tai=sql.Literal(tai)) for tai in (low, high))
        return sql.SQL(queries("efd")["samples"]).format(
            tai=self.tai(time), values=sql.SQL(", ").join(fields), table=self.table, time=time, low=low_, high=high_
        )

    def tai(self, time: sql.Composable) -> sql.Composed:
        """Return the expression of a time of this topic as TAI, MJD."""
        return sql.SQL(TAI_OF[self.time_type]).format(time=time)


@dataclass(frozen=True)
class Copied:
    """One day of one topic: how many samples it has, and whether they had to be copied."""

    topic: str
    day: int
    samples: int
    copied: bool


def topics(source: Connection, schema: str) -> list[Topic]:
    """Return the topics of a source: its tables with a time and at least one number.

    Raises
    ------
    EfdError
        The schema has no such table.
    """
    with source.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute(queries("efd")["topics"], {"schema": schema, "types": list(TAI_OF)})
        found = [_topic(schema, row) for row in cursor]
    if not found:
        raise EfdError(
            f"efd: schema {schema} of the source has no table with a time ({' or '.join(TAI_OF)}) and a number",
            "name the schema of the topics by --schema",
        )
    return found


def _topic(schema: str, row) -> Topic:
    units = tuple(described(comment)[1] or "" for comment in row.comments)
    return Topic(row.name, sql.Identifier(schema, row.name), row.time, row.time_type, tuple(row.fields), units,
                 row.description or row.name)


def sync(source_dsn: str, database: str = "level1", *, schema: str = "public") -> Iterator[Copied]:
    """Copy what is new or has changed at the source, day by day; yield each day once it is committed.

    Parameters
    ----------
    source_dsn : str
        libpq's connection string of the observatory's database.
    database : str
        The Science Database that holds the copy.
    schema : str
        The source's schema of topics.

    Raises
    ------
    EfdError
        The source can't be reached, has no topics, or changed its fields; or a copy is not what was sent.
    """
    try:
        origin = psycopg2.connect(source_dsn, application_name="hven efd")
    except psycopg2.OperationalError as error:
        said = str(error).splitlines()[0]
        raise EfdError(f"efd: the source can't be reached ({said})", "check --source, then sync again") from error
    with closing(origin) as source, closing(connect(database)) as archive:
        # One moment of the source: a sample that arrives meanwhile belongs to the next synchronisation.
        source.set_session(isolation_level="REPEATABLE READ", readonly=True)
        for topic in topics(source, schema):
            with archive:
                topic_id, copied_to = _register(archive, topic)
            for day in _days(source, topic, copied_to):
                with archive:
                    yield _copy_day(source, archive, topic, topic_id, day)


def _register(archive: Connection, topic: Topic) -> tuple[int, float | None]:
    """Return a topic's number here and the time of its last sample."""
    with archive.cursor() as cursor:
        cursor.execute(queries("efd")["register"], {
            "name": topic.name, "field": list(topic.field), "unit": list(topic.unit),
            "description": topic.description,
        })
        topic_id, fields = cursor.fetchone()
        if tuple(fields) != topic.field:
            raise EfdError(
                f"efd: topic {topic.name} has the fields {', '.join(topic.field)}, its copy {', '.join(fields)}",
                "give the changed topic a new name at the source",
            )
        cursor.execute(queries("efd")["last"], {"topic_id": topic_id})
        return topic_id, cursor.fetchone()[0]


def _days(source: Connection, topic: Topic, copied_to: float | None) -> range:
    """Return the days (MJD) whose samples are to be compared."""
    time = sql.Identifier(topic.time)
    with source.cursor() as cursor:
        span = sql.SQL(queries("efd")["span"]).format(
            first=topic.tai(sql.SQL("min({})").format(time)), last=topic.tai(sql.SQL("max({})").format(time)),
            table=topic.table,
        )
        cursor.execute(span)
        first, last = cursor.fetchone()
    if first is None:
        return range(0)
    begin = first if copied_to is None else max(first, copied_to - LOOK_BACK)
    return range(math.floor(begin), math.floor(last) + 1)


def _copy_day(source: Connection, archive: Connection, topic: Topic, topic_id: int, day: int) -> Copied:
    here = {"topic_id": topic_id, "low": float(day), "high": day + 1.0}
    samples = topic.samples(here["low"], here["high"])
    with source.cursor() as there, archive.cursor() as cursor:
        there.execute(sql.SQL(queries("efd")["digest"]).format(samples=samples))
        sent = there.fetchone()
        if _digest_here(cursor, here) == sent:
            return Copied(topic.name, day, sent[0], False)
        cursor.execute(queries("efd")["clear_samples"], here)
        cursor.execute(queries("efd")["clear_sync"], here)
        with tempfile.SpooledTemporaryFile(SPOOL) as spool:
            out = sql.SQL(queries("efd")["copy_out"]).format(topic_id=sql.Literal(topic_id), samples=samples)
            there.copy_expert(out, spool)
            spool.seek(0)
            _store(cursor, topic, spool)
        if _digest_here(cursor, here) != sent:
            raise EfdError(
                f"efd: day {day} of topic {topic.name} is not what the source sent", "sync again; look at the network"
            )
        cursor.execute(queries("efd")["record"], here | {"samples": sent[0], "digest": str(sent[1])})
    return Copied(topic.name, day, sent[0], True)


def _store(cursor, topic: Topic, spool) -> None:
    try:
        cursor.copy_expert("COPY efd.sample (topic_id, time_tai, value) FROM STDIN", spool)
    except psycopg2.errors.UniqueViolation as error:
        raise EfdError(
            f"efd: topic {topic.name} has two samples of one time ({error.diag.message_detail})",
            "correct the source, then sync again",
        ) from error


def _digest_here(cursor, window: dict) -> tuple:
    cursor.execute(queries("efd")["digest_here"], window)
    return cursor.fetchone()
