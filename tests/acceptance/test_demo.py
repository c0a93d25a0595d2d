"""`hven demo` ends well, and what it suggests to ask next has answers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def hven(*words):
    command = [sys.executable, ROOT / "hven", *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)


@pytest.fixture(scope="module")
def said(cluster):
    ran = hven("demo")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_it_tells_what_happened(said):
    found = re.search(r"24 Visits: (\d+) DiaSources associated, (\d+) Alerts", said)
    assert min(map(int, found.groups())) > 100


def test_it_writes_the_pages_that_it_names(said):
    pages = re.findall(r"^  (/\S+\.html)$", said, re.MULTILINE)
    assert [Path(page).name.partition("-")[0] for page in pages] == ["report", "object"]
    assert all("</html>" in Path(page).read_text() for page in pages)


def test_each_query_that_it_suggests_has_rows(said):
    suggested = re.findall(r'\./hven sql (\S+) -c "(.+)"', said)
    assert len(suggested) == 3
    for database, query in suggested:
        ran = hven("sql", database, "-At", "-c", query)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.strip()
