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


def test_version_names_version_and_commit():
    assert hven("--version").stdout.startswith("Hven 0.")


def test_an_interrupted_command_says_130():
    code = (
        "import runpy, click, sys; sys.argv = ['hven', 'status'];"
        "import db.cli.server as s;"
        "s.status = lambda _: (_ for _ in ()).throw(KeyboardInterrupt);"
        "runpy.run_path('hven', run_name='__main__')"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 130


def test_logs_show_the_end_of_the_servers_log(tmp_path):
    (tmp_path / "server.log").write_text("first\nsecond\n")
    assert hven("logs", "-n", "1", HVEN_HOME=str(tmp_path)).stdout == "second\n"


def test_a_home_that_is_a_file_is_named(tmp_path):
    (tmp_path / "home").write_text("")
    done = hven("up", HVEN_HOME=str(tmp_path / "home"))
    assert done.returncode == 3
    assert f"Remedy: set HVEN_HOME to a folder: {tmp_path}/home is something else" in done.stderr


def test_without_a_server_status_and_sql_say_what_starts_it(tmp_path):
    (tmp_path / "home").mkdir()
    home = {"HVEN_HOME": str(tmp_path / "home")}
    assert hven("status", **home).stdout.startswith("the server does not run; `hven up` starts it\nhome ")
    for database in ("level1", "hub"):
        done = hven("sql", database, "-c", "SELECT 1", **home)
        assert (done.returncode, "Remedy: `hven up`" in done.stderr) == (3, True)


def test_error_is_a_message_with_its_status(tmp_path):
    (tmp_path / "cluster").mkdir()
    done = hven("up", HVEN_HOME=str(tmp_path))
    assert done.returncode == 3
    assert done.stderr.startswith("hven: ")
    assert "Traceback" not in done.stderr
