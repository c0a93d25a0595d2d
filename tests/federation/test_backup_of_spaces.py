"""A database with users' spaces and foreign schemas comes back from its backup with both at work."""

from contextlib import closing

import pytest

from db.backup import back_up
from db.connect import connect
from db.restore import restore
from federation import foreign
from federation.importing import import_file
from federation.sessions import as_user
from tests.federation.conftest import login, outcome

AGAIN = "again41"


@pytest.fixture
def restored(release, tmp_path):
    """The release restored under another name, with alice's table `mine`, shared with bob."""
    (tmp_path / "in.csv").write_text("ra,dec,n\n150,-2,1\n151,-2,\n")
    with as_user(release, "alice") as session, session.cursor() as cursor:
        import_file(session, tmp_path / "in.csv", "mine")
        cursor.execute("SELECT level3.share('mine', 'group', ARRAY['bob'])")
    foreign.federate(release, "level1")
    back_up(tmp_path / "saved", [release], lambda _: None)
    restore(tmp_path / "saved", [release], lambda _: None, name=AGAIN)
    yield AGAIN
    with closing(connect("postgres")) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute(f"DROP DATABASE {AGAIN} (FORCE)")


def test_spaces_come_back_with_names_rights_and_quota(restored):
    with closing(login("alice", restored)) as session:
        ((relation,),) = outcome(session, "SELECT relation FROM level3.tables WHERE name = 'mine'")
        assert outcome(session, f"SELECT count(*), count(n) FROM {relation}") == [(2, 1)]
        assert outcome(session, "SELECT used > 0 FROM level3.usage()") == [(True,)]
        big = "CREATE TABLE big AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 60000) i"
        assert outcome(session, big) == "VN050"
        assert outcome(session, "SELECT count(*) FROM level1.visit") == [(0,)]
    with closing(login("bob", restored)) as session:
        assert outcome(session, "SELECT count(*) FROM user_alice.mine") == [(2,)]
        assert outcome(session, f"SELECT count(*) FROM {relation}") == "42501"
