"""How spaces end and move, and products that are no tables."""

from contextlib import closing
from datetime import date

import pytest
from astropy.table import Table

from db.connect import connect
from federation import closing as ends
from federation import spaces
from federation.errors import Level3Error
from federation.importing import import_file
from federation.products import fetch_file, register_file
from federation.sessions import as_user
from federation.spaces import Terms
from tests.federation.conftest import MB, login, outcome


@pytest.fixture
def stars(release, tmp_path):
    """Alice's table of two stars."""
    (tmp_path / "in.csv").write_text("ra,dec,name\n10,20,A\n11,21,B\n")
    with as_user(release, "alice") as session:
        import_file(session, tmp_path / "in.csv", "stars")
    return "stars"


def test_a_closed_space_leaves_its_tables_as_files(stars, release):
    folder = ends.archive_folder("alice", release)
    assert ends.close("alice", release, archived=True) == f"space in {release} closed, 1 tables archived in {folder}"
    assert list(Table.read(folder / "stars.parquet")["name"]) == ["A", "B"]
    with closing(connect(release)) as session:
        assert outcome(session, "SELECT to_regnamespace('user_alice')::text") == [(None,)]
        assert outcome(session, "SELECT 1 FROM pg_roles WHERE rolname = 'hven_job_alice'") == []
        assert outcome(session, "SELECT what FROM level3.grant_record WHERE login = 'alice' ORDER BY 1 LIMIT 1") == [
            ("close",)
        ]
    with pytest.raises(Level3Error, match="alice has no space in"):
        spaces.space(release, "alice")


def test_spaces_end_on_their_day_as_their_terms_say(stars, release):
    assert list(ends.expire_due(release)) == []
    spaces.set_terms("alice", release, "expire", Terms(20 * MB, date.today(), "drop", "the thesis is done", None))
    assert list(ends.expire_due(release)) == [("alice", f"space in {release} closed, tables dropped")]


def test_a_user_moves_to_another_release(stars, release):
    lines = list(ends.move("alice", release, "level1"))
    assert lines[0] == "stars: 2 rows in level1"
    try:
        with closing(login("alice", "level1_a")) as session, session.cursor() as cursor:
            cursor.execute("SELECT level3.use_names()")
            cursor.execute("SELECT name, ra, healpix29 IS NOT NULL FROM stars ORDER BY name")
            assert cursor.fetchall() == [("A", 10, True), ("B", 11, True)]
        assert spaces.space("level1", "alice").quota == 20 * MB
        with pytest.raises(Level3Error, match="alice is in dr41 already"):
            list(ends.move("alice", release, release))
    finally:
        ends.close("alice", "level1", archived=False)


def test_a_map_is_a_product_under_quota_and_access(release, tmp_path):
    (tmp_path / "map.fits").write_bytes(b"x" * MB)
    register_file(release, "alice", tmp_path / "map.fits", "kappa", "Convergence")
    assert spaces.space(release, "alice").used >= MB
    with pytest.raises(Level3Error, match="bob may read no file kappa of alice"):
        fetch_file(release, "bob", "alice", "kappa", tmp_path / "out.fits")
    spaces.share("alice", release, "kappa", "group", ["bob"], None)
    fetch_file(release, "bob", "alice", "kappa", tmp_path / "out.fits")
    assert (tmp_path / "out.fits").read_bytes() == b"x" * MB
    (tmp_path / "map.fits").write_bytes(b"y" * 20 * MB)
    with pytest.raises(Level3Error, match="allowed to alice are"):
        register_file(release, "alice", tmp_path / "map.fits", "too_large")
