"""From a fresh machine to a venv: Debian packages, then the locked Python packages. Standard library only."""

import fcntl
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from db.apt_sources import backports, read_sources
from db.errors import HvenError
from db.settings import BINARIES, POSTGRESQL_MAJOR, hven_home, uses_existing_server

CHECKOUT = Path(__file__).resolve().parent.parent
LOCK = CHECKOUT / "requirements.lock"
PYTHON = "/usr/bin/python3"  # PL/Python links its library: the venv must be made from the same one
SUITE = "bookworm"  # the Debian release whose packages carry that major version
LIBRARIES = BINARIES.parent / "lib"
PGSPHERE_CONTROL = Path(f"/usr/share/postgresql/{POSTGRESQL_MAJOR}/extension/pg_sphere.control")
PGSPHERE_LEAST = (1, 4)  # earlier ones cannot be created on PostgreSQL 15.19 and later
BACKPORTS = "/etc/apt/sources.list.d/hven-backports.sources"
NO_MAIN_CLUSTER = Path("/etc/postgresql-common/createcluster.d/hven-installs.conf")  # there during an installation

SERVER_PACKAGES = {
    f"postgresql-{POSTGRESQL_MAJOR}": BINARIES / "postgres",
    f"postgresql-client-{POSTGRESQL_MAJOR}": BINARIES / "psql",
    f"postgresql-plpython3-{POSTGRESQL_MAJOR}": LIBRARIES / "plpython3.so",
    f"postgresql-{POSTGRESQL_MAJOR}-q3c": LIBRARIES / "q3c.so",
    "openssl": Path("/usr/bin/openssl"),
}
PGSPHERE_PACKAGE = f"postgresql-{POSTGRESQL_MAJOR}-pgsphere"
INDEXES = Path("/usr/share/astrometry")
ASTROMETRY_PACKAGES = {
    "astrometry.net": Path("/usr/bin/solve-field"),
    "astrometry-data-tycho2-07-littleendian": INDEXES / "index-tycho2-07.littleendian.fits",
    "astrometry-data-tycho2-08-littleendian": INDEXES / "index-tycho2-08.littleendian.fits",
    "astrometry-data-tycho2-09-littleendian": INDEXES / "index-tycho2-09.littleendian.fits",
    "astrometry-data-tycho2-10-19-littleendian": INDEXES / "index-tycho2-10.littleendian.fits",
}
"""What finds out where an exposure without WCS looks: 190 MB, for those who need it."""


class PackagesMissing(HvenError):
    """Debian packages are missing and cannot be installed from here."""

    exit_status = 69  # EX_UNAVAILABLE of sysexits.h


class VenvFailed(HvenError):
    """The virtual environment could not be made."""

    exit_status = 70  # EX_SOFTWARE of sysexits.h


def venv_python() -> Path:
    """Make sure that all packages are there and return the Python of the venv; quick if they are."""
    if missing := missing_packages():
        install(missing)
    return ensure_venv(hven_home() / "venv")


def ensure_astrometry() -> None:
    """Make sure that astrometry.net is there with the Tycho-2 stars; quick if it is.

    Raises
    ------
    PackagesMissing
    """
    if missing := missing_of(ASTROMETRY_PACKAGES):
        install(missing, lambda: missing_of(ASTROMETRY_PACKAGES))


def missing_of(packages: Mapping[str, Path]) -> list[str]:
    """Return the packages one file of which is missing."""
    return [package for package, file in packages.items() if not file.exists()]


def missing_packages() -> list[str]:
    """Return the Debian packages that this machine lacks, judged by one file of each.

    A machine that works with an existing server needs none of the server's. Where an installation was
    interrupted all may lack their configuration, whatever files are there.
    """
    if NO_MAIN_CLUSTER.exists():
        return ["python3-venv", *SERVER_PACKAGES, PGSPHERE_PACKAGE]
    missing = [] if importlib.util.find_spec("ensurepip") else ["python3-venv"]
    if uses_existing_server():
        return missing
    missing += missing_of(SERVER_PACKAGES)
    if pgsphere_version(PGSPHERE_CONTROL) < PGSPHERE_LEAST:
        missing.append(PGSPHERE_PACKAGE)
    return missing


def pgsphere_version(control: Path) -> tuple[int, ...]:
    """Return the version of pgSphere in an extension's control file; (0,) if there is no such file."""
    if not control.exists():
        return (0,)
    found = re.search(r"^default_version\s*=\s*'([\d.]+)'", control.read_text(), re.MULTILINE)
    return tuple(int(part) for part in found[1].split(".")) if found else (0,)


def install_script(missing: list[str]) -> str:
    """Return the shell script that installs packages: run here, or shown to who has the rights.

    `create_main_cluster` is switched off meanwhile: the private cluster is the only one that we need.
    """
    wanted = [f"{name}/{SUITE}-backports" if name == PGSPHERE_PACKAGE else name for name in missing]
    lines = ["umask 022", "export DEBIAN_FRONTEND=noninteractive"]
    if PGSPHERE_PACKAGE in missing:
        try:
            stanza = backports(read_sources(Path("/etc/apt")), SUITE)
        except LookupError as error:
            problem = f"{PGSPHERE_PACKAGE} is missing and {error.args[0]} is known here"
            remedy = f"name a Debian mirror that holds {SUITE} in /etc/apt/sources.list"
            raise PackagesMissing(problem, remedy) from error
        lines += [f"printf %s {shlex.quote(stanza)} > {BACKPORTS}"] if stanza else []
    lines += [
        f"mkdir -p {NO_MAIN_CLUSTER.parent}",
        f"echo 'create_main_cluster = false' > {NO_MAIN_CLUSTER}",
        "dpkg --configure -a  # goes on with an interrupted installation",
        "apt-get -q update || true  # another source may be out of reach",
        "apt-get -q -y --no-install-recommends install"
        f" -o DPkg::Lock::Timeout=300 {' '.join(wanted)}",
        f"rm {NO_MAIN_CLUSTER}",
    ]
    return "\n".join(lines)


def install(missing: list[str], still: Callable[[], list[str]] = missing_packages) -> None:
    """Install Debian packages as root or with sudo; `still` says which are missing afterwards.

    Raises
    ------
    PackagesMissing
        No rights, no apt-get, or apt-get failed; the message holds the list and the commands.
    """
    script = install_script(missing)
    remedy = f"run as root:\n\n{script}\n\n# and repeat the command"
    if not shutil.which("apt-get"):
        raise PackagesMissing(f"no apt-get here, and missing are {', '.join(missing)}", remedy)
    rights = _rights()
    if rights is None:
        raise PackagesMissing(f"neither root nor sudo, and missing are {', '.join(missing)}", remedy)
    say(f"installing Debian packages: {', '.join(missing)}")
    done = watched([*rights, "sh", "-ec", script], ("Setting up",))
    importlib.invalidate_caches()
    if not done or (left := still()):
        raise PackagesMissing(f"apt-get could not install {', '.join(left if done else missing)}", remedy)


def ensure_venv(venv: Path) -> Path:
    """Return the Python of a venv that holds the locked packages; make or update it if it does not.

    A stamp is written last. Without the right one the venv is made anew, because an interrupted pip leaves
    packages that look complete; pip's cache makes that quick.
    """
    python, stamp = venv / "bin/python3", venv / "hven.stamp"
    wanted = f"{sys.version_info[:2]} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    if _reads(stamp, wanted):
        return python
    os.umask(0o022)  # the server's user reads the venv
    try:
        venv.parent.mkdir(parents=True, exist_ok=True)
        with (venv.parent / "venv.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _reads(stamp, wanted):  # another process may have made it meanwhile
                _make_venv(venv)
                stamp.write_text(wanted)
    except OSError as error:
        problem = f"cannot make the virtual environment {venv} ({error.strerror}: {error.filename})"
        remedy = "make room or give access there, or set HVEN_HOME to another folder"
        raise VenvFailed(problem, remedy) from error
    return python


def say(text: str) -> None:
    """Tell the reader what takes so long, on stderr: stdout belongs to the command."""
    print(f"hven: {text}", file=sys.stderr, flush=True)


def _reads(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text() == wanted


def watched(command: list[str], milestones: tuple[str, ...]) -> bool:
    """Run a command and return whether it succeeded.

    Of its output every tenth line that begins with one of `milestones` is shown, and all if it fails.
    """
    lines: list[str] = []
    passed = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            passed += line.startswith(milestones)
            if line.startswith(milestones) and passed % 10 == 0:
                say(f"{passed}: {line.split(' (')[0].strip().rpartition('/')[2]}")
    if process.returncode:
        sys.stderr.write("".join(lines))
    return process.returncode == 0


def _make_venv(venv: Path) -> None:
    total = len(re.findall(r"^[\w.-]+==", LOCK.read_text(), re.MULTILINE))
    say(f"making the virtual environment {venv} with {total} packages")
    if not watched([PYTHON, "-m", "venv", "--clear", str(venv)], ("Error",)):
        raise VenvFailed(f"the virtual environment {venv} could not be made", "mend what is said above, and repeat")
    pip = [str(venv / "bin/python3"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--progress-bar", "off"]
    if not watched([*pip, *options, "-r", str(LOCK)], ("Collecting", "Processing", "Installing")):
        raise VenvFailed(
            f"pip could not install {LOCK.name}",
            "see above whether the package index was out of reach, and repeat",
        )


def _rights() -> list[str] | None:
    """Return the words that give a command root's rights, or None."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    if sys.stdin.isatty():
        return ["sudo"]
    able = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    return ["sudo", "-n"] if able else None
