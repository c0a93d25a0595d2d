"""The private PostgreSQL server: create, start, stop, status.

Everything lies under one folder, `$HVEN_HOME`: `cluster` (the data), `run` (the socket), `server.log`.
"""

import fcntl
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from db import settings
from db.access import certificate_command, host_based_authentication, identity_map
from db.errors import HvenError
from db.processes import end_orphans, postmaster, run_as_server

LOG_SIZE_TO_TURN = 16 * settings.MB
PATIENCE = 600  # seconds for recovery after a crash, or for the last checkpoint


class ClusterError(HvenError):
    """The private server cannot be made, started or stopped."""

    exit_status = 3


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
    _check_binaries()
    with _locked(cluster):
        if cluster.data.exists():
            _check_data(cluster)
            return False
        unfinished = cluster.home / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        _own_folder(unfinished)
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
        with (unfinished / "postgresql.conf").open("a") as main:
            main.write("include 'hven.conf'  # made anew by `hven up`; your own settings: ALTER SYSTEM\n")
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
        _prepare(cluster, listen)
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
        if postmaster(cluster.data) is None:
            return False
        stopped = _pg_ctl(cluster, "stop", "-m", mode)
        if stopped.returncode:
            raise _fault(cluster, "the server did not stop", stopped.stderr)
        return True


def status(cluster: Cluster) -> Status:
    """Return whether the cluster exists and runs, and where it can be reached."""
    pid = postmaster(cluster.data)
    lines = (cluster.data / "postmaster.pid").read_text().splitlines() if pid else []
    return Status(
        home=str(cluster.home),
        created=(cluster.data / "PG_VERSION").exists(),
        pid=pid,
        socket=str(cluster.run),
        port=int(lines[3]) if len(lines) > 3 else cluster.port,
        listen=(lines[5] or None) if len(lines) > 5 else None,
        log=str(cluster.log),
    )


def _pg_ctl(cluster: Cluster, verb: str, *options: str | Path) -> CompletedProcess[str]:
    command: list[str | Path] = [settings.BINARIES / "pg_ctl", verb, "-s", "-w", "-t", str(PATIENCE)]
    return run_as_server([*command, "-D", cluster.data, *options], cluster.venv)


def _prepare(cluster: Cluster, listen: str | None) -> None:
    """Clean up after a crash and write the configuration."""
    end_orphans(cluster.data)
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)  # nobody lives: its number may be reused
    _own_folder(cluster.run)
    lock = cluster.run / f".s.PGSQL.{cluster.port}.lock"
    if lock.exists() and str(cluster.data) in lock.read_text().splitlines():
        lock.unlink()  # of our own dead postmaster, which may be a zombie
    values = {name: value for name, (value, _) in settings.tuned_here(cluster.data).items()}
    reasons = {name: reason for name, (_, reason) in settings.tuned_here(cluster.data).items()}
    values |= {"unix_socket_directories": str(cluster.run), "port": str(cluster.port)}
    values |= {"listen_addresses": listen or "", "ssl": "on" if listen else "off"}
    values |= cluster.overrides
    lines = []
    for name, value in values.items():
        quoted = value.replace("'", "''")
        lines.append(f"{name} = '{quoted}'  # {reasons.get(name, '')}".rstrip(" #"))
    _own_file(cluster.data / "hven.conf", "\n".join(lines) + "\n")
    _own_file(cluster.data / "pg_hba.conf", host_based_authentication(listen))
    _own_file(cluster.data / "pg_ident.conf", identity_map())
    if listen and not (cluster.data / "server.key").exists():
        files = str(cluster.data / "server.crt"), str(cluster.data / "server.key")
        made = run_as_server(certificate_command(*files, listen), cluster.venv)
        if made.returncode:
            raise _fault(cluster, "openssl could not make the server's certificate", made.stderr)
    if cluster.log.exists() and cluster.log.stat().st_size > LOG_SIZE_TO_TURN:
        cluster.log.rename(cluster.log.with_suffix(".log.old"))
    if not cluster.log.exists():
        _own_file(cluster.log, "")


def _check_binaries() -> None:
    if not (settings.BINARIES / "initdb").exists():
        raise ClusterError(
            f"PostgreSQL {settings.POSTGRESQL_MAJOR} is not installed in {settings.BINARIES}",
            "`./hven` installs the packages, or says which commands do",
        )


def _check_data(cluster: Cluster) -> None:
    """Refuse a data folder that is not a complete cluster of our major version and our user."""
    version, owner = cluster.data / "PG_VERSION", settings.server_user()
    if (found_uid := cluster.data.stat().st_uid) != owner.pw_uid:
        raise ClusterError(
            f"{cluster.data} belongs to user {found_uid}, the server's user is {owner.pw_name}",
            "run `hven` as the user who made it, or set HVEN_HOME to another folder",
        )
    if not version.exists():
        raise ClusterError(
            f"{cluster.data} exists but is not a complete PostgreSQL cluster",
            "move it away, or set HVEN_HOME to another folder, and repeat `hven up`",
        )
    if (found := version.read_text().strip()) != str(settings.POSTGRESQL_MAJOR):
        raise ClusterError(
            f"{cluster.data} was made by PostgreSQL {found}, this Hven runs {settings.POSTGRESQL_MAJOR}",
            "restore a backup into another HVEN_HOME, or convert it with pg_upgrade",
        )


def _own_folder(folder: Path) -> None:
    """Make a folder that only the server's user (and root) can enter, or check that it is one."""
    owner = settings.server_user()
    if not folder.exists():
        folder.mkdir(mode=0o700)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    found = folder.lstat()
    if found.st_uid != owner.pw_uid or found.st_mode & 0o777 != 0o700 or folder.is_symlink():
        raise ClusterError(
            f"{folder} must be a folder of user {owner.pw_name} with mode 0700,"
            f" found user {found.st_uid} and mode {found.st_mode & 0o7777:04o}",
            "move it away, or set HVEN_HOME to another folder",
        )
    if run_as_server(["/usr/bin/test", "-w", folder], Path(sys.prefix)).returncode:
        raise ClusterError(
            f"the server's user {owner.pw_name} cannot enter {folder}",
            f"`chmod a+x` its parent folders, or set HVEN_HOME to a folder that {owner.pw_name} can reach",
        )


def _own_file(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    owner = settings.server_user()
    os.chown(path, owner.pw_uid, owner.pw_gid)


@contextmanager
def _locked(cluster: Cluster) -> Iterator[None]:
    """Let one process at a time make, start or stop the cluster."""
    try:
        cluster.home.mkdir(parents=True, exist_ok=True)
        with (cluster.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        problem = f"cannot write to {error.filename or cluster.home}"
        raise _fault(cluster, problem, error.strerror or "") from error


LOG_PREFIX = re.compile(r"^[-\d]+ [\d:.]+ \w+ \[\d+\] ")
REMEDIES = {
    "No space left on device": "make room on the disk of {home}, then repeat the command",
    "Address already in use": "stop the server that uses port {port}, or set HVEN_PORT to another number",
    "lock file": "stop the server that uses {run}, or set HVEN_PORT to another number",
    "Permission denied": "give the server's user access to {home}, or set HVEN_HOME to another folder",
    "Cannot assign requested address": "give `--listen` an address of this machine",
    "could not translate host name": "give `--listen` an address of this machine",
    "could not map anonymous shared memory": "free memory, or lower shared_buffers with ALTER SYSTEM",
}


def _fault(cluster: Cluster, problem: str, said: str) -> ClusterError:
    """Make an error from what a program said, with the remedy for its known causes."""
    marks = ("FATAL", "PANIC", "error", "could not", *REMEDIES)
    lines = (LOG_PREFIX.sub("", line.strip()) for line in said.splitlines())
    causes = [line for line in lines if any(mark in line for mark in marks)]
    cause = "; ".join(dict.fromkeys(causes[:3])) or said.strip()[-300:]
    known = (remedy for sign, remedy in REMEDIES.items() if sign in said)
    places = {"home": cluster.home, "port": cluster.port, "run": cluster.run, "log": cluster.log}
    return ClusterError(f"{problem} ({cause.rstrip('.')})", next(known, "read {log}").format(**places))
