"""Facts of the doctor, and their remedies."""

from db import doctor
from db.settings import hven_home, socket_folder


def test_server_of_this_session(cluster, shared_database):
    version, roles, python = doctor.server([shared_database])
    assert version.found.startswith("private server, PostgreSQL 15.")
    assert python.found.startswith(f"{cluster.venv}: numpy ")
    assert [finding.remedy for finding in (version, python)] == [None, None]


def test_missing_role(connection):
    with connection.cursor() as cursor:
        cursor.execute("ALTER ROLE hven_operator RENAME TO hven_gone")
    assert doctor.roles(connection).remedy == "`hven upgrade` makes hven_operator"


def test_little_disk(monkeypatch):
    monkeypatch.setattr(doctor, "DISK_LEAST", 1 << 60)
    (disk,) = (finding for finding in doctor.machine() if finding.what == "disk")
    assert disk.remedy == "make room: at least 1073741824 GB"


def test_missing_extension(connection):
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION plpython3u CASCADE")
    assert doctor.extensions(connection, "x").remedy == "`hven upgrade` creates plpython3u"


def test_old_pgsphere(connection):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_extension SET extversion = '1.1.1' WHERE extname = 'pg_sphere'")
    remedy = "install pgSphere 1.4 or later, then ALTER EXTENSION pg_sphere UPDATE"
    assert doctor.extensions(connection, "x").remedy == remedy


def test_python_of_an_existing_server(monkeypatch):
    monkeypatch.setenv("PGHOST", str(socket_folder(hven_home())))
    monkeypatch.setenv("PGUSER", "postgres")
    finding = doctor.python_inside(["template1"])
    assert finding.found == "no database has the extension plpython3u"
    assert finding.remedy.startswith("install plpython3u there, with numpy 2.")
