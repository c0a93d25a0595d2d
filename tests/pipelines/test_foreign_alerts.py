"""Alerts of other surveys, as they sent them."""

import csv
import io
import tarfile

import pytest
from click.testing import CliRunner

from pipelines.alerts import foreign
from pipelines.cli.alerts import alerts
from tests.pipelines.shared_data import SHARED, needs_data

ZTF, VOEVENTS = SHARED / "alerts_ztf", SHARED / "voevents"


def of(folder, pattern):
    return {one.name: one for path in sorted(folder.rglob(pattern)) for one in foreign.read(path)}


@needs_data("alerts_ztf")
def test_ztf_packets_say_what_the_index_says():
    found = of(ZTF / "kowalski_ztf_alerts", "*.avro") | of(ZTF / "ampel", "*.tar.gz")
    with (ZTF / "INDEX.csv").open() as stream:
        index = {row["candid"]: row for row in csv.DictReader(stream)}
    assert len(found) > 60
    for name, one in found.items():
        row = index[name]
        assert (one.object, one.ra, one.dec) == (row["obj"], float(row["ra"]), float(row["dec"]))
        assert abs(one.mjd_utc + 2400000.5 - float(row["jd"])) < 1e-6
        assert one.magnitude == pytest.approx(float(row["mag"]))
        assert one.earlier == int(row["nprv"])
        assert one.stamps in ((), ("science", "template", "difference"))


@needs_data("alerts_ztf")
@pytest.mark.parametrize(
    ("name", "expected"),
    [("winter", ("WNTR24awati", 262.57510324672927)), ("decam", ("c4d_260708_015517_xxx_g_dts-1511-140151997p15275543",
                                                                210.46665487799385))],
)  # fmt: skip
def test_packets_made_after_ztfs_are_read(name, expected):
    (path,) = ZTF.glob(f"misc/*{name}*")
    (one,) = foreign.read(path)
    assert (one.object, one.ra) == expected


@needs_data("alerts_ztf")
def test_a_message_without_schema_is_refused():
    (path,) = ZTF.glob("misc/*lsst*")
    with pytest.raises(foreign.PacketError, match="one message of a Kafka stream, whose schema lies in that stream's"):
        list(foreign.read(path))


@needs_data("voevents")
def test_real_voevents_are_read():
    found = of(VOEVENTS, "*.xml")
    assert len(found) == 7
    gaia = found["ivo://gaia.cam.uk/alerts#Gaia16aac"]
    assert (gaia.ra, gaia.dec, gaia.mjd_utc) == (73.29423, 7.35212, pytest.approx(57403.328090278))
    assert all(one.ra is not None for one in found.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello", "this is no XML"),
        (b"<html/>", "got a document html, allowed is VOEvent with an ivorn"),
        (b"Obj\x01broken", "can't be read as alerts in Avro"),
        (b"\x1f\x8bbroken", "can't be read as an archive"),
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><VOEvent ivorn="ivo://a/b#c"><What>'
         b'<Param name="x" value="&b;"/></What></VOEvent>', "this is no XML"),
    ],
)  # fmt: skip
def test_what_is_no_alert_is_refused(tmp_path, content, said):
    path = tmp_path / "alert"
    path.write_bytes(content)
    with pytest.raises(foreign.PacketError, match=said):
        list(foreign.read(path))


def test_the_command_prints_what_it_reads_and_fails_for_the_rest(tmp_path):
    event = b'<VOEvent ivorn="ivo://a/b#c"><WhereWhen><C1>10.5</C1><C2>-3</C2></WhereWhen></VOEvent>'
    with tarfile.open(tmp_path / "both.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("one.xml")
        entry.size = len(event)
        archive.addfile(entry, io.BytesIO(event))
    (tmp_path / "other").write_bytes(b"hello")
    done = CliRunner().invoke(alerts, ["read", str(tmp_path / "both.tar.gz"), str(tmp_path / "other"), "--json"])
    assert '"name": "ivo://a/b#c", "object": null, "ra": 10.5, "dec": -3.0' in done.output
    assert isinstance(done.exception, foreign.PacketError)
