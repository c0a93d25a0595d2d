import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udf.sky import cover
from udf.sky.healpix import centres, pixels, split

RA = st.one_of(st.floats(0, 360, exclude_max=True), st.sampled_from([0.0, 45.0, 90.0, 180.0, 270.0, 359.99999999]))
DEC = st.one_of(st.floats(-90, 90), st.sampled_from([90.0, -90.0, 89.9999, 0.0, 41.8103149, -41.8103149]))
RADIUS = st.floats(-9, np.log10(np.pi)).map(lambda x: min(10**x, np.pi))


def cap(ra, dec, radius, seed, count=400):
    """Positions within a cap, half of them on its rim."""
    random = np.random.default_rng(seed)
    centre = cover.unit_vectors(ra, dec)
    east, north = cover.unit_vectors(ra + 90, 0.0), cover.unit_vectors(ra, dec + 90)
    turn = random.uniform(0, 2 * np.pi, count)
    reach = np.where(np.arange(count) % 2, radius, radius * np.sqrt(random.uniform(size=count)))
    side = np.cos(turn)[:, None] * east + np.sin(turn)[:, None] * north
    v = np.cos(reach)[:, None] * centre + np.sin(reach)[:, None] * side
    return np.degrees(np.arctan2(v[:, 1], v[:, 0])) % 360, np.degrees(np.arctan2(v[:, 2], np.hypot(v[:, 0], v[:, 1])))


def covered(points, lowest, highest):
    place = pixels(*points)
    found = np.searchsorted(lowest, place, side="right")
    return place <= np.append(-1, highest)[found]


@settings(deadline=None, max_examples=300)
@given(RA, DEC, RADIUS, st.integers(0, 4), st.integers(0, 99))
def test_a_cone_s_cover_is_complete(ra, dec, radius, finer, seed):
    lowest, highest, inside = cover.cover_cone(ra, dec, radius, finer)
    assert (lowest[1:] > highest[:-1]).all()
    assert covered(cap(ra, dec, radius, seed), lowest, highest).all()
    beyond = cap(ra, dec, min(np.pi, radius * 1.5), seed)
    far = cover.angles(cover.unit_vectors(*beyond), cover.unit_vectors(ra, dec)) > radius
    assert not (covered(beyond, lowest[inside], highest[inside]) & far).any()


@settings(deadline=None, max_examples=200)
@given(RA, DEC, RADIUS.filter(lambda r: r < 0.6), st.integers(0, 6), st.integers(0, 99))
def test_covers_of_many_cones_are_complete(ra, dec, radius, coarser, seed):
    others = np.array([10.0, ra, 200.0]), np.array([10.0, dec, -80.0]), np.array([1e-5, radius, 1e-3])
    which, lowest, highest = cover.cover_cones(*others, coarser)
    for n, (a, d, r) in enumerate(zip(*others, strict=True)):
        assert covered(cap(a, d, r, seed), np.sort(lowest[which == n]), np.sort(highest[which == n])).all()


@settings(deadline=None, max_examples=100)
@given(RA, DEC, RADIUS.filter(lambda r: r < 1.5), st.floats(0.05, 1), st.floats(0, 360), st.integers(0, 99))
def test_an_ellipse_s_cover_is_complete(ra, dec, semi_major, ratio, angle, seed):
    region = cover.ellipse(ra, dec, semi_major, semi_major * ratio, angle)
    lowest, highest, inside = cover.cover_region(region, semi_major)
    points = cap(ra, dec, semi_major * 1.2, seed)
    value = region(cover.unit_vectors(*points))
    assert covered(points, lowest, highest)[value <= 0].all()
    assert (value[covered(points, lowest[inside], highest[inside])] <= 1e-12).all()


def test_an_ellipse_has_its_axes():
    region = cover.ellipse(10.0, 60.0, 0.02, 0.005, 30.0)
    for bearing, reach in ((30.0, 0.02), (210.0, 0.02), (120.0, 0.005), (300.0, 0.005)):
        centre, east, north = (
            cover.unit_vectors(10.0, 60.0),
            cover.unit_vectors(100.0, 0.0),
            cover.unit_vectors(10.0, 150.0),
        )
        side = np.sin(np.radians(bearing)) * east + np.cos(np.radians(bearing)) * north
        assert region((np.cos(reach) * centre + np.sin(reach) * side)[None])[0] == pytest.approx(0, abs=1e-14)


@settings(deadline=None, max_examples=100)
@given(RA, st.floats(0.001, 360), DEC, DEC, st.integers(0, 99))
def test_a_box_s_cover_is_complete(west, width, dec1, dec2, seed):
    south, north = min(dec1, dec2), max(dec1, dec2)
    lowest, highest, inside = cover.cover_region(cover.box(west, west + width, south, north), 0.1, finer=1)
    random = np.random.default_rng(seed)
    ra, dec = (west + width * random.uniform(size=300)) % 360, random.uniform(south, north, 300)
    ra[:3], dec[:4] = (west, (west + width) % 360, west), (south, north, north, south)
    assert covered((ra, dec), lowest, highest).all()
    if width < 359:
        outside = (west + width + (360 - width) * random.uniform(0.01, 0.99, 300)) % 360
        assert not covered((outside, dec), lowest[inside], highest[inside])[np.abs(dec) < 89.9].any()


@settings(deadline=None, max_examples=100)
@given(RA, DEC, st.floats(1e-4, 1.2), st.lists(st.floats(0.1, 1), min_size=3, max_size=12), st.integers(0, 99))
def test_a_polygon_s_cover_is_complete(ra, dec, size, reaches, seed):
    """Star-shaped about the centre, where membership follows from the gnomonic plane's bearings."""
    turn = 2 * np.pi * np.arange(len(reaches)) / len(reaches)
    centre, east, north = (
        cover.unit_vectors(ra, dec),
        cover.unit_vectors(ra + 90, 0.0),
        cover.unit_vectors(ra, dec + 90),
    )
    flat = np.tan(size) * np.array(reaches)[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    v = centre + flat @ np.stack([east, north])
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    vertices = np.degrees(np.arctan2(v[:, 1], v[:, 0])), np.degrees(np.arctan2(v[:, 2], np.hypot(v[:, 0], v[:, 1])))
    if cover.polygon_fault(*vertices):
        return
    region = cover.polygon(*vertices)
    lowest, highest, inside = cover.cover_region(region, size)
    random = np.random.default_rng(seed)
    side, weight = random.integers(len(reaches), size=400), random.dirichlet([1, 1, 1], 400)
    within = weight[:, :1] * flat[side] + weight[:, 1:2] * flat[(side + 1) % len(flat)]
    p = centre + within @ np.stack([east, north])
    points = np.degrees(np.arctan2(p[:, 1], p[:, 0])) % 360, np.degrees(np.arctan2(p[:, 2], np.hypot(p[:, 0], p[:, 1])))
    assert covered(points, lowest, highest).all()
    assert (region(p / np.linalg.norm(p, axis=1, keepdims=True)) <= 1e-9).all()
    beyond = cap(ra, dec, min(size * 1.3, 1.5), seed)
    assert (region(cover.unit_vectors(*beyond))[covered(beyond, lowest[inside], highest[inside])] <= 1e-12).all()


@pytest.mark.parametrize(
    ("ra", "dec", "fault"),
    [
        ([], [], "has 0 vertices"),
        ([1, 2], [1, 2], "has 2 vertices"),
        ([0, 1, 0, 1], [0, 1, 1, 0], "crosses itself: side 1 and side 3 meet"),
        ([0, 1, 1, 0], [0, 0, 0, 1], "has a vertex twice in succession"),
        ([0, 120, 240], [0, 0, 0], "is not contained in the hemisphere"),
        ([0, 1, 2], [0, 0, 0], "crosses itself|has no area"),
        ([0, 1, 2, 2, 1.5, 1.5, 0.5, 0.5, 0], [0, 0, 0, 2, 2, 1, 1, 2, 2], None),
        ([359, 1, 1, 359], [-1, -1, 1, 1], None),
        ([0, 90, 180, 270], [80, 80, 80, 80], None),
    ],
)
def test_faults_of_polygons_are_told(ra, dec, fault):
    told = cover.polygon_fault(np.array(ra, float), np.array(dec, float))
    if fault is None:
        assert told is None
    else:
        import re

        assert re.search(fault, told)


@pytest.mark.parametrize("order", [0, 2, 5, 9, 14])
def test_spread_bounds_every_position_of_a_pixel(order):
    random = np.random.default_rng(order)
    v = random.normal(size=(200_000, 3))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    near = v[np.abs(v[:, 2]) > 2 / 3 - 0.1]
    ra, dec = np.degrees(np.arctan2(near[:, 1], near[:, 0])), np.degrees(np.arcsin(near[:, 2]))
    distance = cover.angles(near, centres(pixels(ra, dec, order), order)) * 2**order
    assert distance.max() <= cover.SPREAD
    assert distance.max() > 0.9 * cover.SPREAD or order < 2


@pytest.mark.parametrize("place", [(0.0, 90.0), (45.0, 41.8), (30.0, 60.0), (90.0, 60.0), (0.0, 0.0), (10.0, 41.0)])
def test_reach_bounds_how_fast_pixels_pass(place):
    """Across one face, u and v change by at most REACH nside for each radian, and at the pole by nearly that."""
    radius = 1e-4
    a, b = cap(*place, radius, 1, 4000), cap(*place, radius, 2, 4000)
    x1, y1, f1 = split(pixels(*a), 29)
    x2, y2, f2 = split(pixels(*b), 29)
    same = f1 == f2
    moved = np.maximum(np.abs(x1 - x2), np.abs(y1 - y2))[same] - 1
    angle = cover.angles(cover.unit_vectors(*a), cover.unit_vectors(*b))[same]
    assert (moved <= cover.REACH * 2.0**29 * angle + 1).all()


def test_ranges_are_few():
    random = np.random.default_rng(3)
    ra, dec = random.uniform(0, 360, 10_000), np.degrees(np.arcsin(random.uniform(-1, 1, 10_000)))
    which, lowest, highest = cover.cover_cones(ra, dec, np.full(10_000, cover.ARCSEC))
    assert which.size < 2.1 * 10_000
    area = ((highest - lowest + 1).sum() / 12 / 4.0**29) * 4 * np.pi / 10_000
    assert area < 70 * np.pi * cover.ARCSEC**2
