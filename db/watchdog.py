"""The watchdog: it enforces from outside the limits that a user's own SET undoes, and lets nights go first.

One process a private server, which `hven up` starts and `hven down` ends. Who holds the lock on its pid file is
the watchdog: a number alone may be another process's by now.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import connection
from psycopg2.extras import Json

from db import quota, rights
from db.cluster import Cluster
from db.connect import HUB, connect
from db.databases import ROOT
from db.errors import HvenError
from db.processes import postmaster, slow_down
from db.queries import queries
from db.settings import uses_existing_server

PERIOD = 5.0  # seconds between looks
NICE = 10  # of the processes that serve people's sessions
PATIENCE = 10.0  # seconds that the watchdog has to leave
LIMITS = {
    "statement": "statement_timeout",
    "transaction": "transaction_timeout",
    "idle": "idle_in_transaction_session_timeout",
}


class WatchdogError(HvenError):
    """The watchdog can't begin or doesn't end."""

    exit_status = 11


@dataclass(frozen=True)
class Ended:
    """A session that was over a limit: its statement was cancelled, or it was ended."""

    pid: int
    user: str
    database: str
    limit: str
    done: bool


def end_overlong(session: connection) -> list[Ended]:
    """Cancel statements and end transactions that are over the limits of their login.

    The session needs pg_monitor and pg_signal_backend, as an operator has. Superusers are never touched.
    """
    policy = [
        {"role": f"hven_{role}"} | {short: of.get(name, "infinity") for short, name in LIMITS.items()}
        for role, of in rights.rules()["limits"].items()
    ]
    with session, session.cursor() as cursor:
        cursor.execute(queries("users")["end_overlong"], {"limits": Json(policy)})
        return [Ended(*row) for row in cursor]


def let_nights_go_first(session: connection) -> None:
    """Slow down the server's processes that serve readers and Level 3 users, and neither workers nor the staff."""
    with session, session.cursor() as cursor:
        cursor.execute(queries("users")["people"])
        for (pid,) in cursor:
            slow_down(pid, NICE)


def watch(say: Callable[[str], None], period: float = PERIOD) -> None:
    """Look every `period` seconds, for as long as the server lives."""
    with (Cluster().home / "watchdog.pid").open("a+") as file:
        if not _take(file):
            raise WatchdogError("watchdog: another one watches this server", "`hven down` ends it with the server")
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        sweeper = quota.Sweeper()
        while True:
            try:
                with closing(connect(HUB)) as session:
                    while True:
                        for ended in end_overlong(session):
                            say(describe(ended))
                        let_nights_go_first(session)
                        _sweep_for(period, sweeper, say)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                if uses_existing_server():
                    said = str(error).splitlines()[0].rstrip(".")
                    raise WatchdogError(f"watchdog: the server is gone ({said})", "start both again") from error
                if postmaster(Cluster().data) is None:
                    say("the server is gone")
                    return
                time.sleep(period)  # it recovers from a crash of one of its backends


def _sweep_for(period: float, sweeper: quota.Sweeper, say: Callable[[str], None]) -> None:
    """Until it is time for the next look at sessions, look at the quotas of Level 3."""
    until = time.monotonic() + period
    while (left := until - time.monotonic()) > 0:
        for swept in sweeper.look():
            if swept.stopped:
                say(quota.describe(swept))
        time.sleep(min(left, quota.PERIOD))


def describe(ended: Ended) -> str:
    """Return one line for the log."""
    done = "statement cancelled" if ended.limit == "statement_timeout" else "session ended"
    what = done if ended.done else "gone already"
    return f"{ended.user} in {ended.database}, pid {ended.pid}: over {ended.limit}, {what}"


def start(cluster: Cluster) -> bool:
    """Start the watchdog of a private server in the background; return whether it did not run already."""
    if running(cluster) is not None:
        return False
    with (cluster.home / "watchdog.log").open("a") as log:
        subprocess.Popen(
            [sys.executable, str(ROOT / "hven"), "watchdog"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    return True


def running(cluster: Cluster) -> int | None:
    """Return the process id of the watchdog, or None."""
    try:
        with (cluster.home / "watchdog.pid").open() as file:
            return None if _take(file) else int(file.read() or 0)
    except FileNotFoundError:
        return None


def stop(cluster: Cluster) -> bool:
    """End the watchdog; return whether it ran."""
    if not (pid := running(cluster)):
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while running(cluster) == pid:
        if time.monotonic() > deadline:
            raise WatchdogError(f"watchdog: process {pid} does not end", f"look at it, then `kill -9 {pid}`")
        time.sleep(0.02)
    return True


def _take(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
