"""A live night on small frames, from raw Snaps to Alerts, and the first half of LDM-151, 6.4, from pixels (R185)."""

import gzip
import io
import shutil
import threading
from contextlib import closing, contextmanager

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner

from db.connect import connect
from db.files import FileStore
from db.site import Site, send
from pipelines import live_night
from pipelines.alerts import archive, voevent
from pipelines.cli.night import status
from pipelines.instruments import instrument
from pipelines.productions import field
from pipelines.productions.ingest import ingest
from pipelines.simulate import frames
from pipelines.simulate.night import simulate_night
from pipelines.worker import work
from tests.conftest import clone

CAMERA = instrument("simcam_512")
VISITS, CLOUDED = 7, 3
SLOWER = 20.0  # times 40 s between Visits, or what explodes would rise from Snap to Snap
NIGHT = "level1_live"


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """A folder as `hven simulate` writes it, and its scene; one Visit is behind clouds, the supernova fades soon."""
    folder = tmp_path_factory.mktemp("sky")
    made = {"visits": VISITS, "supernova": 19.0, "asteroids": 300, "galaxies": 6000}
    scene, plan = simulate_night(CAMERA, seed=7, **made)
    transients, epoch = scene.transients.copy(), scene.parameters.epoch
    transients["decay"][0] = transients["rise"][0] / 4
    transients["start"] = epoch + SLOWER * (transients["start"] - epoch)
    for name in ("rise", "decay"):
        transients[name] *= SLOWER
    scene = scene.with_(transients=transients)
    plan = [visit.with_(midpoint_tai=epoch + SLOWER * (visit.midpoint_tai - epoch)) for visit in plan]
    plan[CLOUDED] = plan[CLOUDED].with_(transparency=1e-6)
    frames.write_field(folder, scene, plan[0])
    frames.write_calibrations(folder, CAMERA, count=3)
    for visit in plan:
        frames.write_visit(folder, scene, visit, CAMERA, ("corrected",))
    return folder, scene


@contextmanager
def made_ready(template, name, folder, root):
    """A live database with the field's masters, templates, Objects and orbits: a connection, and its night."""
    with clone(template, name), closing(connect(name)) as session:
        field.prepare(session, FileStore(root), folder, CAMERA)
        yield session, live_night.find_night(name, FileStore(root))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The night's files."""
    return FileStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def night(template, sky, store):
    """The night after all its jobs were done: a connection to its database."""
    folder = sky[0] / "corrected"
    with made_ready(template, NIGHT, sky[0], store.root) as (session, found):
        assert [frame.reason for frame in live_night.take_in(found, folder)] == [""] * 2 * VISITS
        work({NIGHT: 1.0}, found.store, until_idle=True)
        yield session


def rows(session, query, *values):
    with session, session.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def test_every_visit_ends_associated_or_in_a_stated_condition(night):
    states = rows(night, "SELECT state, condition FROM visit ORDER BY visit_id")
    assert states.pop(CLOUDED) == ("failed", "2 of 2 detectors: too_few_stars")
    assert set(states) == {("associated", None)}
    assert rows(night, "SELECT DISTINCT state, attempts FROM queue.job") == [("done", 1)]
    told = rows(night, "SELECT message ->> 'reason' FROM ocs_feedback WHERE topic = 'assessment failed' ORDER BY 1")
    assert [reason.split(": ")[:2] for (reason,) in told] == [[f"detector {n}", "too_few_stars"] for n in range(2)]


def test_detections_are_measured_on_each_snap(night):
    assert rows(night, """SELECT count(*) FROM dia_source AS d
        WHERE (SELECT count(*) FROM dia_source_snap AS s WHERE s.dia_source_id = d.dia_source_id) <> 2""") == [(0,)]
    ((middle,),) = rows(night, """
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY pull) FROM (
            SELECT (max(psf_flux) - min(psf_flux)) / sqrt(sum(psf_flux_err ^ 2)) AS pull FROM dia_source_snap
            WHERE NOT pixel_flag_cosmic_ray GROUP BY dia_source_id) AS p""")
    assert middle < 1.5  # half-normal: 0.7, and more for what moves or sits on a bright star
    assert rows(night, """SELECT count(*) FROM alert CROSS JOIN unnest(exposure_id) AS x (id)
                          LEFT JOIN exposure AS e ON e.exposure_id = x.id WHERE e.exposure_id IS NULL""") == [(0,)]


def test_packets_carry_both_snaps_and_the_template_with_the_source_in_the_middle(night, store):
    for (visit_id,) in rows(night, "SELECT DISTINCT visit_id FROM alert"):
        archive.archive_visit(night, store, visit_id)
    for content in archive.get(night, store, rows(night, "SELECT max(visit_id) FROM alert")[0][0]):
        packet = voevent.read(content)
        assert packet.stamps.keys() == {"difference_1", "difference_2", "template"}
        for stamp in packet.stamps.values():
            with fits.open(io.BytesIO(gzip.decompress(stamp))) as file:
                x, y = WCS(file["IMAGE"].header).all_world2pix(*packet.position[:2], 0)
                assert np.hypot(x - 15, y - 15) < 0.71 + 0.1  # within the pixel in the middle
                assert np.isfinite(file["IMAGE"].data).all()


def test_asteroids_are_matched_to_their_predictions_marked_and_measured_there(night):
    bright, matched = rows(night, """
        SELECT count(*), count(p.dia_source_id) FROM predicted_position AS p
        JOIN forced_dia_source AS f USING (visit_id, moving_object_id)
        WHERE f.psf_flux > 12 * f.psf_flux_err AND NOT f.pixel_flag_edge AND NOT f.pixel_flag_saturated""")[0]
    assert matched >= 0.9 * bright > 9
    offset = """SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY hven.sky_separation_arcsec(d.ra, d.dec, p.ra, p.dec))
                FROM dia_source AS d JOIN predicted_position AS p USING (dia_source_id) WHERE d.snr > 12"""
    assert rows(night, offset)[0][0] < 0.1
    assert rows(night, """SELECT count(*) FROM alert AS a JOIN dia_source AS d USING (dia_source_id)
                          WHERE a.is_moving <> (d.moving_object_id IS NOT NULL)""") == [(0,)]
    assert rows(night, "SELECT count(*) > 0 FROM alert WHERE is_moving") == [(True,)]


STORY = """
SELECT c.kind, c.psf_flux / c.psf_flux_err AS snr, a.ivorn, a.host_object_id, h.extendedness, h.dia_sources
FROM hven.sky_cone(NULL::object, %s, %s, 0.5) AS o
CROSS JOIN LATERAL hven.light_curve(o.object_id) AS c
LEFT JOIN alert AS a ON a.dia_source_id = c.id
LEFT JOIN object AS h ON h.object_id = a.host_object_id
ORDER BY c.midpoint_tai, c.kind
"""


def test_a_supernova_in_a_resolved_galaxy_is_one_object_from_first_light_until_it_has_faded(night, sky):
    supernova = sky[1].transients[0]
    place = float(supernova["ra"]), float(supernova["dec"])
    found = rows(night, """SELECT object_id FROM dia_source WHERE object_id IS NOT NULL
                           AND hven.sky_separation_arcsec(ra, dec, %s, %s) < 0.3 GROUP BY 1""", *place)
    assert len(found) == 1
    story = rows(night, STORY, *place)
    kinds = [kind for kind, *_ in story]
    first = kinds.index("dia_source")
    _, snr, ivorn, host, extendedness, of_host = story[first]
    assert snr > 7  # both Snaps above 5
    assert ivorn
    assert host not in {None, found[0][0]}
    assert extendedness > 0.5
    assert of_host == 0
    assert kinds.count("dia_source") >= 2
    assert kinds[-1] == "forced_dia_source"
    assert story[-1][1] < 5


@pytest.fixture
def empty_night(template, sky, tmp_path):
    with made_ready(template, "level1_empty_night", sky[0], tmp_path) as found:
        yield found


def test_snaps_that_arrive_at_once_create_the_jobs_of_their_visit_once(empty_night, sky):
    session, found = empty_night
    raws = sorted((sky[0] / "corrected").glob("*.fits"))
    barrier, failures = threading.Barrier(4), []

    def arrive(raw):
        with closing(connect(found.database)) as own:
            barrier.wait()
            try:
                ingest(own, found.store, raw, CAMERA, found.production_id)
            except Exception as error:
                failures.append(error)

    for first, second in zip(raws[::2], raws[1::2], strict=True):
        threads = [threading.Thread(target=arrive, args=[raw]) for raw in (first, second) * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    counted = rows(session, "SELECT kind, count(*) FROM queue.job GROUP BY kind ORDER BY kind")
    assert counted == [("associate", VISITS), ("detector", 2 * VISITS), ("predict", VISITS)]
    assert rows(session, "SELECT DISTINCT state, raw_arrived FROM visit") == [("ready", 4)]


def late_night(session, found, raws):
    """Take frames in, and let the second detector of each Visit come after its association."""
    for raw in raws:
        ingest(session, found.store, raw, CAMERA, found.production_id)
    late = "UPDATE queue.job SET run_after = now() + %s WHERE key LIKE '%%detector 1' RETURNING job_id"
    rows(session, late, "1 hour")
    work({found.database: 1.0}, found.store, until_idle=True)
    rows(session, "UPDATE queue.job SET run_by = now() WHERE kind = 'associate' RETURNING job_id")
    work({found.database: 1.0}, found.store, until_idle=True)
    yield
    rows(session, late, "0")
    work({found.database: 1.0}, found.store, until_idle=True)
    yield


BY_DETECTOR = "SELECT detector_id, count(*) > 0 FROM dia_source GROUP BY 1 ORDER BY 1"


def test_a_visit_does_not_wait_for_a_late_detector_and_takes_it_up_later(empty_night, sky):
    session, found = empty_night
    course = late_night(session, found, sorted((sky[0] / "corrected").glob("visit0002*")))
    next(course)
    assert rows(session, BY_DETECTOR) == [(0, True)]
    next(course)
    assert rows(session, BY_DETECTOR) == [(0, True), (1, True)]
    assert rows(session, "SELECT array_agg(pass ORDER BY pass) FROM order_log") == [([1, 2],)]


OUTCOME = (
    "SELECT visit_id, pass, detectors, dia_sources, digest FROM order_log ORDER BY place",
    "SELECT dia_source_id, object_id, ra, psf_flux FROM dia_source ORDER BY 1",
    "SELECT object_id, mean_ra, mean_dec, dia_sources FROM object ORDER BY 1",
    "SELECT dia_source_id, version, rule FROM alert ORDER BY 1, 2",
)


def test_a_second_site_follows_the_order_of_the_first(empty_night, template, sky, tmp_path):
    session, found = empty_night
    incoming = tmp_path / "second" / "incoming"
    folder = sky[0] / "corrected"
    for _ in late_night(session, found, sorted(folder.glob("visit000[01]*"))):
        pass
    list(send(Site("second", "", incoming.parent), found.store, found.database))
    with made_ready(template, "level1_second_site", sky[0], tmp_path / "second") as (there, second):
        order = incoming / "order-level1_empty_night.json"
        taken = list(live_night.take_in(second, incoming, order=order))
        assert len(taken) == 4
        work({second.database: 1.0}, second.store, until_idle=True)
        for query in OUTCOME:
            assert rows(there, query) == rows(session, query)
        assert rows(there, OUTCOME[0])[-1][1:3] == (2, [1])


def test_frames_are_taken_in_as_they_come_and_a_bad_one_is_told(empty_night, sky, tmp_path):
    session, found = empty_night
    folder = tmp_path / "incoming"
    folder.mkdir()
    raws = sorted((sky[0] / "corrected").glob("visit0000*"))
    (folder / "0.fits").write_bytes(raws[0].read_bytes()[:10_000])
    (folder / ".part.fits").write_bytes(b"not there yet")
    taken = []
    for frame in live_night.take_in(found, folder, watch=lambda: len(taken) < 3):
        taken.append(frame)
        if len(taken) < 3:
            shutil.copy(raws[len(taken) - 1], folder / f"{len(taken)}.fits")
    assert "0.fits" in taken[0].reason
    assert [frame.visit_id for frame in taken[1:]] == [rows(session, "SELECT visit_id FROM visit")[0][0]] * 2


def test_a_night_is_closed_with_a_report_and_what_never_came_is_stated(night, sky, tmp_path):
    found = live_night.find_night(NIGHT, FileStore(tmp_path))
    rows(night, """INSERT INTO visit (visit_id, night, sequence, filter_id, snaps, detectors, raw_arrived,
                                      shutter_close_tai)
        SELECT max(visit_id) + 1, max(night), max(sequence) + 1, 1, 2, 2, 1, 61000 FROM visit RETURNING visit_id""")
    number = rows(night, "SELECT max(night) FROM visit")[0][0]
    rows(night, "SELECT hven.mark_moved(array_agg(object_id)) FROM object")
    rows(night, """UPDATE dia_source SET object_id = 77 WHERE dia_source_id = (SELECT max(dia_source_id) FROM dia_source
                                                                              WHERE object_id IS NOT NULL)
                   RETURNING object_id""")
    told = "\n".join(live_night.close(found, number, tmp_path / "report.html"))
    assert "references: parents are missing (dia_source.object_id of 1 rows, such as 77)" in told
    assert "1 Visits lack frames" in told
    assert f"{VISITS - 1} Visits closed" in told
    assert f"night {number}" in (tmp_path / "report.html").read_text()
    assert rows(night, "SELECT condition FROM visit ORDER BY visit_id DESC LIMIT 1") == [
        ("missing_frames: 1 of 4 raw exposures arrived",)
    ]
    shown = CliRunner().invoke(status, [str(number), "-d", NIGHT, "--once"], catch_exceptions=False).output
    assert "too_few_stars" in shown
    assert "closed" in shown
