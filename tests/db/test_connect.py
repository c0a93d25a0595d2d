"""Connections."""

import pytest

from db.connect import ConnectionFailed, connect, dsn, engine


def test_driver_is_psycopg2(shared_database):
    assert engine(shared_database).driver == "psycopg2"


def test_engine_connects(shared_database):
    with engine(shared_database).connect() as session:
        assert session.exec_driver_sql("SELECT current_database()").scalar() == shared_database


def test_existing_server_leaves_all_to_libpq(monkeypatch):
    monkeypatch.setenv("PGSERVICE", "survey")
    assert dsn("level9") == "dbname=level9"
    assert dsn("level9", "ada") == "dbname=level9 user=ada"


def test_absent_server_is_named_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("HVEN_HOME", str(tmp_path))
    with pytest.raises(ConnectionFailed, match="connect to database hub .*No such file.* Remedy: `hven up`"):
        connect("hub")


def test_password_is_asked_of_everybody_else(connection, shared_database):
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE stranger LOGIN")
    with pytest.raises(ConnectionFailed, match="no password supplied"):
        connect(shared_database, user="stranger")
