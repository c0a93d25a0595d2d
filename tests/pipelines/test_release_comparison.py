"""Two releases are compared by the match of their Objects."""

from contextlib import closing

import healpy
import numpy as np
import pytest
from lxml import html

from db import release
from db.connect import connect
from db.ids import MeasurementId, ObjectId, VisitId, object_pixel, pack
from db.load import load
from migrations.upgrade import create_release
from pipelines.report.comparison import compare

OBJECTS = 400
EPOCHS, NOISE = 9, 0.02  # mag
SHIFT = 0.02 / 3600  # deg in dec, from dr13 to dr14
FAINTER = 10 ** (-0.4 * 0.01)  # 10 mmag


def fill(name, chosen, dec_shift, factor):
    random = np.random.default_rng(8)
    ra, dec = random.uniform(359.8, 360.2, OBJECTS) % 360, random.uniform(-0.2, 0.2, OBJECTS)
    flux = 10 ** random.uniform(3, 6, OBJECTS)
    ra, dec, flux = ra[chosen], dec[chosen] + dec_shift, flux[chosen] * factor
    place = healpy.ang2pix(1 << 29, ra, dec, nest=True, lonlat=True)
    ids = pack(ObjectId(int(name[2:]), object_pixel(place), np.zeros(len(ra), "i8")))
    order = np.argsort(ids)
    with closing(connect(name)) as session, session:
        load(session, "filter", {"filter_id": [1], "name": np.array(["r"])})
        columns = {"object_id": ids, "ra": ra, "dec": dec, "healpix29": place, "mean_ra": ra, "mean_dec": dec}
        load(session, "object", {key: value[order] for key, value in columns.items()})
        fluxes = {"object_id": ids, "filter_id": np.ones(len(ra), "i2"), "mean_flux": flux.astype("f4")}
        load(session, "object_flux", {key: value[order] for key, value in fluxes.items()})
        for epoch in range(EPOCHS):
            load(session, "source", sources(ids, ra, dec, flux, epoch))


def sources(ids, ra, dec, flux, epoch):
    """Return Sources of an epoch: all fainter by what the clouds take, each by its own noise."""
    count, visit = len(ids), int(pack(VisitId(9000, epoch)))
    clouds, own = 0.1 * epoch, np.random.default_rng(epoch).normal(0, NOISE, count)
    rows = {"source_id": pack(MeasurementId(int(ids[0] >> 57), visit, 0, 0, np.arange(count), 0)), "object_id": ids,
            "ra": ra, "dec": dec, "healpix29": healpy.ang2pix(1 << 29, ra, dec, nest=True, lonlat=True),
            "psf_flux": (flux * 10 ** (-0.4 * (clouds + own))).astype("f4"), "psf_flux_flag": np.zeros(count, bool)}
    same = {"exposure_id": visit << 12, "visit_id": visit, "midpoint_tai": 59000.0 + epoch}
    small = {"detector_id": np.zeros(count, "i2"), "filter_id": np.ones(count, "i2"),
             "tile": (rows["healpix29"] >> 46).astype("i4")}
    return rows | small | {name: np.full(count, value) for name, value in same.items()}


@pytest.fixture(scope="module")
def compared(hub):
    create_release("dr13", 13)
    create_release("dr14", 14)
    everything = np.arange(OBJECTS)
    fill("dr13", everything, 0.0, 1.0)
    fill("dr14", everything[40:], SHIFT, FAINTER)
    yield compare("dr13", "dr14")
    for name in ("dr13", "dr14"):
        release.drop(name)


def facts(compared, name):
    return {key: value if value is None else float(value) for key, value in compared.answers[name].facts()}


def test_objects_are_matched_one_to_one(compared):
    matched = facts(compared, "matched")
    assert (matched["objects_before"], matched["objects_now"], matched["matched_one_to_one"]) == (400, 360, 360)
    assert matched["median_separation_mas"] == pytest.approx(20, abs=0.1)


def test_shift_and_magnitudes_are_recovered(compared):
    assert facts(compared, "shift") == pytest.approx({"median_ra_mas": 0, "median_dec_mas": 20}, abs=0.1)
    (row,) = compared.answers["photometry"].rows
    assert (row[0], float(row[2]), float(row[3])) == ("r", pytest.approx(10, abs=0.1), pytest.approx(0, abs=0.1))


def test_light_curves_scatter_by_their_noise_not_by_the_clouds(compared):
    answer = compared.answers["repeatability"]
    assert answer.columns[2::2] == ("Source light curves of dr13", "Source light curves of dr14")
    stars, scatter = (np.array([row[first::2] for row in answer.rows], float) for first in (2, 3))
    assert list(stars.sum(axis=0)) == [OBJECTS, OBJECTS - 40]
    assert np.average(scatter[:, 0], weights=stars[:, 0]) == pytest.approx(1000 * NOISE, rel=0.2)


def test_what_is_missing_lowers_completeness(compared):
    rows = compared.answers["completeness"].rows
    found = sum(float(row[1]) * float(row[2]) / 100 for row in rows if row[1])
    assert found == pytest.approx(360, abs=0.5)
    assert {float(row[4]) for row in rows if row[3]} == {100.0}


def test_the_match_leads_from_old_ids_to_new(compared):
    with closing(connect("dr14")) as session, session.cursor() as cursor:
        found = "SELECT count(*), count(DISTINCT other_object_id) FROM object_match WHERE other_release = 13"
        cursor.execute(found)
        assert cursor.fetchone() == (360, 360)


def test_page_shows_both_figures(compared):
    page = html.fromstring(compared.page())
    drawn = page.xpath("//section[.//*[local-name()='svg']]/@id")
    assert drawn == ["separations", "magnitudes", "repeatability"]
    assert page.xpath("//section[@id='schema']//p/text()") == ["None."]
