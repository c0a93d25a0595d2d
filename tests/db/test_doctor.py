"""Findings of the doctor, and their remedies."""


from db import doctor
from db.settings import hven_home, socket_folder


def found(what, findings):
    (finding,) = [finding for finding in findings if finding.what == what]
    return finding


def test_healthy_server(cluster):
    findings = list(doctor.diagnose())
    assert found("server", findings).found.startswith("private server, PostgreSQL 15.")
    assert found("python in server", findings).found.startswith(f"{cluster.venv}: numpy ")
    assert found("python in server", findings).remedy is None


def test_absent_server(monkeypatch, tmp_path):
    monkeypatch.setenv("HVEN_HOME", str(tmp_path))
    finding = found("server", doctor.diagnose())
    assert "No such file or directory" in finding.found
    assert finding.remedy == "`hven up`"


def test_little_disk(monkeypatch):
    monkeypatch.setattr(doctor, "DISK_LEAST", 1 << 60)
    assert found("disk", doctor.machine()).remedy == "make room: at least 1073741824 GB"


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
    assert doctor.python_inside(["template1"]).found == "no database has the extension plpython3u"
    assert "install plpython3u there, with numpy 2." in doctor.python_inside(["template1"]).remedy


def test_schema_that_was_never_made(connection):
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA hven CASCADE")
    assert [finding.remedy for finding in doctor.revision(connection, "x")] == ["`hven upgrade`"] * 2
