"""Processes of the private server: run one as its user, find them, end those that a crash left behind."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from db.settings import BINARIES, server_user, uses_existing_server

GRACE = 2.0  # seconds that an orphaned backend has to leave by itself


def run_as_server(
    command: Sequence[str | Path], venv: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as the server's user with the environment that the server has.

    The venv's `bin` stands first on PATH: PL/Python takes the `python3` that it finds there for its own.
    """
    owner = server_user()
    root = os.geteuid() == 0
    own = {
        "PATH": f"{venv}/bin:{BINARIES}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "OPENBLAS_NUM_THREADS": "1",  # each backend would start a pool of threads of its own
    }
    return subprocess.run(
        [str(word) for word in command],
        env=own | dict(environment or {}),
        cwd="/",  # ours may be closed to the server's user
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        user=owner.pw_uid if root else None,
        group=owner.pw_gid if root else None,
        extra_groups=[] if root else None,
    )


def server_processes(data: Path) -> list[int]:
    """Return the ids of all PostgreSQL processes whose working folder is `data`, as every backend's is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == data and (entry / "exe").readlink().name == "postgres":
                    found.append(int(entry.name))
            except OSError:  # another user's, or gone meanwhile
                continue
    return sorted(found)


def postmaster_file(data: Path) -> list[str]:
    """Return the lines of `postmaster.pid`, the first of them the process id; none if that does not run."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        return lines if int(lines[0]) in server_processes(data) else []
    except (OSError, ValueError, IndexError):
        return []


def postmaster(data: Path) -> int | None:
    """Return the id of the running postmaster of `data`, or None."""
    lines = postmaster_file(data)
    return int(lines[0]) if lines else None


def end_orphans(data: Path) -> int:
    """End the backends of a postmaster that is gone, as their shared memory forbids a new start.

    Returns
    -------
    int
        How many there were.
    """
    orphans = server_processes(data)
    _signal(orphans, signal.SIGQUIT)
    deadline = time.monotonic() + GRACE
    while server_processes(data) and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal(server_processes(data), signal.SIGKILL)
    while server_processes(data):
        time.sleep(0.02)
    return len(orphans)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def slow_down(pid: int, nice: int) -> None:
    """Let others go first where they and a process of a private server want the same processor.

    A server's process leads a session of its own, and Linux shares processors among sessions first: see sched(7).
    """
    if uses_existing_server():
        return
    with suppress(OSError):  # ended already, or not ours to slow down
        if os.getpriority(os.PRIO_PROCESS, pid) < nice:
            os.setpriority(os.PRIO_PROCESS, pid, nice)
        session = Path(f"/proc/{pid}/autogroup")
        if int(session.read_text().split()[-1]) < nice:
            session.write_text(str(nice))
