"""What can be wrong with the private server's folders and start, and the remedy for each."""

import os
import re
import sys
from pathlib import Path

from db import settings
from db.errors import HvenError
from db.processes import run_as_server


class ClusterError(HvenError):
    """The private server cannot be made, started or stopped."""

    exit_status = 3


LOG_PREFIX = re.compile(r"^[-\d]+ [\d:.]+ \w+ \[\d+\] ")
REMEDIES = {
    "No space left on device": "make room on the disk of {home}, then repeat the command",
    "Address already in use": "stop the server that uses port {port}, or set HVEN_PORT to another number",
    "lock file": "stop the server that uses {run}, or set HVEN_PORT to another number",
    "File exists": "set HVEN_HOME to a folder: {home} is something else",
    "Not a directory": "set HVEN_HOME to a folder: a part of {home} is something else",
    "Permission denied": "give the server's user access to {home}, or set HVEN_HOME to another folder",
    "Cannot assign requested address": "give `--listen` an address of this machine",
    "could not translate host name": "give `--listen` an address of this machine",
    "could not map anonymous shared memory": "free memory, or lower shared_buffers with ALTER SYSTEM",
}


def fault(problem: str, said: str, **places: object) -> ClusterError:
    """Make an error from what a program said, with the remedy for its known causes.

    Parameters
    ----------
    problem : str
        What could not be done.
    said : str
        Output of the program, or the system's message.
    **places
        `home`, `port`, `run` and `log` of the cluster, which remedies name.
    """
    marks = ("FATAL", "PANIC", "error", "could not", *REMEDIES)
    lines = (LOG_PREFIX.sub("", line.strip()) for line in said.splitlines())
    causes = [line for line in lines if any(mark in line for mark in marks)]
    cause = "; ".join(dict.fromkeys(causes[:3])) or said.strip()[-300:]
    known = (remedy for sign, remedy in REMEDIES.items() if sign in said)
    return ClusterError(f"{problem} ({cause.rstrip('.')})", next(known, "read {log}").format(**places))


def check_binaries() -> None:
    """Refuse to go on without PostgreSQL's programs."""
    if not (settings.BINARIES / "initdb").exists():
        raise ClusterError(
            f"PostgreSQL {settings.POSTGRESQL_MAJOR} is not installed in {settings.BINARIES}",
            "`./hven` installs the packages, or says which commands do",
        )


def check_data(data: Path) -> None:
    """Refuse a data folder that is not a complete cluster of our major version and our user."""
    version, owner = data / "PG_VERSION", settings.server_user()
    if (found_uid := data.stat().st_uid) != owner.pw_uid:
        raise ClusterError(
            f"{data} belongs to user {found_uid}, the server's user is {owner.pw_name}",
            "run `hven` as the user who made it, or set HVEN_HOME to another folder",
        )
    if not version.exists():
        raise ClusterError(
            f"{data} exists but is not a complete PostgreSQL cluster",
            "move it away, or set HVEN_HOME to another folder, and repeat `hven up`",
        )
    if (found := version.read_text().strip()) != str(settings.POSTGRESQL_MAJOR):
        raise ClusterError(
            f"{data} was made by PostgreSQL {found}, this Hven runs {settings.POSTGRESQL_MAJOR}",
            "restore a backup into another HVEN_HOME, or convert it with pg_upgrade",
        )


def own_folder(folder: Path) -> None:
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


def own_file(path: Path, text: str) -> None:
    """Write a file of the server's user, which others cannot read.

    It replaces whatever is there: were it written through a link that the server's user has put there, then that
    user could make root overwrite any file.
    """
    owner, new = settings.server_user(), path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        os.fchown(file.fileno(), owner.pw_uid, owner.pw_gid)
        file.write(text)
    new.rename(path)
