"""The executable."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("db", "migrations", "udf", "pipelines", "federation", "tests")
VERBS = {
    verb: place
    for room in ROOMS
    if (ROOT / room / "__init__.py").exists()
    for verb, place in getattr(importlib.import_module(room), "commands", {}).items()
}


def hven(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "hven"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_help_lists_every_verb():
    lines = hven("--help").stdout.partition("Commands:")[2].splitlines()
    assert {line.split()[0] for line in lines if line} == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_verb_has_a_summary_and_help_for_its_options(verb):
    module, _, attribute = VERBS[verb].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert command.get_short_help_str()
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_no_verb_loads_what_is_slow_before_it_is_used():
    slow = "'numpy', 'sqlalchemy', 'alembic', 'scipy', 'pandas', 'astropy', 'numba', 'pyarrow'"
    modules = ", ".join({place.partition(":")[0] for place in VERBS.values()})
    code = f"import sys, {modules}; print(sorted({{{slow}}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_unknown_verb_is_a_usage_error():
    done = hven("observe")
    assert done.returncode == 2
    assert "No such command 'observe'" in done.stderr


def test_error_is_a_message_with_its_status(tmp_path):
    (tmp_path / "cluster").mkdir()
    done = hven("up", HVEN_HOME=str(tmp_path))
    assert done.returncode == 3
    assert done.stderr.startswith("hven: ")
    assert "Traceback" not in done.stderr
