"""Bad frames in a night: each ends in a stated condition that quality assessment tells, and everything else goes on."""

from contextlib import closing

import pytest
from astropy.io import fits

from db.connect import connect
from db.files import FileStore
from pipelines import live_night
from pipelines.image import read_exposure
from pipelines.image.files import write_exposure
from pipelines.instruments import instrument
from pipelines.productions import field
from pipelines.simulate import frames
from pipelines.simulate.night import simulate_night
from pipelines.worker import work
from tests.conftest import clone

CAMERA = instrument("simcam_512")
NIGHT = "level1_bad_frames"
CLOUDED = 1  # Visit 0 is clear, and the others are copies of it


def fill(value):
    """Return a change of a frame that fills what the first detector's amplifiers read."""

    def change(hdus):
        for amplifier in CAMERA.detector(0).amplifiers:
            hdus[amplifier.hdu].data[:] = value

    return change


def card(name, value):
    """Return a change of a frame's header."""
    return lambda hdus: hdus[0].header.set(name, value)


SPOILT = {
    "saturated": fill(65535),
    "empty": fill(0),
    "elsewhere": card("RA", 200.0),
    "no template": card("FILTER", "g"),
    "template elsewhere": card("FILTER", "z"),
    "no date": lambda hdus: hdus[0].header.remove("DATE-OBS"),
}
BROKEN = {"truncated": lambda content: content[:100_000], "corrupt": lambda content: bytes(2880) + content[2880:]}
SEQUENCE = {name: number for number, name in enumerate(("missing", *SPOILT, *BROKEN), CLOUDED + 1)}
"""Last 12 bits of the Visits' ids."""


@pytest.fixture(scope="module")
def incoming(tmp_path_factory):
    """A field's folder, with the frames of a clear Visit, of one through clouds of 2 mag, and of spoilt copies."""
    folder = tmp_path_factory.mktemp("sky")
    scene, (clear, clouded) = simulate_night(CAMERA, seed=7, visits=2, stars=50_000)
    frames.write_field(folder, scene, clear)
    for band in "rz":
        frames.write_calibrations(folder, CAMERA, count=3, band=band)
    for number, shift in enumerate([3000, 0]):
        template = read_exposure(folder / f"template_r_{number}.fits")
        moved = template.with_(wcs=template.wcs.shifted(shift, 0))
        write_exposure(moved, folder / f"template_z_{number}.fits", compress=False)
    raws = frames.write_visit(folder, scene, clear, CAMERA, ("corrected",))
    frames.write_visit(folder, scene, clouded.with_(transparency=10**-0.8), CAMERA, ("corrected",))
    for name in SEQUENCE:
        for raw in raws[: 1 if name == "missing" else 2]:
            copy_spoilt(raw, name)
    return folder


def copy_spoilt(raw, name):
    """Write a Snap of the clear Visit as one of another; files are broken for the first Snap only."""
    path = raw.with_name(f"{name}_{raw.name[-6:]}")
    with fits.open(raw) as hdus:
        hdus[0].header["SEQNUM"] = SEQUENCE[name]
        SPOILT.get(name, lambda _: None)(hdus)
        hdus.writeto(path)
    if name in BROKEN and path.stem.endswith("1"):
        path.write_bytes(BROKEN[name](path.read_bytes()))


@pytest.fixture(scope="module")
def night(template, incoming, tmp_path_factory):
    """The night after all its jobs, when frames that don't come are overdue: a connection to its database."""
    store = FileStore(tmp_path_factory.mktemp("store"))
    with clone(template, NIGHT), closing(connect(NIGHT)) as session:
        field.prepare(session, store, incoming, CAMERA)
        found = live_night.find_night(NIGHT, store)
        for _ in live_night.take_in(found, incoming / "corrected"):
            pass
        work({NIGHT: 1.0}, store, until_idle=True)
        number = rows(session, "SELECT max(night) FROM visit")[0][0]
        for _ in live_night.close(found, number, incoming / "report.html"):
            pass
        yield session


def rows(session, query, *values):
    with session, session.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


STATE = "SELECT state, condition FROM visit WHERE visit_id & 4095 = %s"
CONDITIONS = """SELECT max(condition) FROM exposure
                WHERE visit_id & 4095 = %s AND kind = 'raw' GROUP BY detector_id ORDER BY detector_id"""
TOLD = """SELECT message ->> 'reason' FROM ocs_feedback WHERE topic = 'assessment failed' AND visit_id & 4095 = %s
          ORDER BY feedback_id"""


@pytest.mark.parametrize(("name", "condition", "reason"), [
    ("saturated", "no_usable_pixels", "100 % unusable pixels"),
    ("empty", "too_few_stars", "0 clean stars"),
    ("template elsewhere", "template_does_not_cover", "the template covers 0 % of the exposure"),
])  # fmt: skip
def test_a_spoilt_detector_has_a_stated_condition_and_the_next_is_measured(night, name, condition, reason):
    assert rows(night, CONDITIONS, SEQUENCE[name]) == [(condition,), (None,)]
    ((told,),) = rows(night, TOLD, SEQUENCE[name])
    assert told.startswith(f"detector 0: {condition}: ")
    assert reason in told
    assert rows(night, STATE, SEQUENCE[name]) == [("closed", f"1 of 2 detectors: {condition}")]
    measured = "SELECT detector_id FROM exposure WHERE visit_id & 4095 = %s AND kind = 'difference' AND snap = 0"
    assert rows(night, measured, SEQUENCE[name]) == [(1,)]


@pytest.mark.parametrize(("name", "condition"), [
    ("elsewhere", "no_reference_stars"), ("no template", "no_template"),
])  # fmt: skip
def test_a_visit_that_nothing_is_known_of_fails_with_its_condition(night, name, condition):
    assert rows(night, STATE, SEQUENCE[name]) == [("failed", f"2 of 2 detectors: {condition}")]
    told = [reason.split(": ")[:2] for (reason,) in rows(night, TOLD, SEQUENCE[name])]
    assert told == [["detector 0", condition], ["detector 1", condition]]


@pytest.mark.parametrize(("name", "reason"), [
    ("no date_1", "header lacks or garbles .*DATE-OBS"), ("no date_2", "header lacks or garbles .*DATE-OBS"),
    ("truncated_1", "no readable raw file"), ("corrupt_1", "no readable raw file"),
])  # fmt: skip
def test_a_file_that_can_not_be_read_is_told(night, name, reason):
    told = "SELECT message ->> 'reason' ~ %s FROM ocs_feedback WHERE message ->> 'subject' LIKE %s || '.fits'"
    assert rows(night, told, reason, name) == [(True,)]


@pytest.mark.parametrize("name", ["missing", "truncated", "corrupt"])
def test_a_visit_that_lacks_a_snap_fails_and_says_so(night, name):
    condition = "missing_frames: 2 of 4 raw exposures arrived"
    assert rows(night, STATE, SEQUENCE[name]) == [("failed", condition)]
    assert rows(night, TOLD, SEQUENCE[name]) == [(condition,)]


def test_clouds_of_two_magnitudes_are_measured_and_told(night):
    assert rows(night, STATE, CLOUDED) == [("closed", None)]
    told = "SELECT (message ->> 'value')::float FROM ocs_feedback WHERE message ->> 'metric' = %s"
    assert [value for (value,) in rows(night, told, "detector.cloud_extinction")] == pytest.approx([2, 2], abs=0.1)


def test_the_clear_visit_is_as_if_nothing_had_happened(night):
    assert rows(night, STATE, 0) == [("closed", None)]
    assert rows(night, "SELECT DISTINCT state, attempts FROM queue.job") == [("done", 1)]
