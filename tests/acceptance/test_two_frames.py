"""Five hops of two real frames: raw files, jobs, pixels, staging, association, Alerts; and the way back."""

import io
from contextlib import closing

import pytest

from db import queue
from db.connect import connect
from db.files import FileStore
from db.metrics import metrics
from db.queue import Production
from db.software import software
from pipelines.alerts.archive import read_stamps
from pipelines.image import read_exposure
from pipelines.instruments import instrument
from pipelines.productions.alert import make_template
from pipelines.productions.ingest import ingest
from pipelines.productions.products import ProductError, cutout, draw, find_exposure, find_file
from pipelines.worker import work
from tests.pipelines.shared_data import SHARED, needs_astrometry_net, needs_data

pytestmark = [needs_data("hatp32_microobservatory"), needs_astrometry_net]
FRAMES = SHARED / "hatp32_microobservatory"
CAMERA = instrument("microobservatory")


@pytest.fixture
def night(database, tmp_path):
    """The night after both frames went through: a connection to its database."""
    store = FileStore(tmp_path)
    with closing(connect(database)) as session:
        with session, session.cursor() as cursor:
            production = queue.start_production(cursor, Production("alert", "bootstrap", "0"))
        sharp = FRAMES / "HATP-32171220043612.FITS.gz"
        visit = ingest(session, store, sharp, CAMERA, production)
        template = make_template(session, store, sharp, "microobservatory", visit)
        with session, session.cursor() as cursor:
            cursor.execute("UPDATE queue.production SET state = 'done' WHERE production_id = %s", [production])
            parameters = {"instrument": "microobservatory", "template": template}
            night = Production("alert", "night", **vars(software()), parameters=parameters)
            production = queue.start_production(cursor, night)
        for _ in range(2):  # a frame that comes twice changes nothing
            ingest(session, store, FRAMES / "HATP-32171220043312.FITS.gz", CAMERA, production)
        work({database: 1.0}, store, until_idle=True)
        yield session


def one(session, query):
    with session, session.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def test_both_frames_become_objects_dia_sources_and_links(night):
    failed = one(night, "SELECT string_agg(error, '') FROM queue.job WHERE state <> 'done' AND attempts > 0")
    assert failed == (None,)
    assert one(night, "SELECT count(*) > 300 FROM object WHERE dia_sources = 0") == (True,)
    found, linked = one(night, "SELECT count(*), count(object_id) FROM dia_source")
    assert 0 < linked <= found
    assert one(night, "SELECT count(*) FROM staging.dia_source") == (0,)


def test_every_measurement_lies_on_its_exposure(night):
    assert one(night, """SELECT count(*) FROM dia_source d JOIN exposure e USING (exposure_id)
                         WHERE NOT public.spoint_deg(d.ra, d.dec) <@ e.footprint""") == (0,)


def test_alerts_wait_in_the_outbox_and_every_dia_source_has_stamps(night, tmp_path):
    alerts, waiting = one(night, "SELECT (SELECT count(*) FROM alert), (SELECT count(*) FROM outbox)")
    assert alerts == waiting > 0
    visit_id, ids = one(night, "SELECT min(visit_id), array_agg(dia_source_id) FROM dia_source")
    stamps = read_stamps(night, FileStore(tmp_path), visit_id, set(ids))
    assert stamps.keys() == set(ids)
    assert {frozenset(kinds) for kinds in stamps.values()} == {frozenset({"science", "difference", "template"})}


def products(session):
    """kind → (exposure_id, sha256) of what the night's job made."""
    with session, session.cursor() as cursor:
        cursor.execute("SELECT e.kind, e.exposure_id, f.sha256 FROM exposure AS e JOIN queue.file AS f USING (file_id)"
                       " WHERE e.job_id IS NOT NULL")
        return {kind: (exposure_id, bytes(sha256)) for kind, exposure_id, sha256 in cursor}


def test_deleted_products_come_back_bit_for_bit(night, tmp_path):
    store, made = FileStore(tmp_path), products(night)
    assert made.keys() == {"calibrated", "difference"}
    for exposure_id, sha256 in made.values():
        store.get(sha256).unlink()
        assert find_exposure(night, store, exposure_id) == store.get(sha256)
        store.verify(sha256)
    place = store.get(sha256)
    place.chmod(0o644)
    place.write_bytes(b"changed on disk")
    assert find_file(night, store, sha256.hex()).read_bytes() != b"changed on disk"
    with night, night.cursor() as cursor:
        cursor.execute("UPDATE queue.production SET software_version = '0.0.9', lock_sha256 = 'other'")
    place.unlink()
    with pytest.raises(ProductError, match=r"was made by Hven 0\.0\.9, .*, and this is Hven .*Remedy: check out"):
        find_exposure(night, store, made["difference"][0])


def test_a_measurement_leads_back_to_raw_frame_template_and_software(night):
    with night, night.cursor() as cursor:
        cursor.execute("SELECT DISTINCT role, file_name, software_version, production FROM dia_source"
                       " JOIN exposure_provenance USING (exposure_id) ORDER BY role")
        assert cursor.fetchall() == [
            ("raw", "HATP-32171220043312.FITS.gz", software().software_version, "night"),
            ("template", "template.fits", software().software_version, "night"),
        ]
        cursor.execute("SELECT DISTINCT generation, role FROM dia_source CROSS JOIN LATERAL hven.origins(exposure_id)")
        assert sorted(cursor.fetchall()) == [(1, "raw"), (1, "template")]


def test_a_cutout_keeps_the_sky_in_place(night, tmp_path):
    ra, dec = one(night, "SELECT ra, dec FROM dia_source ORDER BY snr DESC LIMIT 1")
    piece = read_exposure(io.BytesIO(cutout(night, FileStore(tmp_path), (ra, dec), 60.0)))
    rows, columns = piece.shape
    x, y = piece.wcs.pixel(ra, dec)
    assert abs(x - (columns - 1) / 2) < 1
    assert abs(y - (rows - 1) / 2) < 1
    with pytest.raises(ProductError, match="no calibrated exposure covers ra 200, dec 80"):
        cutout(night, FileStore(tmp_path), (200, 80), 60.0)


def test_a_good_detector_has_every_metric_and_its_visit_the_roll_up(night):
    wanted = {row["metric"] for row in metrics() if row["level"] == "detector"}
    with night, night.cursor() as cursor:
        cursor.execute("SELECT metric, value FROM sdqa_measurement WHERE metric LIKE 'detector.%'")
        values = dict(cursor.fetchall())
        assert {metric for metric, value in values.items() if value is not None} == wanted
        cursor.execute("SELECT median FROM sdqa_rollup WHERE metric = 'detector.psf_fwhm' AND night IS NOT NULL")
        assert cursor.fetchall() == [(values["detector.psf_fwhm"],)]
    assert 1 < values["detector.psf_fwhm"] / values["detector.pixel_scale"] < 4
    assert 0.8 < values["detector.noise_ratio"] < 1.2
    assert one(night, "SELECT value FROM sdqa_measurement WHERE metric = 'visit.detectors'") == (1.0,)


def test_every_stage_of_a_detector_can_be_looked_at(night, tmp_path):
    exposure_id, _ = products(night)["difference"]
    drawn = draw(night, FileStore(tmp_path), exposure_id, tmp_path / "stages")
    assert [path.name for path in drawn] == [
        "1_raw_snap1.png", "2_calibrated.png", "3_template.png", "4_difference.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
