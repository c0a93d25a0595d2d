"""Cross-matches against all pairs found by a tree in space, on the tricky positions."""

import numpy as np
import psycopg2
import pytest
from scipy.spatial import cKDTree

from udf.sky.cover import unit_vectors


@pytest.fixture(scope="module", params=["pixels", "no pixels", "by index"])
def tables(positions, request):
    """Return the positions in two halves under new names, shifted; the left half is small where an index pays."""
    half = positions.ra.size // 2
    few = 60 if request.param == "by index" else half
    names = "ra, dec, healpix29" if request.param != "no pixels" else "ra, dec"
    for name, low, high in (("a", half, half + few), ("b", 0, half)):
        positions.ask_nothing(f"DROP TABLE IF EXISTS trial.{name}")
        positions.ask_nothing(
            f"CREATE TABLE trial.{name} AS SELECT id AS {name}_id, {names} FROM trial.with_pixels"
            f" WHERE id >= {low} AND id < {high}"
        )
        positions.ask_nothing(f"ALTER TABLE trial.{name} ADD PRIMARY KEY ({name}_id)")
    if request.param == "by index":
        positions.ask_nothing("CREATE INDEX ON trial.b (healpix29)")
        positions.ask_nothing(
            "INSERT INTO trial.b SELECT -n, 1, 89, hven.healpix29(1, 89) FROM generate_series(1, 9000) n"
        )
    return positions, np.arange(half, half + few), np.arange(half)


def pairs_within(positions, left, right, radius_arcsec):
    """All pairs, by chords; those within 1e-9 arcsec of the radius may be either way."""
    v = unit_vectors(positions.ra, positions.dec)
    chord = 2 * np.sin(np.radians(np.array([-1e-9, 1e-9]) + radius_arcsec) / 3600 / 2)
    tree = cKDTree(v[right])
    near = [tree.query_ball_point(v[left], c) for c in chord]
    sure, possible = ({(int(left[i]), j) for i, js in enumerate(found) for j in js} for found in near)
    return sure, possible


@pytest.mark.parametrize("radius", [0.0, 0.5, 10.0, 59.0, 600.0])
def test_all_pairs_are_found_once(tables, radius):
    positions, left, right = tables
    sure, possible = pairs_within(positions, left, right, radius)
    match = f"hven.sky_crossmatch('trial.a', 'trial.b', {radius})"
    found = positions.ask(f"SELECT left_id, right_id FROM {match} WHERE right_id >= 0")
    assert len(found) == len(set(found))
    assert sure <= set(found) <= possible


def test_separations_are_those_of_the_pairs(tables):
    positions, *_ = tables
    worst = positions.ask(
        "SELECT max(abs(separation_arcsec - hven.sky_separation_arcsec(a.ra, a.dec, b.ra, b.dec)))"
        " FROM hven.sky_crossmatch('trial.a', 'trial.b', 20)"
        " JOIN trial.a ON a_id = left_id JOIN trial.b ON b_id = right_id"
    )
    assert worst == [(0.0,)]


def test_the_nearest_alone(tables):
    positions, left, right = tables
    v = unit_vectors(positions.ra, positions.dec)
    chord, _ = cKDTree(v[right]).query(v[left], distance_upper_bound=2 * np.sin(np.radians(60 / 3600) / 2))
    found = dict(
        positions.ask("SELECT left_id, separation_arcsec FROM hven.sky_crossmatch('trial.a', 'trial.b', 60, true)")
    )
    expected = {int(n): c for n, c in zip(left, chord, strict=True) if np.isfinite(c)}
    assert found.keys() == expected.keys()
    for n, c in expected.items():
        assert found[n] == pytest.approx(np.degrees(2 * np.arcsin(c / 2)) * 3600, rel=1e-6, abs=1e-8)


def test_moving_stars_are_matched_where_they_were(positions):
    """Barnard's star and others, moved by hand to another epoch."""
    positions.ask_nothing("DROP TABLE IF EXISTS trial.stars, trial.plates")
    positions.ask_nothing(
        "CREATE TABLE trial.stars AS SELECT n AS id, a AS ra, d AS dec, pa::float4 AS pm_ra, pd::float4 AS pm_dec,"
        " 2016.0::float8 AS epoch FROM (VALUES (1, 269.4485, 4.73942, -801.551, 10362.394), (2, 0.00001, 60, -5000, 0),"
        " (3, 40, 89.999, 4000, 3000), (4, 100, 10, NULL, NULL)) s (n, a, d, pa, pd)"
    )
    positions.ask_nothing(
        "CREATE TABLE trial.plates AS SELECT id AS plate_id, p.ra AS lon, p.dec AS lat FROM trial.stars,"
        " hven.sky_at_epoch(ra, dec, pm_ra, pm_dec, -66) p"
    )
    columns = "ARRAY['id','ra','dec','pm_ra','pm_dec','epoch'], ARRAY['plate_id','lon','lat']"
    match = "SELECT left_id, right_id FROM hven.sky_crossmatch('trial.stars', 'trial.plates', 0.01, false, {}, {})"
    assert sorted(positions.ask(match.format(columns, "1950"))) == [(n, n) for n in (1, 2, 3, 4)]
    assert positions.ask(match.format(columns, "NULL")) == [(4, 4)]
    [(moved,)] = positions.ask(
        "SELECT hven.sky_separation_arcsec(ra, dec, lon, lat) FROM trial.stars JOIN trial.plates ON id = plate_id"
        " WHERE id = 1"
    )
    straight = np.radians(66 * np.hypot(0.801551, 10.362394) / 3600)  # seen at an ever smaller angle
    assert moved == pytest.approx(np.degrees(np.arctan(straight)) * 3600, rel=1e-7)


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        ("'trial.nothing', 'trial.bare', 1", "42P01", 'relation "trial.nothing" does not exist'),
        ("'trial.with_gist', 'trial.bare', 1", "VN013", "trial.with_gist has no column primary key"),
        ("'trial.bare', 'trial.bare', 1, false, ARRAY['id','ra','de']", "VN013", "trial.bare has no column de"),
        ("'trial.bare', 'trial.bare', 1, false, ARRAY['id','ra']", "VN013", "trial.bare: got 2 columns"),
        ("'trial.bare', 'trial.bare', -1", "VN011", "radius is -1, allowed is 0 to 35000 arcsec"),
        ("'trial.bare', 'trial.bare', 36000", "VN011", "radius is 36000"),
    ],
)
def test_bad_input_is_one_clear_error(positions, call, code, message):
    with pytest.raises(psycopg2.Error, match=message) as caught:
        positions.ask(f"SELECT * FROM hven.sky_crossmatch({call})")
    assert caught.value.pgcode == code
