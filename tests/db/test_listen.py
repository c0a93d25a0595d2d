"""TCP: only when asked for, with TLS and a password."""

import socket

import psycopg2
import pytest

from db.access import host_based_authentication
from db.cluster import Cluster, ClusterError, start, status, stop

PASSWORD = "tycho"


@pytest.fixture(scope="module")
def listening(new_folder):
    """Return a cluster that listens on 127.0.0.1, with a role `ada`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = Cluster(new_folder(), port=port, overrides={"fsync": "off", "shared_buffers": "16MB"})
    start(own, "127.0.0.1")
    with psycopg2.connect(host=str(own.run), port=port, user="postgres", dbname="postgres") as session:
        session.cursor().execute("CREATE ROLE ada LOGIN PASSWORD %s", (PASSWORD,))
    yield own
    stop(own, "immediate")


def login(cluster, **options):
    names = {"host": "127.0.0.1", "port": cluster.port, "dbname": "postgres"}
    return psycopg2.connect(**names | {"user": "ada", "password": PASSWORD} | options)


def test_certificate_verifies(listening):
    session = login(listening, sslmode="verify-full", sslrootcert=str(listening.data / "server.crt"))
    assert session.info.ssl_in_use
    session.close()


def test_without_tls_nobody_enters(listening):
    with pytest.raises(psycopg2.OperationalError, match="no encryption"):
        login(listening, sslmode="disable")


def test_wrong_password(listening):
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        login(listening, password="brahe")


def test_administrator_stays_on_the_socket(listening):
    with pytest.raises(psycopg2.OperationalError, match="rejects connection"):
        login(listening, user="postgres")


def test_password_on_the_socket(listening):
    login(listening, host=str(listening.run)).close()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        login(listening, host=str(listening.run), password="brahe")


def test_status_names_the_address(listening):
    assert status(listening).listen == "127.0.0.1"


def test_another_address_while_running(listening):
    with pytest.raises(ClusterError, match="on 127.0.0.1, 0.0.0.0 was asked for. Remedy: `hven down`"):
        start(listening, "0.0.0.0")


def test_port_in_use(listening, home):
    with pytest.raises(ClusterError, match="Address already in use.*set HVEN_PORT to another number"):
        start(Cluster(home, port=listening.port, overrides={"fsync": "off"}), "127.0.0.1")


@pytest.mark.parametrize("listen", [None, "127.0.0.1", "*"])
def test_nobody_is_trusted(listen):
    methods = {line.split()[-1] for line in host_based_authentication(listen).splitlines()[1:]}
    assert methods <= {"map=hven", "scram-sha-256", "reject"}
