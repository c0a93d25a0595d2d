"""The private PostgreSQL server: create, start, stop, status.

Everything lies under one folder, `$HVEN_HOME`: `cluster` (the data), `run` (the socket), `server.log`.
"""

import fcntl
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from db import settings
from db.access import certificate_command, host_based_authentication, identity_map
from db.cluster_faults import ClusterError, check_binaries, check_data, fault, own_file, own_folder
from db.processes import end_orphans, postmaster_file, run_as_server

LOG_SIZE_TO_TURN = 16 * settings.MB
MAIN_CONFIGURATION = """\
include 'initdb.conf'
include 'hven.conf'  # made anew by `hven up`; your own settings: ALTER SYSTEM
"""
PATIENCE = 600  # seconds for recovery after a crash, or for the last checkpoint


@dataclass(frozen=True)
class Cluster:
    """A private PostgreSQL server and the folder that holds all that it owns.

    Parameters
    ----------
    home : Path
        The folder; default `$HVEN_HOME`.
    port : int
        Number in the socket's name and TCP port.
    venv : Path
        Virtual environment whose Python runs inside the server.
    overrides : mapping of str to str
        Settings that replace the tuned ones.
    """

    home: Path = field(default_factory=settings.hven_home)
    port: int = field(default_factory=settings.port)
    venv: Path = Path(sys.prefix)
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """Data folder of PostgreSQL."""
        return self.home / "cluster"

    @property
    def run(self) -> Path:
        """Folder of the socket, closed to other users."""
        return settings.socket_folder(self.home)

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.home / "server.log"


@dataclass(frozen=True)
class Status:
    """State of a cluster; `pid` is None if it does not run, `listen` if it has no TCP."""

    home: str
    created: bool
    pid: int | None
    socket: str
    port: int
    listen: str | None
    log: str

    def as_dict(self) -> dict[str, object]:
        """Return the fields for JSON."""
        return asdict(self)


def create(cluster: Cluster) -> bool:
    """Make the data folder if there is none; return whether it was made.

    It is made beside its place and moved when complete, so that an interruption leaves nothing half made.
    """
    check_binaries()
    with _locked(cluster):
        if cluster.data.exists():
            check_data(cluster.data)
            return False
        unfinished = cluster.home / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        own_folder(unfinished)
        command: list[str | Path] = [
            *(settings.BINARIES / "initdb", "-D", unfinished, "-U", settings.ADMINISTRATOR, "-E", "UTF8"),
            *("--lc-collate=C", "--lc-ctype=C.UTF-8"),  # the same order, and so the same digests, everywhere
            *("--data-checksums", "-A", "peer"),
            *(["--no-sync"] if cluster.overrides.get("fsync") == "off" else []),
        ]
        made = run_as_server(command, cluster.venv)
        if made.returncode:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise _fault(cluster, "initdb could not make the data folder", made.stderr)
        (unfinished / "postgresql.conf").rename(unfinished / "initdb.conf")
        own_file(unfinished / "postgresql.conf", MAIN_CONFIGURATION)
        unfinished.rename(cluster.data)
        return True


def start(cluster: Cluster, listen: str | None = None) -> bool:
    """Create the cluster if needed and start it; return whether it was started.

    Parameters
    ----------
    cluster : Cluster
        The cluster.
    listen : str, optional
        Address for TCP, TLS and a password required; default none.
    """
    create(cluster)
    with _locked(cluster):
        state = status(cluster)
        if state.pid:
            if listen and listen != state.listen:
                raise ClusterError(
                    f"the server runs already and listens on {state.listen or 'its Unix socket only'},"
                    f" {listen} was asked for",
                    "`hven down`, then `hven up --listen` again",
                )
            return False
        own_folder(cluster.run)
        _clean_up(cluster)
        _configure(cluster, listen)
        offset = cluster.log.stat().st_size
        started = _pg_ctl(cluster, "start", "-l", cluster.log)
        if started.returncode:
            with cluster.log.open(errors="replace") as log:
                log.seek(offset)
                raise _fault(cluster, "the server did not start", log.read() or started.stderr)
        return True


def stop(cluster: Cluster, mode: str = "fast") -> bool:
    """Stop the server; return whether it ran. `mode` is pg_ctl's: smart, fast or immediate."""
    with _locked(cluster):
        if not postmaster_file(cluster.data):
            return False
        stopped = _pg_ctl(cluster, "stop", "-m", mode)
        if stopped.returncode:
            raise _fault(cluster, "the server did not stop", stopped.stderr)
        return True


def status(cluster: Cluster) -> Status:
    """Return whether the cluster exists and runs, and where it can be reached."""
    lines = postmaster_file(cluster.data)
    return Status(
        home=str(cluster.home),
        created=(cluster.data / "PG_VERSION").exists(),
        pid=int(lines[0]) if lines else None,
        socket=str(cluster.run),
        port=int(lines[3]) if len(lines) > 3 else cluster.port,
        listen=(lines[5] or None) if len(lines) > 5 else None,
        log=str(cluster.log),
    )


def _pg_ctl(cluster: Cluster, verb: str, *options: str | Path) -> CompletedProcess[str]:
    command: list[str | Path] = [settings.BINARIES / "pg_ctl", verb, "-s", "-w", "-t", str(PATIENCE)]
    return run_as_server([*command, "-D", cluster.data, *options], cluster.venv)


def _clean_up(cluster: Cluster) -> None:
    """Remove what a crash leaves behind that would forbid a new start."""
    end_orphans(cluster.data)
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)  # nobody lives: its number may be reused
    lock = cluster.run / f".s.PGSQL.{cluster.port}.lock"
    if lock.exists() and str(cluster.data) in lock.read_text().splitlines():
        lock.unlink()  # of our own dead postmaster, which may be a zombie
    if cluster.log.exists() and cluster.log.stat().st_size > LOG_SIZE_TO_TURN:
        cluster.log.rename(cluster.log.with_suffix(".log.old"))
    if not cluster.log.exists():
        own_file(cluster.log, "")


def _configure(cluster: Cluster, listen: str | None) -> None:
    """Write settings, access rules and, to listen, a certificate."""
    values = settings.tuned_here(cluster.data) | {
        "unix_socket_directories": (str(cluster.run), "closed to other users"),
        "port": (str(cluster.port), "$HVEN_PORT"),
        "listen_addresses": (listen or "", "`hven up --listen`"),
        "ssl": ("on" if listen else "off", "nobody enters by TCP without it"),
    }
    values |= {name: (value, "asked for") for name, value in cluster.overrides.items()}
    quoted = ((name, value.replace("'", "''"), reason) for name, (value, reason) in values.items())
    lines = [f"{name} = '{value}'  # {reason}\n" for name, value, reason in quoted]
    own_file(cluster.data / "hven.conf", "".join(lines))
    own_file(cluster.data / "pg_hba.conf", host_based_authentication(listen))
    own_file(cluster.data / "pg_ident.conf", identity_map())
    if listen and not (cluster.data / "server.key").exists():
        files = str(cluster.data / "server.crt"), str(cluster.data / "server.key")
        made = run_as_server(certificate_command(*files, listen), cluster.venv)
        if made.returncode:
            raise _fault(cluster, "openssl could not make the server's certificate", made.stderr)


@contextmanager
def _locked(cluster: Cluster) -> Iterator[None]:
    """Let one process at a time make, start or stop the cluster."""
    try:
        cluster.home.mkdir(parents=True, exist_ok=True)
        with (cluster.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        problem = f"cannot use {error.filename or cluster.home}"
        raise _fault(cluster, problem, error.strerror or "") from error


def _fault(cluster: Cluster, problem: str, said: str) -> ClusterError:
    return fault(problem, said, home=cluster.home, port=cluster.port, run=cluster.run, log=cluster.log)
