"""Packets say what the rows say, in both encodings, and lie where the archive says."""

import gzip
import io
from contextlib import closing

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from psycopg2.extras import RealDictCursor

from db.connect import connect
from db.files import FileStore
from pipelines.alerts import archive, voevent
from pipelines.alerts import rows as gathered
from tests.conftest import clone
from tests.pipelines import alerted
from tests.pipelines.shared_data import SHARED, needs_data
from tests.udf.night import Night


@pytest.fixture(scope="module")
def visits(template, tmp_path_factory):
    """A night whose first two Visits have been associated, and whose Alerts are archived."""
    store = FileStore(tmp_path_factory.mktemp("store"))
    with clone(template, "level1_packets"), closing(connect("level1_packets")) as session:
        night = Night(session)
        night.begin()
        night.counts = [alerted.alert(night, store, index, rule="visit") for index in (0, 1)]
        night.store = store
        night.archived = [archive.archive_visit(session, store, visit_id) for visit_id, _ in night.counts]
        yield night


@pytest.fixture(scope="module")
def packets(visits):
    """The VOEvents of the second Visit."""
    found = archive.get(visits.session, visits.store, visits.ids[1])
    return [(content, voevent.read(content)) for content in found]


def rows(night, query, *values):
    with night.session.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def test_every_alert_is_archived_and_has_the_next_place(visits):
    assert visits.archived == [count for _, count in visits.counts]
    outbox = visits.rows("SELECT place, state, sent IS NOT NULL FROM level1.outbox ORDER BY place")
    assert outbox == [(n + 1, "sent", True) for n in range(sum(visits.archived))]


def test_there_is_one_file_a_visit(visits):
    assert visits.ask("SELECT count(DISTINCT file_id) FROM level1.alert_packet WHERE encoding = 'voevent'") == 2


def test_archiving_again_changes_nothing(visits):
    assert archive.archive_visit(visits.session, visits.store, visits.ids[0]) == 0


@pytest.mark.parametrize(
    ("group", "query"),
    [
        ("alert", "SELECT * FROM level1.alert WHERE dia_source_id = %s"),
        ("dia_source", "SELECT * FROM level1.dia_source WHERE dia_source_id = %s"),
        ("dia_source_snap_2", "SELECT * FROM level1.dia_source_snap WHERE dia_source_id = %s AND snap = 2"),
        ("object", "SELECT o.* FROM level1.object o JOIN level1.dia_source USING (object_id) WHERE dia_source_id = %s"),
        ("exposure_1", "SELECT e.* FROM level1.exposure e JOIN level1.dia_source USING (exposure_id)"
                       " WHERE dia_source_id = %s"),
        ("visit", "SELECT v.* FROM level1.visit v JOIN level1.dia_source USING (visit_id) WHERE dia_source_id = %s"),
    ],
)  # fmt: skip
def test_packet_and_row_say_the_same(visits, packets, group, query):
    compared = 0
    for _, packet in packets:
        for row in rows(visits, query, packet.groups["alert"]["dia_source_id"]):
            said = packet.groups[group]
            for name in row.keys() - voevent.LEFT_OUT:
                value = " ".join(map(repr, row[name])) if isinstance(row[name], list) else row[name]
                assert said.get(name) == value, name
                compared += value is not None
    assert compared > 300


def test_history_is_the_objects_past(visits, packets):
    found = 0
    for _, packet in packets:
        one = packet.groups["alert"]
        past = rows(visits, "SELECT dia_source_id AS id, psf_flux FROM level1.dia_source WHERE visit_id < %s AND"
                    " coalesce(object_id, moving_object_id) = %s", one["visit_id"],
                    one.get("object_id", one.get("moving_object_id")))  # fmt: skip
        history = packet.tables.get("history", {"id": []})
        assert [row["id"] for row in past] == history["id"]
        assert [row["psf_flux"] for row in past] == history.get("psf_flux", [])
        found += len(past)
    assert found > 20


def test_what_is_older_than_a_years_nights_is_no_history(visits, monkeypatch):
    alerts = rows(visits, "SELECT * FROM level1.alert WHERE visit_id = %s", visits.ids[1])
    assert any(one.history.total for one in gathered.gather(visits.session, alerts))
    monkeypatch.setattr(gathered, "MOST_NIGHTS", 0)
    assert not any(one.history.total for one in gathered.gather(visits.session, alerts))


def test_marks_are_there_and_no_classification(packets):
    for content, packet in packets:
        marks = packet.groups["alert"] | packet.groups["dia_source"]
        assert {"is_moving", "rule", "reliability"} <= marks.keys()
        assert b"<Why" not in content
    assert any(packet.groups["alert"]["is_moving"] for _, packet in packets)


@needs_data("voevents")
def test_packets_satisfy_the_schema_of_voevent(packets):
    from lxml import etree

    schema = etree.XMLSchema(etree.parse(SHARED / "voevents" / "VOEvent-v2.0.xsd"))
    for content, _ in packets:
        schema.assertValid(etree.fromstring(content))


def test_a_packet_has_the_parts_of_a_voevent_in_the_namespace(packets):
    from lxml import etree

    root = etree.fromstring(packets[0][0])
    assert root.tag == f"{{{voevent.NAMESPACE}}}VOEvent"
    assert [child.tag for child in root] == ["Who", "What", "WhereWhen"]
    assert (root.get("version"), root.get("role")) == ("2.0", "test")
    assert packets[0][1].time.startswith("2023-0")


def test_stamps_open_in_astropy_with_the_source_where_the_wcs_says(packets):
    for _, packet in packets[:40]:
        assert set(packet.stamps) == {"difference_1", "difference_2", "template"}
        with fits.open(io.BytesIO(gzip.decompress(packet.stamps["difference_1"]))) as hdus:
            hdus.verify("exception")
            image, header = hdus["IMAGE"].data, hdus["IMAGE"].header
            assert image.shape == hdus["MASK"].data.shape == hdus["VARIANCE"].data.shape == (31, 31)
        seen = packet.groups["dia_source"]
        x, y = WCS(header).all_world2pix(seen["ra"], seen["dec"], 0)
        near = np.hypot(*(np.indices(image.shape) - np.array([y, x])[:, None, None])) < 4
        light = np.where(near, image, 0)
        centroid = (light * np.indices(image.shape)).sum((1, 2)) / light.sum()
        assert np.hypot(*(centroid - (y, x))) < 0.1


def test_avro_says_what_the_voevent_says(visits, packets):
    import fastavro

    content = archive.get(visits.session, visits.store, visits.ids[1], "avro")
    records = list(fastavro.reader(io.BytesIO(b"".join(content))))
    assert [record["ivorn"] for record in records] == [packet.ivorn for _, packet in packets]
    for record, (_, packet) in zip(records, packets, strict=True):
        seen = packet.groups["dia_source"]
        assert (record["diaSource"]["ra"], record["diaSource"]["visit"]) == (seen["ra"], seen["visit_id"])
        assert record["diaSource"]["psfFlux"] == np.float32(seen["psf_flux"])
        assert record["diaSource"]["raErr"] == np.float32(seen["ra_err"] / 3600)
        assert record["cutoutTemplate"] == packet.stamps["template"]
        assert len(record["prvDiaSources"] or ()) == len(packet.tables.get("history", {"id": ()})["id"])


def test_one_avro_packet_is_a_container_of_its_own(visits, packets):
    import fastavro

    wanted = packets[7][1]
    (content,) = archive.get(visits.session, visits.store, wanted.ivorn, "avro")
    (record,) = fastavro.reader(io.BytesIO(content))
    assert record["ivorn"] == wanted.ivorn


def test_avro_is_written_once(visits):
    archive.archive_avro(visits.session, visits.store, visits.ids[0])
    assert archive.archive_avro(visits.session, visits.store, visits.ids[0]) == 0


def test_nothing_archived_is_said(visits):
    with pytest.raises(archive.NoSuchAlert, match=r"no packet of 17 is archived\. Remedy: `hven alerts list`"):
        archive.get(visits.session, visits.store, 17)


@pytest.fixture
def one(visits):
    """The rows of one Alert of the second Visit."""
    from pipelines.alerts.rows import gather

    query = "SELECT * FROM level1.alert WHERE visit_id = %s ORDER BY dia_source_id LIMIT 1"
    alerts = rows(visits, query, visits.ids[1])
    return gather(visits.session, alerts)[0]


STAMPS = dict.fromkeys(("difference_1", "difference_2", "template"), b"gz" * 5000)


def test_an_oversize_history_is_cut_with_a_statement(one):
    from dataclasses import replace

    past = tuple((0, n, 58000.123456789, 1, 150.123456789, -2.1, 1.0, 2.0, 3.5, 0.25, 14.0) for n in range(400))
    content = voevent.write(replace(one, history=voevent.History(past, 1234)), STAMPS)
    assert voevent.LIMIT - voevent.HISTORY_HEAD < len(content) <= voevent.LIMIT
    history = voevent.read(content).tables["history"]["id"]
    assert history == list(range(len(history)))
    assert f"Earlier measurements, the latest first: {len(history)} of 1234; truncated".encode() in content


def test_stamps_that_have_no_room_are_left_out_with_a_statement(one):
    content = voevent.write(one, dict.fromkeys(STAMPS, bytes(40_000)))
    packet = voevent.read(content)
    assert len(content) <= voevent.LIMIT
    assert list(packet.stamps) == ["difference_1"]
    assert packet.groups[""]["stamps_missing"] == "template difference_2"


def test_an_object_without_template_stamp_is_told_apart(one):
    packet = voevent.read(voevent.write(one, {kind: STAMPS[kind] for kind in ("difference_1", "difference_2")}))
    assert packet.groups[""] == {"stamps_missing": "template"}
    assert set(packet.stamps) == {"difference_1", "difference_2"}


@needs_data("voevents")
@pytest.mark.parametrize("how", ["supersedes", "retraction"])
def test_a_further_version_cites_the_first(one, how):
    from dataclasses import replace

    from lxml import etree

    first = one.alert["ivorn"]
    later = {**one.alert, "version": 2, "ivorn": f"{first}-2", "cites": first, "cites_as": how}
    content = voevent.write(replace(one, alert=later), {})
    packet = voevent.read(content)
    assert (packet.ivorn, packet.citations) == (f"{first}-2", [(how, first)])
    schema = etree.XMLSchema(etree.parse(SHARED / "voevents" / "VOEvent-v2.0.xsd"))
    schema.assertValid(etree.fromstring(content))


def test_the_same_rows_give_the_same_bytes(one):
    assert voevent.write(one, STAMPS) == voevent.write(one, STAMPS)


def test_a_pixel_that_is_not_finite_is_masked():
    from pipelines.image import bits
    from pipelines.image.stamps import make_stamps

    image = alerted.draw(np.array([10.0, 10.01]), np.array([0.0, 0.01]), np.random.default_rng(1))
    x, y = np.rint(image.wcs.pixel(10.0, 0.0)).astype(int)
    image.pixels.image[y, x + 2] = np.nan
    with fits.open(io.BytesIO(gzip.decompress(make_stamps(image, np.array([10.0]), np.array([0.0]))[0]))) as hdus:
        assert hdus["IMAGE"].data[15, 17] == 0
        assert hdus["MASK"].data[15, 17] == bits("NO_DATA")
        assert np.isfinite(hdus["IMAGE"].data).all()


def test_a_stamp_at_the_border_is_padded_and_masked():
    from pipelines.image import bits
    from pipelines.image.stamps import make_stamps

    image = alerted.draw(np.array([10.0, 10.01]), np.array([0.0, 0.01]), np.random.default_rng(1))
    (stamp,) = make_stamps(image, *(np.atleast_1d(place) for place in image.wcs.sky(3, 4)))
    with fits.open(io.BytesIO(gzip.decompress(stamp))) as hdus:
        no_data = (hdus["MASK"].data & bits("NO_DATA")) != 0
    expected = np.ones((31, 31), bool)
    expected[11:, 12:] = False
    assert np.array_equal(no_data, expected)


def run(*words):
    """What `hven alerts` prints."""
    from click.testing import CliRunner

    from pipelines.cli.alerts import alerts

    done = CliRunner().invoke(alerts, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_alerts_are_listed_by_visit_object_place_and_time(visits, packets):
    import json

    one = next(packet for _, packet in packets if "object" in packet.groups)
    seen = one.groups["dia_source"]
    narrow = [
        ("--object", seen["object_id"]),
        ("--cone", seen["ra"], seen["dec"], 0.01),
        ("--visit", visits.ids[1], "--since", seen["midpoint_tai"], "--until", 70000, "--limit", 1000),
    ]
    for wanted in narrow:
        found = json.loads(run("list", "-d", "level1_packets", *wanted, "--json").stdout)
        assert one.ivorn in [row["ivorn"] for row in found]
        assert len(found) <= len(packets)
    assert json.loads(run("list", "-d", "level1_packets", "--since", 70000, "--json").stdout) == []


def test_packets_are_written_into_a_folder_and_replayed_into_another(visits, packets, tmp_path):
    place = ["-d", "level1_packets", "--store", visits.store.root]
    run("get", visits.ids[1], *place, "-o", tmp_path / "got")
    assert [path.read_bytes() for path in sorted((tmp_path / "got").iterdir())] == [content for content, _ in packets]
    first = visits.archived[0]
    done = run("replay", "full", f"file://{tmp_path}/again", *place, "--after", first)
    assert done.output == f"{len(packets)} sent; the last has place {first + len(packets)}\n"
    assert len(list((tmp_path / "again").iterdir())) == len(packets)


def test_latency_is_told_by_stream(visits):
    import json

    (row,) = json.loads(run("latency", "-d", "level1_packets", "--json").stdout)
    assert (row["stream"], row["state"], row["alerts"]) == ("full", "sent", sum(visits.archived))
    assert 0 < row["selected_p50"] < row["sent_p50"] <= row["sent_p98"]


def test_streams_are_listed_and_dropped(visits):
    run("filter", "add", "bright", "snr > 50", "-d", "level1_packets")
    assert "snr > 50" in run("filter", "list", "-d", "level1_packets").output
    assert "0 stream resumed" in run("filter", "resume", "bright", "-d", "level1_packets").output
    run("filter", "drop", "bright", "-d", "level1_packets")
    assert run("filter", "list", "-d", "level1_packets").output == "none\n"


def test_each_dia_source_has_its_stamps_by_name(visits, packets):
    from pipelines.productions import products

    _, packet = packets[0]
    seen = packet.groups["dia_source"]["dia_source_id"]
    assert products.stamp(visits.session, visits.store, seen, "template") == packet.stamps["template"]
    with pytest.raises(products.NoSuchProduct, match="no stamp sum of DiaSource .*, allowed are science, difference_1"):
        products.stamp(visits.session, visits.store, seen, "sum")


def test_a_feed_goes_on_where_its_consumer_is(visits):
    import json

    from pipelines.alerts.feed import feed

    def places(**values):
        lines = feed(visits.session, visits.store, "full", {name: str(value) for name, value in values.items()})
        return [json.loads(line)["place"] for line in lines.splitlines()]

    last = sum(visits.archived)
    assert places(after=3, limit=4) == [4, 5, 6, 7]
    assert places(consumer="me", limit=2) == [1, 2]
    assert places(consumer="me", limit=2) == [1, 2]
    assert places(consumer="me", limit=2, after=2) == [3, 4]
    assert places(consumer="me", limit=1) == [3]
    assert places(after=last, wait=0.2) == []
    with pytest.raises(archive.NoSuchAlert, match="there is no stream nothing"):
        feed(visits.session, visits.store, "nothing", {})


@pytest.mark.parametrize(("query", "index"), [("read", "outbox_place_idx"), ("next", "outbox_waiting_idx")])
def test_streams_are_read_by_index(visits, query, index):
    from db.queries import queries

    visits.session.rollback()
    visits.do("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")  # so few rows make other ways cheaper
    with visits.session.cursor() as cursor:
        cursor.execute(f"EXPLAIN {queries('alerts')[query]}", {"stream": "full", "after": 5, "limit": 10})
        assert index in "".join(line for (line,) in cursor)
    visits.session.rollback()
