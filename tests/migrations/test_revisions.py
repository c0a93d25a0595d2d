"""Models = migrations = database: the revisions make what the models ask for, and take it back."""

from contextlib import closing

import pytest
from sqlalchemy import inspect

from db import databases
from db.connect import connect, engine
from db.queries import queries
from migrations import upgrade
from migrations.compare import differences
from udf import deploy

NEW = ("level1_new", "dr9")


@pytest.fixture(params=NEW)
def new(request):
    """A database at head of each partition plan, made from nothing."""
    upgrade.create(request.param)
    upgrade.upgrade(request.param)
    yield request.param
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(f"DROP DATABASE {request.param} (FORCE)")


def columns(database):
    """Every column of ours with its type, nullability and comment."""
    layout = databases.layout(database)
    with engine(database).connect() as connection:
        inspector = inspect(connection)
        return {
            (schema, table, column["name"]): (str(column["type"]), column["nullable"], column["comment"])
            for schema in layout.schemas().values()
            for table in inspector.get_table_names(schema)
            for column in inspector.get_columns(table, schema)
        }


@pytest.mark.parametrize("database", ["hub", "level1_a"])
def test_autogenerate_finds_nothing_on_the_server(hub, database):
    assert differences(database) == []


def test_autogenerate_finds_nothing(new):
    assert differences(new) == []


def test_partitions_and_version_survive_a_second_upgrade(new):
    with closing(connect(new)) as session, session, session.cursor() as cursor:
        if new.startswith("level1"):
            cursor.execute("SELECT hven.ensure_partitions(0, 8107, 8107)")
    before = columns(new)
    upgrade.upgrade(new)
    assert columns(new) == before
    assert any(name.startswith("dia_source_") and name != "dia_source_snap" for _, name, _ in before)


def test_downgrade_to_nothing_leaves_nothing_and_can_be_undone(new):
    before = columns(new)
    upgrade.downgrade(new)
    with closing(connect(new)) as session, session.cursor() as cursor:
        cursor.execute(queries("databases")["relations_of_ours"])
        assert cursor.fetchall() == [("hven", "alembic_version")]
    upgrade.upgrade(new)
    assert columns(new) == before


def test_functions_of_the_tree_are_those_of_the_database(new):
    layout = databases.layout(new)
    with closing(connect(new)) as session:
        assert deploy.difference(session, layout.catalogue) == {}


def test_an_interrupted_upgrade_changes_nothing(new, monkeypatch):
    upgrade.downgrade(new)

    def broken(*_):
        raise RuntimeError("interrupted")

    monkeypatch.setattr(deploy, "deploy", broken)
    with pytest.raises(RuntimeError):
        upgrade.upgrade(new)
    with closing(connect(new)) as session, session.cursor() as cursor:
        cursor.execute(queries("databases")["relations_of_ours"])
        assert cursor.fetchall() == [("hven", "alembic_version")]
