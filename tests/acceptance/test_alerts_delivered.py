"""Alerts arrive exactly once, whoever is killed on the way; a full disk delays them."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import psycopg2
import pytest

from db import cluster as clusters
from db import databases, rights, users
from db.connect import connect
from db.files import FileStore
from db.processes import postmaster
from db.queries import queries
from migrations.upgrade import create, upgrade
from pipelines.alerts import archive, sender, streams
from pipelines.alerts.sender import Sender
from pipelines.cli.serve import make_server
from tests.benchmarks.peer import PeerMissing, peer_python
from tests.pipelines import alerted
from tests.pipelines.brokers import Comet, free_port
from tests.udf.night import Night

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "level1_live"
PASSWORD = "Stjerneborg 1584"
RATE = 20  # Alerts a second


@pytest.fixture
def night(server, tmp_path):
    """A night on a server that keeps what it has committed, with the waiting Alerts of a Visit."""
    create(DATABASE)
    upgrade(DATABASE)
    with closing(connect(DATABASE)) as session:
        rights.apply(session, databases.layout(DATABASE))
        night = Night(session)
        night.begin()
        night.store = FileStore(tmp_path / "store")
        night.visit, night.count = alerted.alert(night, night.store, rule="visit")
        yield night


CONSUMER = """
import base64, json, sqlite3, sys, urllib.request
url, path = sys.argv[1:]
kept = sqlite3.connect(path)
kept.execute("CREATE TABLE IF NOT EXISTS alert (place INTEGER, ivorn TEXT)")
login = "Basic " + base64.b64encode(b"sophie:Stjerneborg 1584").decode()
while True:
    after = kept.execute("SELECT coalesce(max(place), 0) FROM alert").fetchone()[0]
    request = urllib.request.Request(f"{url}?after={after}&limit=7&wait=1", headers={"Authorization": login})
    with urllib.request.urlopen(request, timeout=30) as answer:
        for line in answer:
            alert = json.loads(line)
            with kept:
                kept.execute("INSERT INTO alert VALUES (?, ?)", (alert["place"], alert["ivorn"]))
"""


def test_a_consumer_that_is_killed_at_random_misses_and_doubles_none(night, tmp_path):
    import sqlite3

    users.add("sophie", "scientist", PASSWORD)
    server = make_server("127.0.0.1", 0, night.store.root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    kept = tmp_path / "kept.db"
    url = f"http://127.0.0.1:{server.server_port}/{DATABASE}/alerts/full"
    command = [sys.executable, "-c", CONSUMER, url, str(kept)]
    alerted.alert(night, night.store, 1, rule="visit")
    pick, killed, rows = random.Random(3), 0, []
    archive.archive_visit(night.session, night.store, night.visit)
    try:
        for round_ in range(200):
            consumer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            enough, patience = len(rows) + pick.randint(1, 60), time.monotonic() + 20
            while len(rows) < enough and time.monotonic() < patience:  # by progress: a busy machine takes its time
                time.sleep(0.05)
                with closing(sqlite3.connect(kept)) as store, suppress(sqlite3.OperationalError):
                    rows = store.execute("SELECT place, ivorn FROM alert ORDER BY rowid").fetchall()
                if len(rows) == night.ask("SELECT count(place) FROM level1.outbox"):
                    break
            consumer.kill()
            consumer.wait()
            killed += 1
            if round_ == 2:
                archive.archive_visit(night.session, night.store, night.ids[1])
            with closing(sqlite3.connect(kept)) as store:
                rows = store.execute("SELECT place, ivorn FROM alert ORDER BY rowid").fetchall()
            if round_ > 2 and len(rows) >= night.ask("SELECT count(*) FROM level1.alert"):
                break
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        users.drop("sophie")
    both = "level1.outbox JOIN level1.alert USING (dia_source_id, version)"
    assert rows == night.rows(f"SELECT place, ivorn FROM {both} ORDER BY 1")
    assert [place for place, _ in rows] == list(range(1, len(rows) + 1))
    assert killed > 3


def test_a_full_disk_leaves_alerts_waiting_with_the_reason_and_loses_none(night, small_disk, monkeypatch):
    monkeypatch.setattr(sender, "FIRST_DELAY", 0.0)
    store = FileStore(small_disk / "store")
    for content in night.store.files():
        store.put(content)
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free - (1 << 20)))
    Sender(DATABASE, store).step(night.session)
    waiting = night.rows("SELECT DISTINCT state, attempts, place, last_error FROM level1.outbox")
    assert [row[:3] for row in waiting] == [("waiting", 1, None)]
    assert "No space left on device" in waiting[0][3]
    assert night.ask("SELECT count(*) FROM level1.alert_packet") == 0
    (small_disk / "ballast").unlink()
    Sender(DATABASE, FileStore(night.store.root)).step(night.session)
    assert night.rows("SELECT state, count(*), max(place) FROM level1.outbox GROUP BY 1") == [
        ("sent", night.count, night.count)
    ]


@pytest.fixture
def comets(tmp_path):
    """A broker, its subscriber, and the broker's port for authors."""
    try:
        python = peer_python()
    except PeerMissing as missing:
        pytest.skip(str(missing))
    receive, broadcast = free_port(), free_port()
    broker = Comet(python, tmp_path / "broker", receive=receive, broadcast=broadcast)
    subscriber = Comet(python, tmp_path / "subscriber", remote=broadcast)
    yield broker, subscriber, receive
    subscriber.stop()
    broker.stop()


class Ends:
    """What is ended and started again: broker, sender and server."""

    def __init__(self, broker, server, command):
        self.broker, self.server, self.command = broker, server, command
        self.sender = subprocess.Popen(command, cwd=ROOT)

    def restart_broker(self):
        self.broker.stop()
        self.broker.start()

    def restart_sender(self):
        self.sender.kill()
        self.sender.wait()
        self.sender = subprocess.Popen(self.command, cwd=ROOT)

    def restart_server(self):
        os.kill(postmaster(self.server.data), signal.SIGKILL)
        time.sleep(0.5)
        clusters.start(self.server)

    def close(self):
        self.sender.terminate()
        self.sender.wait()


@pytest.mark.long
@pytest.mark.parametrize("chaos", [False, True], ids=["steady", "restarts"])
def test_a_comet_subscriber_gets_each_alert_once(night, server, comets, chaos):
    """At 20 a second; with `chaos`, broker, sender and server are ended and started again all the time."""
    broker, subscriber, port = comets
    command = [sys.executable, str(ROOT / "hven"), "alerts", "send", "-d", DATABASE, "--store", str(night.store.root)]
    streams.register(night.session, "chosen", "false", f"vtp://127.0.0.1:{port}")  # what goes into it is handed over
    handed: dict[str, float] = {}
    feeder = threading.Thread(target=hand_over, args=(handed, night.count))
    with closing(Ends(broker, server, command)) as ends:
        time.sleep(5)  # until the subscriber is there
        feeder.start()
        pick = random.Random(5)
        while feeder.is_alive() and chaos:
            time.sleep(pick.uniform(1, 3))
            pick.choice([ends.restart_broker, ends.restart_sender, ends.restart_server])()
        feeder.join()
        deadline = time.monotonic() + 180
        while len(subscriber.events()) < len(handed) and time.monotonic() < deadline:
            time.sleep(0.5)
        time.sleep(2)  # for doubles
    events = subscriber.events()
    assert events.keys() == handed.keys()  # a double would have a name with another ending
    if not chaos:
        seconds = [events[name] - at for name, at in handed.items()]
        print(f"handed over to written by the subscriber: p50, p99 = {np.percentile(seconds, [50, 99])} s")
        assert np.percentile(seconds, 99) < 1


def hand_over(handed: dict, count: int):
    """Put Alerts into the stream, 20 a second, whatever happens to the server; keep when, by the file's name."""
    place = 0
    while place < count:
        with suppress(psycopg2.Error), closing(connect(DATABASE)) as session:
            while place < count:
                with session, session.cursor() as cursor:
                    step = {"name": "chosen", "target": "vtp", "places": [place + 1]}
                    cursor.execute(queries("alerts")["admit"], step)
                    cursor.execute("SELECT ivorn FROM level1.alert JOIN level1.outbox USING (dia_source_id, version)"
                                   " WHERE stream = 'full' AND place = %s", [place + 1])  # fmt: skip
                    ivorn = cursor.fetchone()  # none until it is archived
                if ivorn:
                    place += 1
                    handed[ivorn[0].replace("/", "_").replace(":", "").replace("#", "")] = time.time()
                time.sleep(1 / RATE)
        time.sleep(0.2)
