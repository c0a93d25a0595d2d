"""A database of telemetry to copy from, where no observatory is at hand."""

from contextlib import closing

from psycopg2 import sql

from db.connect import MAINTENANCE, connect
from db.load import load
from db.queries import queries
from pipelines.simulate.telemetry import TOPICS, Topic, samples


def make_source(database: str, first_tai: float, days: float, topics: tuple[Topic, ...] = TOPICS) -> int:
    """Create a database with a table a topic, if it is missing, and fill it; return the number of samples."""
    with closing(connect(MAINTENANCE)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(queries("databases")["exists"], {"database": database})
        if not cursor.rowcount:
            cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(database)))
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        return sum(_fill(session, cursor, topic, first_tai, days) for topic in topics)


def _fill(session, cursor, topic: Topic, first_tai: float, days: float) -> int:
    table = sql.Identifier("public", topic.name)
    fields = sql.SQL(", ").join(sql.SQL("{} float8").format(sql.Identifier(name)) for name in topic.fields)
    cursor.execute(sql.SQL(queries("efd")["make_topic"]).format(table=table, fields=fields))
    cursor.execute(sql.SQL("COMMENT ON TABLE {} IS %s").format(table), (topic.description,))
    for name, (unit, *_) in topic.fields.items():
        comment = sql.SQL("COMMENT ON COLUMN {}.{} IS %s").format(table, sql.Identifier(name))
        cursor.execute(comment, (f"{name.replace('_', ' ')} [{unit}]",))
    return load(session, f"public.{topic.name}", samples(topic, first_tai, days)).rows
