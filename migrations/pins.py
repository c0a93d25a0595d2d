"""The functions that each revision goes with, by their checksums: `python -m migrations.pins` pins the newest.

A pin says which functions were made for a revision, so that a database restored at that revision can be told
from one whose functions were changed by hand.
"""

import json
from pathlib import Path

from migrations.script import VERSIONS
from udf import deploy

BRANCHES = ("science", "hub")


def place(branch: str) -> Path:
    """Return the file of pins of a branch."""
    return VERSIONS / branch / "functions.json"


def pinned(branch: str) -> dict[str, dict[str, str]]:
    """Return revision → function file → sha256, for every revision of a branch that has been pinned."""
    return json.loads(place(branch).read_text())


def of_tree(branch: str) -> dict[str, str]:
    """Return function file → sha256 for what the tree would deploy into databases of a branch."""
    kinds = {"hub"} if branch == "hub" else {"level1", "release"}
    return {name: file.sha256 for name, file in sorted(deploy.read().items()) if kinds & set(file.databases)}


def pin(branch: str, revision: str) -> None:
    """Pin the tree's functions to a revision."""
    pins = pinned(branch) if place(branch).exists() else {}
    place(branch).write_text(json.dumps(pins | {revision: of_tree(branch)}, indent=1) + "\n")


if __name__ == "__main__":
    from migrations.upgrade import head

    for branch in BRANCHES:
        pin(branch, head(branch))
