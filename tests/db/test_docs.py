"""`hven docs`: pages made from the live databases, and refused where these are not what the models ask for."""

import re
from contextlib import closing
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from db import databases, schema
from db.cli.docs import docs
from db.connect import connect, engine
from db.pages import diagram, document, ldm, live, site

DRIFT = {
    "ALTER TABLE level1.object ADD extra integer": "level1.object: columns extra is there, and the models",
    "ALTER TABLE level1.object ALTER ra DROP NOT NULL": "level1.object: columns ra nullable is True, should be False",
    "ALTER TABLE level1.object DROP CONSTRAINT object_position_check":
        "level1.object: constraints object_position_check is missing",
    "DROP INDEX level1.dia_source_healpix29_idx": "level1.dia_source: indexes dia_source_healpix29_idx is missing",
    "COMMENT ON COLUMN level1.object.ra IS 'Right ascension (FK5)'": "level1.object: columns ra comment is 'Right",
    "COMMENT ON CONSTRAINT object_position_check ON level1.object IS NULL":
        "level1.object: constraints object_position_check comment is None",
    "COMMENT ON SCHEMA level1 IS 'Mine'": "level1: comment is 'Mine', should be 'The catalogue",
    "COMMENT ON COLUMN level1.object_wide.g_chi2 IS 'Mine'": "level1.object_wide: columns g_chi2 comment is 'Mine'",
    "CREATE TABLE level1.mine (x integer)": "level1.mine: is there, and the models have no such thing",
    "DROP TABLE level1.object_photoz CASCADE": "level1.object_photoz: is missing",
    "UPDATE tap_schema.columns SET unit = 'rad' WHERE table_name = 'level1.object' AND column_name = 'ra'":
        "tap_schema.columns level1.object.ra: unit is 'rad', should be 'deg'",
    "COMMENT ON FUNCTION hven.unpack_visit_id(bigint) IS NULL": "function hven.unpack_visit_id: has no COMMENT",
}
"""Change by hand → the beginning of what is said of it."""


@pytest.fixture(scope="module")
def pages(hub, tmp_path_factory):
    out = tmp_path_factory.mktemp("pages")
    done = CliRunner().invoke(docs, ["--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    return {path.name: path.read_text() for path in out.iterdir()}


@pytest.fixture(scope="module")
def level1(shared_database):
    with engine(shared_database).connect() as connection:
        return site.read(connection, databases.layout(shared_database), "level1")


def test_there_is_a_page_for_each_database_and_for_the_seed(pages):
    assert set(pages) == {"index.html", "hub.html", "level1.html", "release.html", "ldm-151.html", "functions.html"}


def test_check_writes_nothing(hub, tmp_path):
    done = CliRunner().invoke(docs, ["hub", "--check", "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert "hub: as the models ask for" in done.output
    assert not (tmp_path / "out").exists()


def test_pages_need_no_network(pages):
    loads = re.compile(r"""(?:src|href)=["']?(?!#|[a-z0-9-]+\.html)[^"'> ]+|url\(|@import|fetch\(|https?:""")
    assert [(name, found) for name, text in pages.items() for found in loads.findall(text)] == []


def test_every_link_leads_somewhere(pages):
    places = {f"{name}#{place}" for name, text in pages.items() for place in re.findall(r' id="([^"]+)"', text)}
    places |= set(pages)
    wrong = []
    for name, text in pages.items():
        for target in re.findall(r'href="([^"]+)"', text):
            page, _, place = target.partition("#")
            if f"{page or name}{'#' if place else ''}{_unquoted(place)}" not in places:
                wrong.append((name, target))
    assert wrong == []


def _unquoted(place):
    from html import unescape
    from urllib.parse import unquote

    return unescape(unquote(place)).replace("'", "&#39;")


def test_every_column_of_the_models_is_shown(pages):
    for name, database in (("hub", "hub"), ("level1", "level1"), ("release", "release_template")):
        for table in databases.layout(database).tables().sorted_tables:
            for column in table.columns:
                assert f'id="{table.fullname}.{column.name}"' in pages[f"{name}.html"]


def test_every_line_of_the_seed_is_answered(pages, level1):
    assert site.unanswered(level1) == []
    assert pages["ldm-151.html"].count('class="tick"') == len(list(ldm.lines())) == 62


def test_a_line_without_an_answer_is_told(level1):
    level1 = site.Database("level1", "level1", "level1", "", {}, [])
    assert "LDM-151 T4:Measured ellipse: nothing answers it" in site.unanswered(level1)


def test_checks_are_told_in_words(pages):
    assert "At most one of object_id and moving_object_id is set" in pages["level1.html"]


def test_the_diagram_is_well_formed_and_shows_every_table_of_the_catalogue(pages):
    svg = ElementTree.fromstring(re.search(r"<svg.*?</svg>", pages["level1.html"], re.DOTALL)[0])
    shown = {link.get("href") for link in svg.iter("a")}
    assert shown >= {f"#{table.fullname}" for table in databases.layout("level1").tables().sorted_tables
                     if table.schema == "level1"}


def test_the_diagram_links_as_figure_2_does(level1):
    boxes, edges, _, _ = diagram.draw("level1", level1.relations, level1.links, level1.families())
    joined = {(edge.child.title, edge.parent.title) for edge in edges}
    measurements = ("source", "dia_source", "forced_source")
    assert joined >= {(one, other) for one in measurements for other in ("object", "moving_object", "exposure")}


def test_boxes_of_the_diagram_do_not_overlap(level1):
    boxes, _, width, height = diagram.draw("level1", level1.relations, level1.links, level1.families())
    for box in boxes:
        assert 0 <= box.x <= width - diagram.WIDTH
        assert 0 <= box.y <= height - box.height
        below = [other for other in boxes if other.column == box.column and other.y > box.y]
        assert all(other.y > box.y + box.height for other in below)


def test_every_family_of_the_catalogue_has_a_place_in_the_diagram(level1):
    placed = {table for box in diagram.draw("level1", level1.relations, level1.links, level1.families())[0]
              for table in box.tables}
    assert {name for name in level1.relations if name.startswith("level1.")} - placed == {
        name for name, facts in level1.relations.items() if facts["kind"] == "view"
    }


def test_families_hold_every_table():
    modules = schema.FAMILIES.values()
    assert {table for module in modules for table in site._tables(module)} == set(schema.metadata.sorted_tables)


@pytest.mark.parametrize("change", DRIFT)
def test_a_difference_from_the_models_is_told(shared_database, change):
    with engine(shared_database).connect() as connection:
        connection.exec_driver_sql(change)
        told = live.differences(connection, databases.layout(shared_database))
        connection.rollback()
    assert [one for one in told if one.startswith(DRIFT[change])]


def test_comparing_leaves_nothing_behind(shared_database):
    layout = databases.layout(shared_database)
    with engine(shared_database).connect() as connection:
        assert live.differences(connection, layout) == []
        assert live.differences(connection, layout) == []


def test_docs_refuses_a_database_that_differs(hub, database, tmp_path):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute("ALTER TABLE level1.object ADD extra integer")
        cursor.execute("COMMENT ON COLUMN level1.object.ra IS 'Mine'")
    done = CliRunner().invoke(docs, [database, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, document.DatabaseDiffers)
    assert done.exception.exit_status == 14
    assert "docs: 2 differences from the models" in str(done.exception)
    assert f"{database}: level1.object: columns ra comment is 'Mine'" in str(done.exception)
    assert f"{database}: level1.object: columns extra is there" in str(done.exception)
    assert not (tmp_path / "out").exists()
