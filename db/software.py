"""What software this is: version, commit and lock file, by which a product can be made again bit for bit."""

import hashlib
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache

from db.databases import ROOT

CODE = ("pipelines",)  # folders that a product's bits depend on
LOCK = ROOT / "requirements.lock"


@dataclass(frozen=True)
class Software:
    """A version of Hven.

    Parameters
    ----------
    software_version : str
        Of the project.
    software_commit : str or None
        Of the checkout, followed by `-changed` if files were changed since; None without git.
    lock_sha256 : str
        Of the lock file, which names every dependency's version.
    """

    software_version: str
    software_commit: str | None
    lock_sha256: str

    def __str__(self) -> str:
        return f"Hven {self.software_version}, commit {self.software_commit}, lock file {self.lock_sha256[:12]}"


@cache
def software() -> Software:
    """Return what software runs here."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    commit = _git("rev-parse", "HEAD")
    if commit and _git("status", "--porcelain", "--", *CODE):
        commit += "-changed"
    return Software(version, commit, hashlib.sha256(LOCK.read_bytes()).hexdigest())


def makes_the_same(made_by: Software) -> bool:
    """Return whether the software here gives the same bits: the same lock file, and the same code of the pipelines."""
    here = software()
    if made_by.lock_sha256 != here.lock_sha256:
        return False
    if made_by == here:
        return True
    trees = [_trees(one.software_commit) for one in (made_by, here)]
    return trees[0] is not None and trees[0] == trees[1]


def _trees(commit: str | None) -> str | None:
    """Return what git knows the code of a commit by; None where it can't tell."""
    return _git("rev-parse", *(f"{commit}:{folder}" for folder in CODE)) if commit else None


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
