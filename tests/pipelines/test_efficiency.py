"""Efficiency and host matching of a mini-DR, by rows whose answer is known."""

from contextlib import closing

import pytest
from click.testing import CliRunner
from psycopg2.extras import execute_values

from db import release
from db.connect import connect
from migrations.upgrade import create_release
from pipelines.cli.efficiency import efficiency
from pipelines.productions.efficiency import NoSynthetics, measure

NAME, NUMBER = "mini_rows", 61
VISIT = 9000 << 12 | 1
CALIBRATED, DIFFERENCE = (VISIT << 12) + 1, (VISIT << 12) + 2
STEP = 20 / 3600  # deg between sources
FAINTEST_FOUND = 12  # of 20, each half as bright as the last but one
NOISE = 100.0
SETUP = """
INSERT INTO filter (filter_id, name) VALUES (1, 'r');
INSERT INTO detector (detector_id, instrument, name, width, height, pixel_scale)
VALUES (0, 'simcam_1k', '0', 1024, 1024, 0.2);
INSERT INTO visit (visit_id, night, sequence, filter_id, snaps, detectors, midpoint_tai)
VALUES (%(visit)s, 9000, 1, 1, 1, 1, 59000);
INSERT INTO exposure (exposure_id, visit_id, detector_id, snap, kind, filter_id, midpoint_tai, exposure_time)
VALUES (%(calibrated)s, %(visit)s, 0, 0, 'calibrated', 1, 59000, 30),
       (%(difference)s, %(visit)s, 0, 0, 'difference', 1, 59000, 30)
"""


@pytest.fixture(scope="module")
def mini(hub):
    create_release(NAME, NUMBER)
    with closing(connect(NAME)) as session, session, session.cursor() as cursor:
        cursor.execute(SETUP, {"visit": VISIT, "calibrated": CALIBRATED, "difference": DIFFERENCE})
        flux = [20000 * 2 ** (-n / 2) for n in range(20)]
        place = [(10 + n * STEP, 0.0) for n in range(20)]
        # Each event lies 2″ north of its galaxy; those of odd number lie nearer to another one.
        galaxies = [(ra, dec - 2 / 3600) for ra, dec in place]
        nearer = [(ra, dec + 1 / 3600) for ra, dec in place[1::2]]
        hosts = [f'{{"separation_arcsec": 2, "host_ra": {ra}, "host_dec": {dec}}}' for ra, dec in galaxies]
        execute_values(cursor, """
            INSERT INTO object (object_id, ra, dec, healpix29, mean_ra, mean_dec, extendedness, ixx, iyy, ixy)
            VALUES %s""", [((NUMBER << 57) + 8 * n, ra, dec, n, ra, dec, 1, 1, 1, 0)
                           for n, (ra, dec) in enumerate(galaxies + nearer, 1)])  # fmt: skip
        execute_values(cursor, """
            INSERT INTO synthetic.synthetic_object (synthetic_object_id, object_class, parameters, ra, dec, healpix29,
                                                    host_object_id) VALUES %s""", [
            (n, "test", hosts[n], *place[n], n, n) for n in range(20)])  # fmt: skip
        execute_values(cursor, "INSERT INTO synthetic.synthetic_source VALUES %s",
                       [(n, CALIBRATED, 59000, 500, 500, flux[n], 10) for n in range(20)])  # fmt: skip
        execute_values(cursor, """
            INSERT INTO dia_source (dia_source_id, exposure_id, visit_id, detector_id, filter_id, midpoint_tai, ra, dec,
                                    healpix29, tile, psf_flux, psf_flux_err, snr) VALUES %s""", [
            ((NUMBER << 57) + n, DIFFERENCE, VISIT, 0, 1, 59000, *place[n], n, 0, flux[n], NOISE, flux[n] / NOISE)
            for n in range(FAINTEST_FOUND)])  # fmt: skip
        cursor.execute("UPDATE object SET healpix29 = hven.healpix29(ra, dec)")
    yield NAME
    release.drop(NAME)


def test_the_bright_are_found_and_the_faint_are_not(mini):
    found = measure(mini)
    bins = found.curves["magnitude"]
    assert sum(one.found for one in bins) == FAINTEST_FOUND
    assert sum(one.tried for one in bins) == 20
    assert found.expected == pytest.approx(31.4 - 2.5 * 2.69897, abs=1e-3)  # 500 nJy
    assert found.half_magnitude == pytest.approx(31.4 - 2.5 * 2.574, abs=0.3)  # between 11 and 12: 442 and 312 nJy


def test_hosts_are_right_where_no_other_galaxy_is_nearer(mini):
    found = measure(mini)
    assert (found.hosted, found.matched) == (FAINTEST_FOUND, FAINTEST_FOUND // 2)


def test_the_verb_prints_tables_and_writes_a_page(mini, tmp_path):
    page = tmp_path / "page.html"
    done = CliRunner().invoke(efficiency, [mini, "-o", str(page)], catch_exceptions=False)
    assert "Half is found at" in done.output
    assert "brightness under it" in done.output
    assert page.read_text().count("<svg") == 4


def test_a_database_without_synthetic_objects_is_refused(hub):
    with pytest.raises(NoSynthetics, match="level1 holds nothing synthetic"):
        measure("level1")
