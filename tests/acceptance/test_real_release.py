"""A night of real frames as a Data Release: light curves of every star, and how well they repeat beside the night's."""

import os
from contextlib import closing

import numpy as np
import pytest

from db import checksum, life_cycle, metrics, release
from db.connect import HUB, connect
from db.files import FileStore
from db.queries import queries
from migrations.upgrade import create_release, recreate, recreate_release
from pipelines import building, real_night
from pipelines.instruments import instrument
from pipelines.report.comparison import compare
from tests.pipelines.shared_data import SHARED, needs_astrometry_net, needs_data

pytestmark = [pytest.mark.long, needs_data("hatp32_microobservatory"), needs_astrometry_net]
FOLDER = SHARED / "hatp32_microobservatory"
CAMERA = instrument("microobservatory")
FRAMES = int(os.environ.get("HVEN_REAL_FRAMES", "20"))
NAME = "dr15"
GIVEN = {"instrument": CAMERA.name, "reference": "bootstrap", "crosstalk": False, "fwhm": 2.5,
         "match_arcsec": 4.0, "dia_match_arcsec": 4.0}  # fmt: skip


def ask(database, query, values=()):
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


def certify_dark(store):
    """Let the release have the fixed pattern that the first frames gave."""
    with closing(connect(real_night.RELEASE)) as session, session.cursor() as cursor:
        cursor.execute(queries("bootstrap")["dark"], {"detector_id": 0})
        (sha256,) = cursor.fetchone()
    if sha256 is None:  # few frames give none
        return
    row = {"kind": "dark", "instrument": CAMERA.name, "detector_id": 0, "filter": "", "valid_from_tai": 0.0,
           "valid_to_tai": 1e5, "sha256": sha256}  # fmt: skip
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("build")["certify"], row)


@pytest.fixture(scope="module")
def built(hub, tmp_path_factory):
    """A bootstrap release and a night of the frames, and the release of the same; the hub gets to know the first."""
    store = FileStore(tmp_path_factory.mktemp("files"))
    recreate_release(real_night.RELEASE, 0)
    recreate(real_night.LEVEL1)
    night = real_night.RealNight(real_night.frames(FOLDER)[30 : 30 + FRAMES], CAMERA, store.root, 2)
    real_night.make_release(night, lambda *_: None)
    real_night.observe(night, lambda *_: None)
    certify_dark(store)
    first = {"name": real_night.RELEASE, "database": real_night.RELEASE, "kind": "bootstrap", "release": 0,
             "state": "building"}  # fmt: skip
    ask(HUB, queries("databases")["register"], first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("db.build.LIVE", real_night.LEVEL1)
        building.plan(NAME, 1e5, GIVEN | {"association": night.association})
        create_release(NAME, int(NAME[2:]), lambda: building.fill(NAME, store))
        held = building.run(NAME, store.root, 2, lambda phases, left: None)
    yield held
    release.drop(NAME)
    ask(HUB, "DELETE FROM hub.science_database WHERE name = %s", [real_night.RELEASE])


def test_every_frame_is_in_it(built):
    print(built)
    assert built["exposures"] >= 0.95 * FRAMES
    assert built["coadds"] > 10


def test_every_star_has_light_curves(built):
    rows = ask(NAME, """
        SELECT (SELECT count(*) FROM source AS s WHERE s.object_id = o.object_id),
               (SELECT count(*) FROM forced_source AS s WHERE s.object_id = o.object_id)
        FROM object AS o JOIN object_flux AS f USING (object_id) WHERE f.coadd_flux > 100 * f.coadd_flux_err""")
    sources, forced = np.array(rows).T
    print(len(rows), np.median(sources), np.median(forced))
    assert len(rows) > 100
    assert np.median(sources) > 0.8 * FRAMES
    assert np.mean(forced > 0.9 * FRAMES) > 0.8


def test_it_repeats_as_well_as_the_night(built, tmp_path):
    found = compare(real_night.RELEASE, NAME)
    place = tmp_path / "compare.html"
    place.write_text(found.page())
    answer = found.answers["repeatability"]
    print(place, answer.columns, *answer.rows, sep="\n")
    bright = {
        (side, kind): np.median([s for k, _, m, s in one.rows if k == kind and 10 < m < 12])
        for side, one in found.curves.items() for kind in ("Source", "ForcedSource")
        if any(k == kind and 10 < m < 12 for k, _, m, _ in one.rows)
    }  # fmt: skip
    print(bright)
    assert bright[NAME, "Source"] < 1.3 * bright[real_night.RELEASE, "Source"]
    assert bright[NAME, "ForcedSource"] < 1.3 * bright[real_night.RELEASE, "Source"]


def test_it_is_validated_and_frozen(built):
    with closing(connect(NAME)) as session, session, session.cursor() as cursor:
        for metric in ("release.photometric_repeatability", "release.astrometric_repeatability"):
            metrics.accept(cursor, metric, int(NAME[2:]), "pixels of 5 arcsec")
    release.validate(NAME, "looked at")
    life_cycle.freeze(NAME)
    with checksum.snapshot(NAME) as held:
        digests = checksum.digest(NAME, held, checksum.subjects(held[0]))
    assert digests["catalogue.forced_source"].whole.rows > 100 * FRAMES
    ask(HUB, "UPDATE hub.science_database SET state = 'withdrawn' WHERE name = %s", [NAME])
