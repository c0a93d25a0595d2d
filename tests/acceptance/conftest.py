"""Servers and disks that a test may break."""

import os
import shutil
import subprocess

import pytest

from db.cluster import Cluster, start, stop
from db.settings import server_user


@pytest.fixture
def server(home):
    """Return a running cluster of its own that keeps what it has committed."""
    own = Cluster(home, overrides={"shared_buffers": "64MB", "min_wal_size": "80MB"})
    start(own)
    yield own
    stop(own, "immediate")


@pytest.fixture
def small_disk(new_folder):
    """Return a folder of the server's user on a file system of 8 MB."""
    folder = new_folder() / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    owner = server_user()
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
