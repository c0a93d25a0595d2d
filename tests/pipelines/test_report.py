"""Pages to look at: the report of a night and the page of an Object."""

from contextlib import closing

import pytest
from lxml import html

from db.connect import connect
from db.files import FileStore
from pipelines.report import cell
from pipelines.report.nightly import ReportError, last_night, nightly_report
from pipelines.report.object_page import ShowError, object_page
from tests.conftest import clone
from tests.udf.night import Night

SLOW_VISIT = """
UPDATE level1.alert AS a SET selected_tai = v.shutter_close_tai + (20 + 10 * (v.sequence %% 5)) / 86400.0
FROM level1.visit AS v WHERE v.visit_id = a.visit_id;
INSERT INTO level1.sdqa_measurement (metric, subject_id, value, verdict)
SELECT 'visit.detectors', visit_id, 0.5, 'fail' FROM level1.visit;
INSERT INTO level1.exposure (exposure_id, visit_id, detector_id, snap, kind, filter_id, midpoint_tai, exposure_time,
                             psf_fwhm, zeropoint)
SELECT hven.pack_exposure_id(visit_id, 0, 0, 1), visit_id, 0, 0, 'calibrated', filter_id, midpoint_tai, 30, 0.8, 28
FROM level1.visit
"""


@pytest.fixture(scope="module")
def session(template):
    with clone(template, "level1_report"), closing(connect("level1_report")) as session:
        night = Night(session)
        night.begin()
        night.add_exposures(6)
        for index in range(6):
            night.predict(index)
            night.run(index)
            night.alerts(index)
        night.do(SLOW_VISIT)
        night.do("SET ROLE hven_scientist")
        yield session


@pytest.fixture(scope="module")
def page(session):
    return html.fromstring(nightly_report(session, last_night(session)))


def ask(session, query):
    with session.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def answers(page):
    """Return the SQL and the text of the cells of each part of a page."""
    for sql in page.xpath("//pre[@data-sql]"):
        shown = page.xpath("//*[@data-answer=$name]", name=sql.get("data-sql"))
        yield sql, [text.text_content() for part in shown for text in part.xpath(".//td | .//dd")]


def test_the_sql_beside_each_number_gives_it(session, page):
    numbers = 0
    for sql, shown in answers(page):
        given = [cell(value) for row in ask(session, sql.text) for value in row]
        assert shown == given, sql.get("data-sql")
        numbers += len(given)
    assert numbers > 150


def test_latency_is_told_and_drawn(page):
    names, values = (page.xpath(f"//dl[@data-answer='latency']//{part}/text()") for part in ("dt", "dd"))
    told = dict(zip(names, values, strict=True))
    assert 20 <= float(told["p50 s"]) <= 60
    assert page.xpath("//section[@id='latencies']//*[local-name()='svg']")


def test_each_failed_metric_leads_to_its_rows(page):
    links = page.xpath("//table[@data-answer='worst']//a/@href")
    assert links == ["#failing-visit.detectors"]
    assert len(page.xpath("//tr[@id=$name]", name=links[0][1:])) == 1


def test_page_needs_no_network(page):
    assert not [address for address in page.xpath("//@src | //link/@href") if not address.startswith("data:")]
    assert "http" not in "".join(page.xpath("//style/text() | //script/text()"))


def test_night_without_visits_is_refused(session):
    with pytest.raises(ReportError, match=r"no Visit of night 7\. Remedy: known are \d+"):
        nightly_report(session, 7)


@pytest.fixture(scope="module")
def shown(session, tmp_path_factory):
    most = "SELECT object_id, name FROM object_wide ORDER BY dia_sources DESC, object_id LIMIT 1"
    ((object_id, name),) = ask(session, most)
    store = FileStore(tmp_path_factory.mktemp("files"))
    return object_id, name, html.fromstring(object_page(session, store, name)), store


def test_object_is_found_by_name_and_shows_its_light_curve(session, shown):
    object_id, name, page, _ = shown
    assert page.xpath("string(//h1)") == name
    rows = page.xpath("//table[@data-answer='difference']/tbody/tr")
    assert len(rows) == len(ask(session, f"SELECT FROM hven.light_curve({object_id})"))
    assert page.xpath("//section[@id='difference']//*[local-name()='svg']")


def test_the_sql_of_an_object_gives_its_tables(session, shown):
    for sql, cells in answers(shown[2]):
        given = [cell(value) for row in ask(session, sql.text) for value in row]
        assert cells == (given if sql.get("data-sql") != "object" else [value for value in given if value != "–"])


def test_moving_object_is_shown_with_its_predictions(session, shown):
    moving_object_id, predicted = ask(
        session, "SELECT moving_object_id, count(*) FROM predicted_position GROUP BY 1 ORDER BY 2 DESC LIMIT 1"
    )[0]
    page = html.fromstring(object_page(session, shown[3], str(moving_object_id)))
    assert len(page.xpath("//table[@data-answer='predicted']/tbody/tr")) == predicted


def test_unknown_object_is_refused(session, shown):
    with pytest.raises(ShowError, match="no Object and no MovingObject is 'Tycho'"):
        object_page(session, shown[3], "Tycho")
