"""Where the private PostgreSQL server lives and how it is tuned. Standard library only, for bootstrap."""

import hashlib
import os
import pwd
import shutil
from pathlib import Path

POSTGRESQL_MAJOR = 15
BINARIES = Path(f"/usr/lib/postgresql/{POSTGRESQL_MAJOR}/bin")
ADMINISTRATOR = "postgres"  # the superuser's role and, when root starts the server, its user
EXISTING_SERVER = ("PGHOST", "PGHOSTADDR", "PGSERVICE")  # any of them names a server that is not ours
SOCKET_PATH_LIMIT = 90  # bytes of the folder; sun_path holds 107, "/.s.PGSQL.65535" takes 16
SMALL_SHARED_MEMORY = 1 << 30  # bytes of /dev/shm below which parallel hash joins run out of it

MB = 1 << 20
GB = 1 << 30

Tuning = dict[str, tuple[str, str]]  # setting → (value, reason)


def hven_home() -> Path:
    """Folder of everything that is made on this machine: $HVEN_HOME, else the user's data folder."""
    if given := os.environ.get("HVEN_HOME"):
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/hven")  # the server's user cannot enter root's home
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "hven"


def uses_existing_server() -> bool:
    """Return whether libpq's variables name a server, so that the private cluster is left alone."""
    return any(os.environ.get(name) for name in EXISTING_SERVER)


def port() -> int:
    """Number in the socket's name, and the TCP port after `hven up --listen`."""
    return int(os.environ.get("HVEN_PORT", "5432"))


def server_user() -> pwd.struct_passwd:
    """User that the server runs as: ourselves, or `postgres` if we are root (PostgreSQL refuses root)."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def socket_folder(home: Path) -> Path:
    """Folder of the Unix socket: `home/run`, or a short path if that would not fit a socket's address.

    A comma would part it in two for libpq.
    """
    folder = home / "run"
    if len(os.fsencode(folder)) <= SOCKET_PATH_LIMIT and "," not in str(folder):
        return folder
    return Path(f"/tmp/hven-{server_user().pw_uid}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:8]}")


def memory() -> int:
    """Bytes of memory that this machine or container has."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    granted = limit.read_text().strip() if limit.exists() else "max"
    return physical if granted == "max" else min(physical, int(granted))


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def tuned(memory_bytes: int, processors: int, free_disk: int, shared_memory: int) -> Tuning:
    """Return the settings for a machine: name → (value, reason).

    Parameters
    ----------
    memory_bytes, free_disk, shared_memory : int
        Sizes of the main memory, of the free space where the data lie, and of /dev/shm [bytes].
    processors : int
        Number of processors.
    """

    def size(wanted: int, least: int, most: int) -> str:
        return f"{min(max(wanted, least), most) // MB}MB"

    gather = min(max(processors // 2, 2), 8)
    settings = {
        "shared_buffers": (size(memory_bytes // 4, 128 * MB, 32 * GB), "a quarter: COPY meets indexes here"),
        "effective_cache_size": (size(memory_bytes * 3 // 4, 256 * MB, 1 << 50), "the rest is page cache"),
        "work_mem": (size(memory_bytes // 256, 16 * MB, 256 * MB), "a night's candidates hash in memory"),
        "maintenance_work_mem": (size(memory_bytes // 16, 64 * MB, 2 * GB), "index builds of a release"),
        "max_connections": ("200", "workers keep their connections: numpy costs 60 ms in a new one"),
        "max_locks_per_transaction": ("256", "an upgrade or a dump locks every partition and its indexes"),
        "max_worker_processes": (str(processors + 8), "all parallel workers and the background ones"),
        "max_parallel_workers": (str(processors), "one for each processor"),
        "max_parallel_workers_per_gather": (str(gather), "two users' scans fit side by side"),
        "max_parallel_maintenance_workers": (str(gather), "index builds of a release"),
        "jit": ("off", "compiling costs more than a cone or a light curve takes"),
        "random_page_cost": ("1.1", "solid state disks"),
        "effective_io_concurrency": ("200", "solid state disks; bitmap scans of sky ranges prefetch"),
        "wal_level": ("replica", "base backups, a standby"),
        "wal_compression": ("lz4", "full page images after a checkpoint are most of a night's WAL"),
        "max_wal_size": (size(free_disk // 8, 256 * MB, 16 * GB), "no checkpoint amid a visit's load"),
        "min_wal_size": (size(free_disk // 64, 80 * MB, 1 * GB), "segments are used again, not made anew"),
        "checkpoint_timeout": ("15min", "fewer full page images; recovery stays under a minute"),
        "autovacuum_vacuum_cost_limit": ("2000", "the default of 200 was chosen for spinning disks"),
        "default_toast_compression": ("lz4", "arrays unpack faster than with pglz"),
        "timezone": ("UTC", "nights cross midnight in every local time"),
        "log_timezone": ("UTC", "one clock in all logs"),
        "log_line_prefix": ("%m [%p] %q%u@%d/%a ", "who said it"),
        "log_lock_waits": ("on", "a stuck association shows itself"),
    }
    if shared_memory < SMALL_SHARED_MEMORY:
        settings["dynamic_shared_memory_type"] = ("sysv", "/dev/shm is too small for parallel hash joins")
    return settings


def tuned_here(data: Path) -> Tuning:
    """Return the settings for this machine, for a cluster whose data lie in `data`."""
    shm = shutil.disk_usage("/dev/shm").total if Path("/dev/shm").exists() else 0
    return tuned(memory(), cores(), shutil.disk_usage(data).free, shm)
