"""What docs/level3.md tells users to say works."""

import re
from contextlib import closing
from pathlib import Path

from federation import foreign, spaces
from federation.cli.level3 import level3
from federation.importing import import_file
from federation.sessions import as_user
from tests.federation.conftest import login

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "level3.md").read_text()


def test_each_verb_is_there_and_each_is_told_of():
    told = set(re.findall(r"\./hven level3\s+([a-z]+)", TEXT))
    known = set(level3.list_commands(None))
    assert told - known == set()
    assert known - told == set()


def test_its_sql_runs(release, tmp_path):
    (tmp_path / "clusters.csv").write_text("ra,dec\n150,-2\n")
    with as_user(release, "alice") as session:
        import_file(session, tmp_path / "clusters.csv", "my_clusters")
    spaces.create_group("lensing", ["alice", "bob"])
    foreign.federate(release, "level1")
    with closing(login("alice")) as session, session, session.cursor() as cursor:
        for block in re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL):
            for statement in filter(str.strip, re.sub(r"--.*", "", block).split(";")):
                cursor.execute(statement.replace("dr2.", f"{release}."))
    spaces.create_group("lensing", [])
