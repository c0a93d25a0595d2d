"""A release is built while workers and the postmaster are killed with -9: what comes of it is the same."""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from db import build, checksum, release
from db import cluster as clusters
from db.files import FileStore
from db.processes import postmaster
from migrations.upgrade import create_release, upgrade_all
from pipelines import building
from pipelines.productions.release import params_of
from tests.pipelines import survey

NAME, NUMBER = "dr1", 1
KILLS = 10
PAUSE = 2.0  # seconds between two deaths, on average


@pytest.fixture
def server(monkeypatch) -> Iterator[clusters.Cluster]:
    """A server that keeps what it has committed, unlike the one of the other tests."""
    home = Path(f"/tmp/hven-built-{os.getpid()}")
    home.mkdir()
    home.chmod(0o711)
    monkeypatch.setenv("HVEN_HOME", str(home))
    server = clusters.Cluster()
    clusters.start(server)
    upgrade_all()
    yield server
    clusters.stop(server, mode="immediate")
    shutil.rmtree(home)


def kill_something(server: clusters.Cluster, turn: int) -> None:
    """Kill the postmaster every third time, else the worker that has been at its job the longest."""
    if turn % 3 == 0:
        killed = postmaster(server.data)
        os.kill(killed, signal.SIGKILL)
        while postmaster(server.data) == killed:
            time.sleep(0.02)
        clusters.start(server)
        return
    survey.kill_worker(NAME)


def build_release(store: FileStore, parameters: dict, server: clusters.Cluster | None = None) -> tuple[dict, int]:
    """Build a release, drop it, and return its digests and how often something was killed meanwhile."""
    build.plan(NAME, NUMBER, parameters)
    create_release(NAME, NUMBER, lambda: building.fill(NAME, store))
    draw, turns, done = random.Random(3), 0, threading.Event()

    def disturb():
        nonlocal turns
        while turns < KILLS and not done.wait(draw.uniform(0.5, 2 * PAUSE)):
            turns += 1
            kill_something(server, turns)

    trouble = threading.Thread(target=disturb if server else done.set)
    trouble.start()
    try:
        building.run(NAME, store.root, 2)
    finally:
        done.set()
        trouble.join()
    with checksum.snapshot(NAME) as held:
        tables = checksum.digest(NAME, held, checksum.subjects(held[0]))
    release.drop(NAME)
    return {table: digest.whole for table, digest in tables.items()}, turns


@pytest.mark.long
def test_what_is_killed_changes_nothing_in_a_release(server, tmp_path):
    store = FileStore(tmp_path / "files")
    scene, plan, raws = survey.write(tmp_path, "r", 1, 3)
    survey.take_in("level1", store, [scene], [path for visit in raws.values() for path in visit])
    survey.calibrations(tmp_path, store)
    parameters = asdict(params_of(NUMBER, plan[-1].midpoint_tai + 1, survey.GIVEN))
    quiet, _ = build_release(store, parameters)
    disturbed, kills = build_release(store, parameters, server)
    assert kills == KILLS
    assert {name for name in quiet if quiet[name] != disturbed[name]} == set()
