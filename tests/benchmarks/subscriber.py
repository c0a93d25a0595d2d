"""A client of `hven serve` that reads the full stream of Alerts while a night goes on, and notes when each arrives."""

import base64
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from db import users
from pipelines.cli.serve import make_server
from pipelines.live_night import Night, sending

NAME, PASSWORD = "tycho", "Stjerneborg 1584"


@contextmanager
def subscribed(night: Night) -> Iterator[dict[str, float]]:
    """Archive and serve the Alerts of a night; yield IVORN → when its packet was read over HTTP [UNIX time]."""
    users.add(NAME, "scientist", PASSWORD)
    arrivals: dict[str, float] = {}
    server, over = make_server("127.0.0.1", 0, night.store.root, quiet=True), threading.Event()
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    url = f"http://127.0.0.1:{server.server_port}/{night.database}/alerts/full"
    reading = threading.Thread(target=_read, args=(url, arrivals, over))
    serving.start()
    reading.start()
    try:
        with sending(night):
            yield arrivals
    finally:
        over.set()
        reading.join()
        server.shutdown()
        serving.join()
        server.server_close()
        users.drop(NAME)


def _read(url: str, arrivals: dict[str, float], over: threading.Event) -> None:
    login = "Basic " + base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
    place, got = 0, True
    while got or not over.is_set():
        request = urllib.request.Request(f"{url}?after={place}&wait=5", headers={"Authorization": login})
        with urllib.request.urlopen(request, timeout=60) as answer:
            alerts = [json.loads(line) for line in answer]
        got = bool(alerts)
        for alert in alerts:
            place = alert["place"]
            arrivals[alert["ivorn"]] = time.time()
