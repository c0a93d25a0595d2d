"""What the documents promise is there: verbs, tables, queries, links, decisions."""

import importlib
import re
from pathlib import Path

import pytest

from db import databases
from db.pages import ldm
from db.schema.views import COMPUTED

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SKY = (ROOT / "docs" / "sky.md").read_text()
MADE = {"roles.md"}  # from data that has tests of its own
DOCUMENTS = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.name not in MADE)
ROOMS = ("db", "migrations", "udf", "pipelines", "federation", "tests")


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_quickstart_is_two_commands():
    assert blocks("sh")[0].split("\n") == ["./hven demo", "./hven test", ""]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_verbs_exist(path):
    known = {verb for room in ROOMS for verb in importlib.import_module(room).commands}
    assert set(re.findall(r"\./hven ([a-z0-9]+)", path.read_text())) - known == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text())
    assert [one for one in targets if not one.startswith("http") and not (path.parent / one).exists()] == []


@pytest.mark.parametrize("query", blocks("sql") + blocks("sql", SKY))
def test_queries_of_the_documents_run(connection, query):
    with connection.cursor() as cursor:
        cursor.execute(query)


@pytest.mark.parametrize(("name", "arguments"), re.findall(r"^\| `(\w+)\((.*?)\)` \|", SKY, re.MULTILINE))
def test_functions_on_the_sky_have_the_arguments_that_are_documented(connection, name, arguments):
    with connection.cursor() as cursor:
        cursor.execute("SELECT proargnames[:pronargs] FROM pg_proc WHERE pronamespace = 'hven'::regnamespace"
                       " AND proname = %s", [name])
        assert (arguments.split(", "),) in cursor.fetchall()


def test_python_of_the_readme_runs(shared_database):
    names = {}
    exec(blocks("python")[0].replace('"level1"', repr(shared_database)), names)  # noqa: S102
    assert names["table"].columns["ra"].unit == "deg"


def test_the_table_of_tables_is_complete():
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", README, re.MULTILINE))))
    tables = {table.name for table in databases.layout("level1").tables().sorted_tables if table.schema == "level1"}
    assert listed == tables | set(COMPUTED)


def test_decisions_have_context_decision_and_consequences():
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in records]
    assert len(records) > 20
    assert len(set(numbers)) == len(numbers)
    for path in records:
        parts = re.findall(r"^(?:# |\*\*(\w+)\.\*\*)", path.read_text(), re.MULTILINE)
        assert parts == ["", "Context", "Decision", "Consequences"], path.name


def test_lines_of_the_seed_that_were_open_have_their_decision():
    open_ = {line.reference for line in ldm.lines() if "TBD" in line.contents}
    assert open_ == set(ldm.DECISIONS)
    assert [one for one in ldm.DECISIONS.values() if not (ROOT / "docs/decisions" / f"{one}.md").exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_lines_are_readable_in_a_terminal(path):
    prose = (line for line in path.read_text().splitlines() if not line.startswith(("|", "![")))
    assert [line for line in prose if len(line) > 120] == []


def test_licence_names_the_one_that_the_package_does():
    assert "BSD 3-Clause" in (ROOT / "LICENSE").read_text()
