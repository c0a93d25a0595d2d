"""What a figure depends on: the machine, the versions, and a server as in production."""

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from db import cluster as clusters
from db import settings
from db.connect import connect

PRODUCTION = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "wal_level": "replica"}
PACKAGES = ("numpy", "psycopg2-binary", "pyarrow", "numba", "scipy")


def machine() -> dict:
    """Return processor, cores, memory and load of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.machine(),
        "cores": settings.cores(),
        "memory_gb": round(settings.memory() / settings.GB, 1),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
    }


def processor_seconds(backend: int) -> float:
    """Return the processor time [s] that a server's process and ours have used: it counts nobody else's load."""
    used = int(Path(f"/proc/{backend}/schedstat").read_text().split()[0])
    return used / 1e9 + time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)


def versions() -> dict:
    """Return the versions of Python, the server and what the loops run in."""
    found = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    return {"postgresql": _server_version()} | found


def _server_version() -> str:
    program = settings.BINARIES / "postgres"
    return os.popen(f"{program} --version").read().split()[2] if program.exists() else "unknown"


@contextmanager
def built_server(build: Callable[[int], None], rows: int, keep: str | None) -> Iterator[None]:
    """Run a `production_server` that was filled by `build(rows)`; one that was kept is not filled again."""
    with production_server(keep):
        built = settings.hven_home() / "built"
        if not built.exists():
            build(rows)
            built.touch()
        yield


@contextmanager
def production_server(keep: str | None = None) -> Iterator[str]:
    """Run a server of our own, tuned and durable as in production, and yield the name of an empty database.

    It stands under `$HVEN_HOME`, hence on the disk that production would use, and is removed afterwards; one that
    is to be kept has a name, under which it is found again.
    """
    home = settings.hven_home() / f"bench-{keep or os.getpid()}"
    before = dict(os.environ)
    for name in (*settings.EXISTING_SERVER, "PGUSER", "PGDATABASE"):
        os.environ.pop(name, None)
    os.environ["HVEN_HOME"] = str(home)
    server = clusters.Cluster(overrides=PRODUCTION)
    try:
        clusters.start(server)
        session = connect("postgres")
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = 'bench'")
            if not cursor.rowcount:
                cursor.execute("CREATE DATABASE bench")
        session.close()
        yield "bench"
    finally:
        clusters.stop(server, mode="fast" if keep else "immediate")
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
        os.environ.clear()
        os.environ.update(before)
