"""The HTTP twin of `hven get` opens to database roles that show their password, and to nobody else."""

import base64
import threading
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from db import databases, rights, users
from db.connect import connect
from db.files import FileStore, register
from pipelines.cli.serve import make_server

PASSWORD = "Stjerneborg 1584"


@pytest.fixture
def address(database, tmp_path):
    """The address of a server whose store holds one raw file, `a.fits`."""
    users.add("sophie", "scientist", PASSWORD)
    stored = FileStore(tmp_path).put(b"SIMPLE")
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        rights.apply(session, databases.layout(database))
        register(cursor, stored, "image/fits", name="a.fits")
    server = make_server("127.0.0.1", 0, tmp_path)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/{database}"
    server.shutdown()
    thread.join()
    server.server_close()
    users.drop("sophie")


def ask(url, role="sophie", password=PASSWORD):
    """Return status and content."""
    request = urllib.request.Request(url)
    if role:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{role}:{password}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_role_gets_a_file_by_name(address):
    assert ask(f"{address}/file/a.fits") == (200, "SIMPLE")


@pytest.mark.parametrize(
    ("role", "password", "said"),
    [
        ("", "", "give the name and password of a database role"),
        ("sophie", "wrong", "sophie can't log in"),
        ("sophie", "", "give the name and password"),
        ("nobody_here", PASSWORD, "nobody_here can't log in"),
        ("postgres", "anything", "postgres "),
    ],
)
def test_others_stay_outside(address, role, password, said):
    status, content = ask(f"{address}/file/a.fits", role, password)
    assert status == 401
    assert content.startswith(said)


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("/file/b.fits", 404, "get: no file is b.fits"),
        ("/exposure/1", 404, "get: there is no exposure 1"),
        ("/exposure/one", 400, "an exposure and a stamp are numbers"),
        ("/cutout?ra=1&dec=2", 400, "an exposure and a stamp are numbers; a cutout needs ra and dec in deg and size"),
        ("/cutout?ra=1&dec=-2&size=30", 404, "get: no calibrated exposure covers ra 1.0, dec -2.0"),
        ("/cutout?ra=1&dec=-200&size=30", 409, "get: cutout at ra 1.0, dec -200.0 of 30.0 arcsec; allowed are"),
        ("/stamp/1", 404, "get: there is no stamp difference of DiaSource 1, and no other"),
        ("/alerts/nothing", 404, "alerts: there is no stream nothing"),
        ("/alerts/full?after=all", 400, "after and limit are whole numbers, wait is in seconds"),
        ("/elsewhere", 404, "there is no such page; allowed are /DATABASE/exposure/ID"),
    ],
)
def test_what_can_not_be_given_is_said(address, target, status, said):
    found, content = ask(address + target)
    assert (found, content[: len(said)]) == (status, said)


def test_a_scientist_reads_streams_and_has_a_place_kept(address, database):
    assert ask(f"{address}/alerts/full") == (200, "")
    assert ask(f"{address}/alerts/full?consumer=watch&after=7") == (200, "")
    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute("SELECT name, stream, cursor FROM level1.alert_consumer")
        assert cursor.fetchall() == [("sophie/watch@full", "full", 7)]
