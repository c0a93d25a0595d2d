"""Errors that users meet."""

import importlib
import pkgutil

import pytest

from db.errors import HvenError

ROOMS = ("db", "migrations", "federation")


def kinds(parent: type = HvenError) -> list[type]:
    return [kind for child in parent.__subclasses__() for kind in (child, *kinds(child))]


@pytest.fixture(scope="module")
def ours() -> list[type]:
    """Every error of these rooms, less those that are a kind of another one of them."""
    for room in map(importlib.import_module, ROOMS):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            if not module.name.startswith(("migrations.versions", "migrations.env")):
                importlib.import_module(module.name)
    return [kind for kind in HvenError.__subclasses__() if kind.__module__.partition(".")[0] in ROOMS]


def test_each_error_has_an_exit_status_of_its_own(ours):
    statuses = {}
    for kind in ours:
        statuses.setdefault(kind.exit_status, []).append(kind.__name__)
    assert {status: names for status, names in statuses.items() if len(names) > 1} == {}
    assert not {0, 1, 2, 130} & statuses.keys()  # success, anything, a usage error, an interruption


def test_a_message_holds_problem_and_remedy():
    assert str(HvenError("loader: got 3, allowed are 1 and 2", "give 1")) == (
        "loader: got 3, allowed are 1 and 2. Remedy: give 1."
    )
