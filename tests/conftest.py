"""A cluster of our own for all tests, a template database, and its clones.

`database` gives each test a fresh clone; `connection` gives a transaction in a shared clone and rolls it
back, which is much cheaper: use it wherever the code under test does not commit.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_postgresql.factories import postgresql_noproc
from pytest_postgresql.janitor import DatabaseJanitor

from db import cluster as clusters
from db.connect import connect
from db.settings import ADMINISTRATOR, EXISTING_SERVER, hven_home, socket_folder
from migrations.upgrade import set_search_path, upgrade, upgrade_all

HOME = Path(tempfile.mkdtemp(prefix="hven-", dir="/tmp"))  # a socket's path must be short
DURABILITY_OFF = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "min_wal_size": "80MB",
    "max_wal_size": "1GB",
}


def build_template(dbname: str, **_: object) -> None:
    """Fill the template database that tests clone: the live Science Database at head, without rows."""
    upgrade(dbname)


template = postgresql_noproc(
    host=str(socket_folder(HOME)), port=5432, user=ADMINISTRATOR, dbname="level1_test", load=[build_template]
)


def pytest_configure(config: pytest.Config) -> None:
    """Start the cluster before any test module is imported, and make it the one that `db.connect` finds."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or nobody would stop the cluster
    for name in (*EXISTING_SERVER, "PGPORT", "PGUSER", "PGDATABASE", "HVEN_PORT"):
        os.environ.pop(name, None)
    os.environ.setdefault("HVEN_PEERS", str(hven_home()))  # made once a machine, not once a session
    os.environ["HVEN_HOME"] = str(HOME)
    HOME.chmod(0o711)  # the server's user passes through
    if not config.option.collectonly:
        try:
            clusters.start(clusters.Cluster(overrides=DURABILITY_OFF))
        except clusters.ClusterError as error:
            raise pytest.UsageError(str(error)) from error


def pytest_unconfigure() -> None:
    """Stop the cluster and remove it."""
    clusters.stop(clusters.Cluster(), mode="immediate")
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster() -> clusters.Cluster:
    """Return the running cluster of this test session."""
    return clusters.Cluster(overrides=DURABILITY_OFF)


@pytest.fixture(scope="session")
def new_folder() -> Callable[[], Path]:
    """Return a maker of folders that the server's user can pass through.

    Those of pytest are closed, by every session of pytest that begins, to all but ourselves.
    """

    def make() -> Path:
        folder = Path(tempfile.mkdtemp(dir=HOME))
        folder.chmod(0o711)
        return folder

    return make


@pytest.fixture
def home(new_folder, monkeypatch) -> Path:
    """Return a new folder, made the home of a cluster of its own."""
    folder = new_folder()
    monkeypatch.setenv("HVEN_HOME", str(folder))
    return folder


@pytest.fixture
def database(template) -> Iterator[str]:
    """Return the name of a fresh clone of the template, dropped after the test."""
    with clone(template, "level1_clone"):
        yield "level1_clone"


@pytest.fixture(scope="session")
def shared_database(template) -> Iterator[str]:
    """Return the name of a clone that no test changes for good."""
    with clone(template, "level1_shared"):
        yield "level1_shared"


@pytest.fixture
def connection(shared_database):
    """Return a connection in a transaction that is rolled back after the test."""
    session = connect(shared_database)
    yield session
    session.rollback()
    session.close()


@contextmanager
def clone(template, name: str) -> Iterator[None]:
    """Keep a clone of the template while it is used."""
    janitor = DatabaseJanitor(
        user=template.user,
        host=template.host,
        port=template.port,
        dbname=name,
        template_dbname=template.template_dbname,
        password=template.password,
    )
    with janitor:
        set_search_path(name)  # a property of the database, which a clone does not inherit
        yield


@pytest.fixture(scope="session")
def hub(template) -> str:
    """Return the name of the hub, with level1 and the template beside it; tests leave them as they are."""
    upgrade_all()
    return "hub"
