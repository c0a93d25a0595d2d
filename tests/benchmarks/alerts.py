"""How fast the Alerts of one Visit are packed, archived and offered, in both encodings, and whether all are valid."""

import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from db.connect import connect
from db.files import FileStore
from db.settings import hven_home
from migrations.upgrade import create, upgrade
from pipelines.alerts import archive, voevent
from tests.benchmarks import Measured, Result
from tests.benchmarks.facts import production_server
from tests.benchmarks.peer import PeerMissing, peer_python
from tests.pipelines import alerted
from tests.udf.night import SMALL, Night

SIZES = {"10,000": 10_000, "thousand": 1_000, "tiny": 100}
"""Alerts."""
DATABASE = "level1_bench"
SKY = replace(SMALL, galaxies=0.1, variables=1.0, transients=0, moving=5, radius_deg=0.27, losses=0.0)
VISITS = 2  # of which the second is measured: its Objects have a past
DETECTED = 0.18  # of the Objects of `SKY`, roughly, in one Visit
VALIDATE = """
import io, sys
from pathlib import Path
import comet, lxml.etree as etree
from lsst.alert.packet import Schema, retrieve_alerts
folder = Path(sys.argv[1])
xsd = etree.XMLSchema(etree.parse(Path(comet.__file__).parent / "schema/VOEvent-v2.0.xsd"))
events = sorted(folder.glob("*.xml"))
print(len(events), sum(xsd.validate(etree.parse(event)) for event in events))
_, records = retrieve_alerts(io.BytesIO((folder / "all.avro").read_bytes()), reader_schema=Schema.from_file())
schema = Schema.from_file()
records = list(records)
print(len(records), sum(schema.validate(record) for record in records))
"""
"""Says of VOEvents by Comet's copy of the XSD, and of Avro by LSST's own reader and schema, how many are valid."""


def run(count: int) -> Measured:
    """Measure."""
    python = _peer()  # before the server's home takes the place of ours
    with production_server():
        create(DATABASE)
        upgrade(DATABASE)
        store = FileStore(hven_home() / "files")
        with closing(connect(DATABASE)) as session:
            night = Night(session, replace(SKY, objects=max(500, round(count / DETECTED))))
            night.begin()
            for index in range(VISITS):
                visit_id, _ = alerted.alert(night, store, index, rule="visit")
                begin = time.perf_counter()
                made = archive.archive_visit(session, store, visit_id)
                seconds = time.perf_counter() - begin
            begin = time.perf_counter()
            archive.archive_avro(session, store, visit_id)
            seconds_avro = time.perf_counter() - begin
            packets = archive.get(session, store, visit_id)
            avro = archive.get(session, store, visit_id, "avro")
        checked = _check(python, hven_home() / "packets", packets, b"".join(avro)) if python else []
    per = 10_000 / made
    return Measured({"alerts": made}, [
        Result("10,000 VOEvents packed, archived, offered", seconds * per, "s", goal=20, higher_is_better=False),
        Result("10,000 Avro packets made of them", seconds_avro * per, "s", goal=30, higher_is_better=False),
        Result("mean VOEvent", sum(map(len, packets)) / made, "byte"),
        Result("largest VOEvent", max(map(len, packets)), "byte", goal=voevent.LIMIT, higher_is_better=False),
        *checked,
    ])


def _peer() -> Path | None:
    try:
        return peer_python()
    except PeerMissing as error:
        print(f"without the readers of Comet and LSST: {error}", file=sys.stderr)
        return None


def _check(python: Path, folder: Path, packets: list[bytes], avro: bytes) -> list[Result]:
    """Return how many packets are valid in the eyes of Comet and of lsst-alert-packet."""
    folder.mkdir()
    for number, packet in enumerate(packets):
        (folder / f"{number:05d}.xml").write_bytes(packet)
    (folder / "all.avro").write_bytes(avro)
    command = [str(python), "-c", VALIDATE, str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == said[2] == str(len(packets))
    names = ("valid VOEvents, by the XSD", "valid Avro packets, by LSST's reader and schema")
    return [Result(name, 100 * int(valid) / len(packets), "%", goal=100)
            for name, valid in zip(names, (said[1], said[3]), strict=True)]
