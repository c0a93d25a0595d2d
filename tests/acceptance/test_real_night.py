"""A real night from raw frames without WCS or calibrations: a bootstrap release, and the night that runs on it."""

from contextlib import closing
from functools import cache

import numpy as np
import pytest

from db.connect import connect
from migrations.upgrade import recreate, recreate_release
from pipelines import real_night, report
from pipelines.image import Wcs
from pipelines.instruments import instrument
from pipelines.report import transit_page
from pipelines.steps.refcat import tycho2
from pipelines.steps.wcs import match
from tests.pipelines.shared_data import SHARED, needs_astrometry_net, needs_data

pytestmark = [needs_data("hatp32_microobservatory"), needs_astrometry_net]
FOLDER = SHARED / "hatp32_microobservatory"
CAMERA = instrument("microobservatory")
PLANET = transit_page.find("HAT-P-32 b")


def prepare(raws, store):
    recreate_release(real_night.RELEASE, 0)
    recreate(real_night.LEVEL1)
    return real_night.RealNight(raws, CAMERA, store, 2)


@pytest.fixture(scope="module")
def few(hub, tmp_path_factory):
    """What came of a handful of frames, on both databases."""
    night = prepare(real_night.frames(FOLDER)[30:35], tmp_path_factory.mktemp("files"))
    told = []
    release = real_night.make_release(night, lambda *phase: told.append(phase))
    return release, real_night.observe(night, lambda *phase: told.append(phase)), told


def ask(database, query, values=None):
    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def tycho_residuals():
    """Median distance in arcsec of each exposure's Sources from Tycho-2."""
    exposures = ask(real_night.RELEASE, "SELECT exposure_id, wcs, ra, dec FROM exposure WHERE kind = 'calibrated'")
    medians = []
    for key, cards, ra, dec in exposures:
        stars = cached_tycho2(round(ra, 1), round(dec, 1))
        x, y = np.array(ask(real_night.RELEASE, "SELECT x, y FROM source WHERE exposure_id = %s", [key])).T
        wcs = Wcs(cards)
        detected, referenced = match(x, y, stars, wcs, 5.0)
        east = (wcs.sky(x[detected], y[detected])[0] - stars["ra"][referenced]) * np.cos(np.radians(dec))
        north = wcs.sky(x[detected], y[detected])[1] - stars["dec"][referenced]
        medians.append(3600 * np.median(np.hypot(east, north)))
    return np.array(medians)


@cache
def cached_tycho2(ra, dec):
    return tycho2(ra, dec, 1.0)


def test_every_frame_is_solved(few):
    release, _, _ = few
    assert release["exposures"] == 5
    assert tycho_residuals().max() < 0.8


def test_stars_become_objects_with_light_curves(few):
    assert few[0]["objects"] > 500
    often = ask(real_night.RELEASE, "SELECT count(*) FROM (SELECT object_id FROM source WHERE object_id IS NOT NULL"
                                    " GROUP BY object_id HAVING count(*) = 5) AS o")
    assert often[0][0] > 400


def test_what_the_template_shows_are_objects_with_ellipses(few):
    shaped, faint = ask(real_night.LEVEL1, """
        SELECT count(*) FILTER (WHERE ixx * iyy > ixy ^ 2 AND extendedness IS NOT NULL),
               count(*) FILTER (WHERE NOT EXISTS (SELECT FROM refcat AS r WHERE r.healpix29 = o.healpix29
                                                  AND r.catalogue = 'bootstrap'))
        FROM object AS o""")[0]
    assert shaped > 500
    assert faint > 50


def test_one_query_gives_a_normalised_light_curve(few):
    with closing(connect(real_night.RELEASE)) as session:
        found = report.ask(session, "ensemble", "light_curve", ra=PLANET.ra, dec=PLANET.dec, radius_arcsec=8)
    rows = found.rows
    assert len(rows) == 5
    assert np.abs(np.array([flux for *_, flux, _ in rows]) - 1).max() < 0.04


def test_the_night_starts_from_the_release(few):
    objects = [ask(name, "SELECT object_id, ra, dec FROM object WHERE dia_sources = 0 OR first_tai IS NULL ORDER BY 1")
               for name in (real_night.RELEASE, real_night.LEVEL1)]
    assert set(objects[1]) <= set(objects[0])
    found = ask(real_night.LEVEL1, "SELECT count(*), count(DISTINCT visit_id) FROM exposure WHERE kind = 'difference'")
    assert found == [(5, 5)]


def test_the_star_of_a_known_planet_is_forced_though_nothing_is_detected_there(few):
    with closing(connect(real_night.LEVEL1)) as session:
        middle = ask(real_night.LEVEL1, "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY midpoint_tai) FROM visit")
        found = report.ask(session, "ensemble", "forced", ra=PLANET.ra, dec=PLANET.dec, middle_tai=middle[0][0],
                           half=4 / 1440)  # fmt: skip
    percent, error, measurements = found.rows[0]
    assert measurements == 5
    assert abs(percent) < 5 * error + 3


def test_progress_is_told(few):
    phases = [phase for phase, *_ in few[2]]
    assert {"release", "night"} == set(phases)
    assert all(done <= jobs for _, done, jobs in few[2])


@pytest.mark.long
def test_the_whole_night_shows_the_transit(hub, tmp_path):
    night = prepare(real_night.frames(FOLDER), tmp_path)
    assert real_night.make_release(night, lambda *_: None)["exposures"] == 142
    assert tycho_residuals().max() < 0.8
    with closing(connect(real_night.RELEASE)) as session:
        curves, planet, star = transit_page.observed(session, PLANET, CAMERA.site)
    found = transit_page.fit(curves, planet, star)
    assert 1440 * abs(found.mid_transit - planet.mid_transit) < 3
    assert 1440 * found.mid_transit_err < 1.5
    assert found.ratio == pytest.approx(0.150, abs=0.010)
    assert transit_page.scatter(curves, planet, star) < 0.0047
    assert transit_page.comparison(curves, planet, star) < 0.0050
    real_night.observe(night, lambda *_: None)
    left = ask(real_night.LEVEL1, "SELECT count(*) / 142.0 FROM dia_source WHERE NOT rejected")
    assert left[0][0] < 10
    visits = ask(real_night.LEVEL1, "SELECT midpoint_tai FROM visit ORDER BY 1")
    offset = np.median(curves.time - np.array(visits).ravel())  # from TAI to BJD TDB
    with closing(connect(real_night.LEVEL1)) as session:
        forced = report.ask(session, "ensemble", "forced", ra=PLANET.ra, dec=PLANET.dec, half=1.5 / 24,
                            middle_tai=planet.mid_transit - offset)  # fmt: skip
    assert forced.rows[0][0] == pytest.approx(-2.2, abs=0.5)
