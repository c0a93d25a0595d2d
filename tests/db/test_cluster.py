"""The life of the private cluster."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from db import settings
from db.cluster import Cluster, ClusterError, create, start, status, stop
from db.cluster_faults import own_file
from db.connect import connect
from db.processes import server_processes
from db.server import check_python

SMALL = {"fsync": "off", "shared_buffers": "16MB", "min_wal_size": "80MB"}


@pytest.fixture
def scratch(home):
    """Return a running cluster of its own: these tests break it."""
    own = Cluster(home, overrides=SMALL)
    start(own)
    yield own
    stop(own, "immediate")


def test_server_runs_our_python(cluster):
    check_python(cluster)


def test_status_of_running_cluster(cluster):
    state = status(cluster)
    assert state.created
    assert state.pid
    assert state.listen is None


def test_status_of_no_cluster(home):
    state = status(Cluster(home))
    assert not state.created
    assert state.pid is None


def test_clone_has_the_template(database):
    with connect(database) as session, session.cursor() as cursor:
        cursor.execute("SELECT extname FROM pg_extension")
        assert {"pg_sphere", "plpython3u"} <= {name for (name,) in cursor.fetchall()}
    session.close()


def test_socket_and_data_are_closed_to_others(scratch):
    for folder in (scratch.run, scratch.data):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_uid == settings.server_user().pw_uid


def test_starting_and_stopping_twice_is_no_fault(scratch):
    assert not start(scratch)
    assert stop(scratch)
    assert not stop(scratch)
    assert start(scratch)


def test_up_after_a_crash_ends_orphans_and_keeps_what_was_committed(scratch):
    session = connect("postgres")
    with session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 1 AS one")
    busy = ["psql", "-h", scratch.run, "-U", "postgres", "-c", "DO $$ BEGIN LOOP END LOOP; END $$"]
    with subprocess.Popen(busy, stderr=subprocess.DEVNULL) as client:
        while not [pid for pid in server_processes(scratch.data) if b" DO" in _title(pid)]:
            time.sleep(0.02)
        os.kill(status(scratch).pid, signal.SIGKILL)
        while status(scratch).pid:
            time.sleep(0.02)
        assert server_processes(scratch.data)
        assert start(scratch)
        assert client.wait() != 0
    session = connect("postgres")
    with session, session.cursor() as cursor:
        cursor.execute("SELECT one FROM kept")
        assert cursor.fetchone() == (1,)
    session.close()


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_interrupted_initdb_is_done_again(home):
    (home / "cluster.new").mkdir()
    (home / "cluster.new/PG_VERSION").write_text("15")
    assert create(Cluster(home, overrides=SMALL))
    assert not (home / "cluster.new").exists()


def test_half_made_data_folder(home):
    _folder_of_server(home / "cluster")
    with pytest.raises(ClusterError, match="but is not a complete PostgreSQL cluster. Remedy: move it"):
        start(Cluster(home))


def test_other_major_version(home):
    _folder_of_server(home / "cluster")
    (home / "cluster/PG_VERSION").write_text("14\n")
    with pytest.raises(ClusterError, match="by PostgreSQL 14, this Hven runs 15. Remedy: .* pg_upgrade"):
        start(Cluster(home))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_data_folder_of_another_user(home):
    (home / "cluster").mkdir()
    with pytest.raises(ClusterError, match="belongs to user 0, the server's user is postgres"):
        start(Cluster(home))


def test_socket_folder_that_others_can_enter(scratch):
    stop(scratch)
    scratch.run.chmod(0o755)
    with pytest.raises(ClusterError, match="a folder of user .* with mode 0700, found .* mode 0755"):
        start(scratch)


def test_socket_in_use(scratch):
    stop(scratch)
    owner = settings.server_user()
    with subprocess.Popen(["sleep", "60"], user=owner.pw_uid if os.geteuid() == 0 else None) as other:
        lock = scratch.run / ".s.PGSQL.5432.lock"
        lock.write_text(f"{other.pid}\n/of/another/cluster\n")
        os.chown(lock, owner.pw_uid, owner.pw_gid)
        with pytest.raises(ClusterError, match="lock file .* already exists.*Remedy: .*set HVEN_PORT"):
            start(scratch)
        other.kill()
        lock.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="else the server's user is ourselves")
def test_home_that_the_server_cannot_enter(home):
    home.chmod(0o700)
    with pytest.raises(ClusterError, match="postgres cannot enter .*Remedy: `chmod a\\+x` its parent"):
        start(Cluster(home / "below"))


def test_home_that_cannot_be_written():
    with pytest.raises(ClusterError, match="cannot use /proc/hven"):
        start(Cluster(Path("/proc/hven")))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_full_disk(home):
    small = ["mount", "-t", "tmpfs", "-o", "size=20m,mode=711", "tmpfs", home]
    if subprocess.run(small, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        with pytest.raises(ClusterError, match="No space left on device.*Remedy: make room on the disk"):
            start(Cluster(home))
        assert not (home / "cluster").exists()
    finally:
        subprocess.run(["umount", home], check=True)


def test_venv_that_the_server_cannot_read(home):
    closed = home / "closed"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", closed / "venv"], check=True)
    closed.chmod(0o700)
    venv = closed / "venv" if os.geteuid() == 0 else home / "absent"
    own = Cluster(home, venv=venv, overrides=SMALL)
    start(own)
    try:
        with pytest.raises(ClusterError, match="Python inside the server is not that of .*Remedy: let user"):
            check_python(own)
    finally:
        stop(own, "immediate")


@pytest.mark.parametrize("name", ["x" * settings.SOCKET_PATH_LIMIT, "Tycho's data", "a,b"])
def test_home_of_an_unusual_name(home, monkeypatch, name):
    monkeypatch.setenv("HVEN_HOME", str(home / name))
    own = Cluster(overrides=SMALL)
    start(own)
    try:
        connect("postgres").close()
    finally:
        stop(own, "immediate")
        own.run.rmdir()


def test_files_are_never_written_through_a_link(home):
    target = home / "target"
    target.write_text("precious")
    link = home / "hven.conf"
    link.symlink_to(target)
    own_file(link, "new")
    assert target.read_text() == "precious"
    assert link.read_text() == "new"
    assert not link.is_symlink()


def _folder_of_server(folder):
    folder.mkdir()
    os.chown(folder, settings.server_user().pw_uid, settings.server_user().pw_gid)
