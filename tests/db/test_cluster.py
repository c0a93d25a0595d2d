"""The life of the private cluster."""

from db.cluster import status
from db.connect import connect


def test_server_runs_our_python(connection, cluster):
    with connection.cursor() as cursor:
        body = "'import sys; return sys.prefix'"
        cursor.execute(f"CREATE FUNCTION pg_temp.prefix() RETURNS text LANGUAGE plpython3u AS {body}")
        cursor.execute("SELECT pg_temp.prefix()")
        assert cursor.fetchone() == (str(cluster.venv),)


def test_status_of_running_cluster(cluster):
    state = status(cluster)
    assert state.created
    assert state.pid
    assert state.listen is None


def test_clone_has_the_template(database):
    with connect(database) as session, session.cursor() as cursor:
        cursor.execute("SELECT extname FROM pg_extension ORDER BY 1")
        assert [name for (name,) in cursor.fetchall()] == ["pg_sphere", "plpgsql", "plpython3u"]
    session.close()
