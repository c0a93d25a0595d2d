import pytest

from db.connect import connect
from db.queries import queries
from udf import deploy

HEADER = "-- minimum revision: {}\n-- databases: {}\n-- execute: public\n"
FUNCTION = "CREATE OR REPLACE FUNCTION hven.{name}() RETURNS text LANGUAGE sql AS $$ SELECT {value} $$;\n"


@pytest.fixture
def session(database):
    session = connect(database)
    with session, session.cursor() as cursor:
        cursor.execute(queries("databases")["drop_functions"])
        cursor.execute("TRUNCATE hven.function_manifest")
    yield session
    session.close()


def deployed(session, *arguments, **options):
    with session:
        return deploy.deploy(session, *arguments, **options)


def file(folder, name, value, revision="base", databases="level1 release"):
    (folder / f"{name}.sql").write_text(
        HEADER.format(revision, databases) + FUNCTION.format(name=name, value=value)
    )


def value_of(session, name):
    with session, session.cursor() as cursor:
        cursor.execute(f"SELECT hven.{name}()")
        return cursor.fetchone()[0]


def test_after_a_deployment_tree_and_database_agree(session):
    assert "sky/healpix" in deployed(session, "level1")
    assert deploy.difference(session, "level1") == {}


def test_the_catalogue_s_name_is_put_in(session, tmp_path):
    file(tmp_path, "where", "':catalogue.object'::text")
    deployed(session, "dr1", tree=tmp_path)
    assert value_of(session, "where") == "dr1.object"


def test_each_difference_is_named(session, tmp_path):
    for name in ("same", "changes", "goes"):
        file(tmp_path, name, "'a'")
    deployed(session, "level1", tree=tmp_path)
    (tmp_path / "goes.sql").unlink()
    file(tmp_path, "changes", "'b'")
    file(tmp_path, "comes", "'b'")
    found = deploy.difference(session, "level1", tree=tmp_path)
    assert found == {"changes": "changed", "comes": "missing", "goes": "unknown"}
    deployed(session, "level1", tree=tmp_path)
    assert value_of(session, "changes") == "b"


def test_a_database_takes_what_is_meant_for_it_and_what_it_can_run(session, tmp_path):
    file(tmp_path, "old", "'a'", revision="r1")
    file(tmp_path, "new", "'a'", revision="r2")
    file(tmp_path, "elsewhere", "'a'", databases="hub")
    assert deployed(session, "dr1", revisions={"r1"}, tree=tmp_path) == ["old"]
    assert deploy.difference(session, "dr1", revisions={"r1"}, tree=tmp_path) == {}


def test_a_refused_file_is_named_with_its_line_and_nothing_is_changed(session, tmp_path):
    file(tmp_path, "a", "'a'")
    deployed(session, "level1", tree=tmp_path)
    file(tmp_path, "a", "'b'")
    file(tmp_path, "b", "nothing_there")
    with pytest.raises(
        deploy.DeployError, match=r'b.sql line 4: column "nothing_there" does not exist \(42703\)'
    ):
        deployed(session, "level1", tree=tmp_path)
    assert value_of(session, "a") == "a"


def test_only_the_declared_roles_may_execute(session, tmp_path):
    file(tmp_path, "a", "'a'")
    text = (tmp_path / "a.sql").read_text().replace("execute: public", "execute: pg_monitor")
    (tmp_path / "a.sql").write_text(text)
    deployed(session, "level1", tree=tmp_path)
    with session, session.cursor() as cursor:
        cursor.execute(
            "SELECT has_function_privilege(r, 'hven.a()', 'execute') FROM unnest(%s) r",
            (["pg_monitor", "pg_read_all_data"],),
        )
        assert cursor.fetchall() == [(True,), (False,)]


def test_every_function_says_what_it_does(session):
    deployed(session, "level1")
    with session, session.cursor() as cursor:
        cursor.execute(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'hven'::regnamespace"
            " AND obj_description(oid, 'pg_proc') IS NULL"
        )
        assert cursor.fetchall() == []
