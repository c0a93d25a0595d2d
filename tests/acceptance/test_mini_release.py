"""A mini Data Release: synthetic supernovae added at the pixels, found by the same procedures, kept apart."""

from contextlib import closing

import numpy as np
import pytest

from db import release
from db.connect import connect
from db.files import FileStore
from migrations.upgrade import create_release
from pipelines import building
from pipelines.productions.efficiency import measure
from tests.conftest import clone
from tests.pipelines import survey

NAME = "mini_sn"
VISITS = 8
INJECT = {"class": "pipelines.synthetic:Constant", "number": 400, "seed": 4,
          "options": {"brightest": 22.0, "faintest": 25.5, "quiet": 0.9}}  # fmt: skip


@pytest.fixture(scope="module")
def mini(hub, template, tmp_path_factory):
    """A mini-DR of one field and band, with point sources that appear in the last Visit."""
    folder = tmp_path_factory.mktemp("mini")
    store = FileStore(folder / "files")
    scene, plan, raws = survey.write(folder, "r", 1, VISITS, transients=0, asteroids=0)
    with pytest.MonkeyPatch.context() as patch, clone(template, "level1_mini"):
        patch.setattr("db.build.LIVE", "level1_mini")
        survey.take_in("level1_mini", store, [scene], [path for visit in raws.values() for path in visit])
        survey.calibrations(folder, store)
        p = scene.parameters
        given = survey.GIVEN | {"area": {"ra": p.ra, "dec": p.dec, "radius_deg": 0.05}, "inject": INJECT}
        number = building.plan(NAME, plan[-1].midpoint_tai + 1, given)
        create_release(NAME, number, lambda: building.fill(NAME, store))
        building.run(NAME, store.root, 2)
        yield given
        release.drop(NAME)


def rows(name, query, *values):
    with closing(connect(name)) as session, session.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


@pytest.mark.long
def test_half_is_found_where_the_noise_says(mini, record_property):
    found = measure(NAME)
    record_property("half", (found.half_magnitude, found.half_err, found.expected))
    print(found.half_magnitude, found.half_err, found.expected)
    assert abs(found.half_magnitude - found.expected) < 0.1 + 2 * found.half_err


@pytest.mark.long
def test_what_was_added_is_measured_as_bright_as_it_is(mini):
    pulls = rows(NAME, """
        SELECT (x.psf_flux - s.flux) / x.psf_flux_err, x.psf_flux / s.flux
        FROM synthetic.synthetic_source AS s JOIN synthetic.synthetic_object AS o USING (synthetic_object_id)
        JOIN dia_source AS x ON x.exposure_id = s.exposure_id + 1
         AND hven.sky_separation_arcsec(x.ra, x.dec, o.ra, o.dec) < 0.4
        WHERE x.snr > 15""")  # fmt: skip
    ratio = np.median([ratio for _, ratio in pulls])
    print(len(pulls), ratio, np.median([pull for pull, _ in pulls]))
    assert len(pulls) > 20
    assert abs(ratio - 1) < 0.03


@pytest.mark.long
def test_what_was_added_is_flagged(mini):
    flagged, bare = rows(NAME, """
        SELECT count(*) FILTER (WHERE x.pixel_flag_injected), count(*) FILTER (WHERE x.pixel_flag_injected IS NOT true)
        FROM synthetic.synthetic_source AS s JOIN synthetic.synthetic_object AS o USING (synthetic_object_id)
        JOIN dia_source AS x ON x.exposure_id = s.exposure_id + 1
         AND hven.sky_separation_arcsec(x.ra, x.dec, o.ra, o.dec) < 0.4""")[0]  # fmt: skip
    assert flagged > 20
    assert bare == 0
