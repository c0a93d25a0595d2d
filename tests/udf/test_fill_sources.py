"""The Sources of a whole release are associated piece by piece of the sky, and equal those associated by Visits."""

import json
from contextlib import closing

import numpy as np
import psycopg2
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from db import release
from db.connect import connect
from db.ids import MeasurementId, VisitId, pack
from db.load import load
from db.queries import queries
from migrations.upgrade import create_release
from pipelines.productions.rows import healpix29, object_rows, staged_result
from pipelines.simulate.places import scattered, shifted
from udf.association.parameters import Parameters
from udf.association.pieces import SHIFT, WIDTH_ARCSEC, Rows, around, matches, own, rings_for
from udf.sky.cover import ARCSEC, angles, unit_vectors
from udf.sky.healpix import pixels

NAME, NUMBER = "dr14", 14
VISITS = [int(pack(VisitId(9000, number))) for number in range(3)]
PLACES = {"four base pixels": (45, 0), "RA 0": (0, 10), "three base pixels": (0, 41.8103), "pole": (0, 90)}
JOB = """INSERT INTO queue.job (production_id, kind, key, parameters, state)
         SELECT production_id, 'release_calibrate', %s, '{}', 'done' FROM queue.production RETURNING job_id"""
BY = [(name, "f8") for name in ("ra", "dec")] + [
    (name, "f4") for name in ("ra_err", "dec_err", "ra_dec_cov", "extendedness", "ixx", "iyy", "ixy")]  # fmt: skip


def crowded_sky(centre, seed, count=400, radius_arcsec=30.0, noise=0.4):
    """Objects a few tenths to several arcseconds apart, and Sources of them in each Visit, some of nothing."""
    random = np.random.default_rng(seed)
    objects = np.zeros(count, BY)
    objects["ra"], objects["dec"] = scattered(count, *centre, radius_arcsec / 3600, random)
    objects["ra_err"] = objects["dec_err"] = 0.02
    sources = []
    for visit in VISITS:
        seen = np.flatnonzero(random.uniform(size=count) < 0.9)
        ra, dec = shifted(objects["ra"][seen], objects["dec"][seen], *random.normal(0, noise, (2, seen.size)))
        pixel = healpix29(ra, dec)
        order = np.argsort(pixel)
        ids = pack(MeasurementId(NUMBER, visit, 0, 0, np.arange(seen.size), 0))
        sources.append({"source_id": ids, "ra": ra[order], "dec": dec[order], "healpix29": pixel[order]})
    return objects, {name: np.concatenate([each[name] for each in sources]) for name in sources[0]}, noise


def staged(sources, noise, job):
    visit = (sources["source_id"] >> 31) & (2**26 - 1)
    same = {"ra_err": noise, "dec_err": noise, "ra_dec_cov": 0}
    return sources | {name: np.full(visit.size, value, "f4") for name, value in same.items()} | {
        "visit_id": visit, "exposure_id": visit << 12, "detector_id": np.zeros(visit.size, "i2"),
        "filter_id": np.ones(visit.size, "i2"), "midpoint_tai": np.full(visit.size, 59000.0),
        "job_id": np.full(visit.size, job),
    }  # fmt: skip


@pytest.fixture(scope="module")
def database(hub):
    create_release(NAME, NUMBER)
    with closing(connect(NAME)) as session:
        load(session, "filter", {"filter_id": np.ones(1, "i2"), "name": np.array(["r"])})
        visits = np.array(VISITS)
        load(session, "visit", {"visit_id": visits, "night": np.full(3, 9000), "sequence": visits & 4095,
                                "filter_id": np.ones(3, "i2"), "snaps": np.ones(3, "i2"),
                                "detectors": np.ones(3, "i2"), "midpoint_tai": np.full(3, 59000.0)})  # fmt: skip
        session.commit()
        yield session
        session.rollback()
    release.drop(NAME)


@pytest.fixture
def session(database):
    yield database
    database.rollback()


def ask(session, query, *values):
    with session.cursor() as cursor:
        cursor.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


def stage(session, sky):
    """Stage a sky's Sources, each Visit's as one job; return how many."""
    objects, sources, noise = sky
    load(session, "object", object_rows(objects, NUMBER))
    ask(session, "INSERT INTO queue.production (kind, name, software_version) VALUES ('release', 'test', '0')")
    for visit in VISITS:
        ((job,),) = ask(session, JOB, f"visit {visit}")
        mine = sources["source_id"] >> 31 & (2**26 - 1) == visit
        report = load(session, "staging.source", staged({n: c[mine] for n, c in sources.items()}, noise, job))
        ask(session, "UPDATE queue.job SET result = %s WHERE job_id = %s", json.dumps(staged_result([report])), job)
    return sources["source_id"].size


def fill(session, piece=50, **parameters):
    ask(session, queries("build")["open_sources"])
    for part in range(12):
        ask(session, "SELECT hven.fill_sources(%s, %s, %s)", part, json.dumps(parameters), piece)


LINKS = "SELECT source_id, object_id, tile FROM source ORDER BY source_id"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("parameters", [{}, {"radius_arcsec": 4}], ids=["usual", "wide"])
def test_pieces_give_what_visits_give(session, place, parameters):
    sky = crowded_sky(PLACES[place], 3)
    count = stage(session, sky)
    ask(session, "SAVEPOINT staged")
    for visit in VISITS:
        ask(session, "SELECT hven.associate_sources(%s, NULL, %s)", visit, json.dumps(parameters))
    by_visit = ask(session, LINKS)
    ask(session, "ROLLBACK TO staged")
    fill(session, **parameters)
    assert ask(session, LINKS) == by_visit
    assert ask(session, "SELECT hven.close_sources()") == [(count,)]
    assert np.mean([parent is not None for _, parent, _ in by_visit]) > 0.8


def test_the_tile_is_that_of_the_object(session):
    stage(session, crowded_sky((45, 0), 4))
    fill(session)
    ((apart, across),) = ask(session, """
        SELECT count(*) FILTER (WHERE s.tile <> o.healpix29 >> 46), count(*) FILTER (WHERE s.tile <> s.healpix29 >> 46)
        FROM source s JOIN object o USING (object_id)""")
    assert apart == 0
    assert across > 0  # borders were crossed


def test_what_is_staged_otherwise_than_reported_is_refused(session):
    stage(session, crowded_sky((10, 10), 5))
    ((count,),) = ask(session, "SELECT count(*) FROM staging.source WHERE visit_id = %s", VISITS[0])
    ask(session, "DELETE FROM staging.source WHERE source_id = (SELECT min(source_id) FROM staging.source)")
    with pytest.raises(psycopg2.Error, match=f"open_sources: job .*: {count - 1} rows .*, {count} reported") as caught:
        ask(session, queries("build")["open_sources"])
    assert caught.value.pgcode == "VN021"


def test_a_partition_that_was_left_out_is_noticed(session):
    count = stage(session, crowded_sky((45, 0), 6))
    fill(session)
    ((gone,),) = ask(session, "WITH gone AS (DELETE FROM source_04 RETURNING 1) SELECT count(*) FROM gone")
    with pytest.raises(psycopg2.Error, match=f"close_sources: {count} Sources were staged, {count - gone} are in"):
        ask(session, "SELECT hven.close_sources()")


def test_an_unknown_parameter_is_refused_by_name(session):
    with pytest.raises(psycopg2.Error, match="fill_sources: parameter radius is unknown, allowed are radius_arcsec"):
        ask(session, "SELECT hven.fill_sources(0, '{\"radius\": 1}')")


@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90), st.integers(1, 2))
@limits(max_examples=30, deadline=None)
def test_rings_are_as_wide_as_they_are_said_to_be(ra, dec, rings):
    cell = pixels(np.array([ra]), np.array([dec])) >> SHIFT
    lowest, highest = around(cell << SHIFT, rings, int(cell[0]), int(cell[0]) + 1)
    random = np.random.default_rng(0)
    lon, lat = scattered(4000, ra, dec, 1.2 * rings * WIDTH_ARCSEC / 3600, random)
    there = pixels(lon, lat)
    index = np.searchsorted(lowest, there, "right") - 1
    read = ((index >= 0) & (there <= highest[index])) | (there >> SHIFT == cell[0])
    assert angles(unit_vectors(lon, lat), unit_vectors(ra, dec))[~read].min(initial=1) > rings * WIDTH_ARCSEC * ARCSEC


@given(st.integers(0, 2**32), st.sampled_from(list(PLACES.values())), st.integers(2, 5))
@limits(max_examples=10, deadline=None)
def test_each_source_is_of_one_piece_and_the_same_whichever_reads_it(seed, centre, count):
    p, sky = Parameters(radius_arcsec=3.0), crowded_sky(centre, seed, count=150, radius_arcsec=300)
    sources, objects = rows_of(sky)
    whole = own(sources, objects, matches(sources, objects, p)[0], 0, 12 << 2 * 11)
    cells = np.sort(np.random.default_rng(seed).choice(np.unique(sources.healpix29 >> SHIFT), count))
    bounds = [0, *(int(one) for one in cells), 12 << 2 * 11]
    kept = np.zeros(sources.ids.size, int)
    for first, beyond in zip(bounds[:-1], bounds[1:], strict=True):
        found, mine = piece(sources, objects, first, beyond, p)
        kept[mine] += 1
        assert np.array_equal(found, whole[mine])
    assert (kept == 1).all()


def rows_of(sky):
    objects, sources, noise = sky
    known = object_rows(objects, NUMBER)
    small = np.full((2, known["ra"].size), 0.02), np.full((2, sources["ra"].size), noise)
    return tuple(
        Rows.of([*(table[name] for name in (key, "healpix29", "ra", "dec")), *error, 0 * error[0]], Parameters(), floor)
        for key, table, error, floor in (
            ("source_id", sources, small[1], Parameters.floor_arcsec), ("object_id", known, small[0], 0.0))
    )  # fmt: skip


def piece(sources, objects, first, beyond, p):
    """Return Objects of the Sources that a piece keeps, and which these are, reading no more than its rings."""
    def within(rows, lowest, highest):
        index = np.searchsorted(lowest, rows.healpix29, "right") - 1
        cell = rows.healpix29 >> SHIFT
        inside = (cell >= first) & (cell < beyond)
        return inside | ((index >= 0) & (rows.healpix29 <= highest[index]) if lowest.size else False)

    def some(rows, index):
        return Rows(rows.ids[index], rows.healpix29[index], rows.places[index])

    held = np.concatenate([rows.healpix29[within(rows, np.array([]), np.array([]))] for rows in (sources, objects)])
    rings, needed = 0, 1
    while rings < needed:
        rings = needed
        ranges = around(held, rings, first, beyond)
        mine, theirs = np.flatnonzero(within(sources, *ranges)), np.flatnonzero(within(objects, *ranges))
        partner, largest = matches(some(sources, mine), some(objects, theirs), p)
        needed = rings_for(largest, p)
    found = own(some(sources, mine), some(objects, theirs), partner, first, beyond)
    return found[found >= 0], mine[found >= 0]
