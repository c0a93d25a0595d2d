"""A venv for peers that Hven itself does not need, made when a benchmark asks for it."""

import hashlib
import os
import subprocess
from pathlib import Path

from db.bootstrap import CHECKOUT, PYTHON
from db.settings import hven_home

LOCK = CHECKOUT / "requirements-bench.lock"
PEERS = "HVEN_PEERS"
"""Variable that names the folder of the venv, where it should outlive `$HVEN_HOME`."""


class PeerMissing(Exception):
    """A peer can't be installed here; the text says why."""


def peer_python() -> Path:
    """Return the Python of a venv that holds what `requirements-bench.lock` names."""
    venv = Path(os.environ.get(PEERS) or hven_home()) / "venv-bench"
    python, stamp = venv / "bin/python3", venv / "hven.stamp"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == wanted):
        _run(PYTHON, "-m", "venv", "--clear", str(venv))
        _run(str(python), "-m", "pip", "-q", "--no-input", "install", "--no-deps", "--require-hashes",
             "--only-binary", ":all:", "--no-binary", "comet,sfft", "-r", str(LOCK))
        stamp.write_text(wanted)
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PeerMissing(f"the peers of {LOCK.name} can't be installed: {said[-1] if said else done.returncode}")
