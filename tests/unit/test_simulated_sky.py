import healpy
import numpy as np
import pytest

from pipelines.simulate import orbits
from pipelines.simulate.detections import COSMIC_RAY, MOVING, SPURIOUS, detect, outlines
from pipelines.simulate.places import axes, position, projected, shifted, unit
from pipelines.simulate.sky import GALAXY, TRANSIENT, VARIABLE, Parameters, make_sky, make_visits

MANY = Parameters(
    objects=20_000, transients=5000, moving=200, variables=0.4, galaxies=0.3, spurious=200, cosmic_rays=100
)


@pytest.fixture(scope="module")
def sky():
    return make_sky(MANY)


@pytest.fixture(scope="module")
def visits():
    return make_visits(MANY, 3, 6)


@pytest.fixture(scope="module")
def found(sky, visits):
    return detect(sky, visits[10])


def true_positions(sky, found, visit):
    """Where the detected bodies of the catalogue truly were, and which rows they are."""
    rows = (found["truth"] >= 0) & (found["truth"] < sky.objects.size)
    truth = sky.objects[found["truth"][rows]]
    years = (visit["midpoint_tai"] - MANY.epoch) / 365.25
    return *shifted(
        truth["ra"], truth["dec"], truth["pm_ra"] * years / 1e3, truth["pm_dec"] * years / 1e3
    ), rows


def test_the_same_seed_gives_the_same_sky_and_another_another(sky):
    assert (make_sky(MANY).objects == sky.objects).all()
    other = make_sky(Parameters(seed=2, objects=20_000))
    assert not np.isin(other.objects["healpix29"], sky.objects["healpix29"]).any()


def test_a_visit_does_not_depend_on_the_others(sky, visits, found):
    detect(sky, visits[3])
    assert (detect(sky, visits[10]) == found).all()


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.9, -30.0), (12.0, 90.0), (200.0, -89.9)])
def test_a_sky_may_lie_anywhere(ra, dec):
    sky = make_sky(Parameters(objects=2000, ra=ra, dec=dec))
    distance = np.degrees(np.arccos(unit(sky.objects["ra"], sky.objects["dec"]) @ unit(ra, dec)))
    assert distance.max() <= 2.0
    assert ((sky.objects["ra"] >= 0) & (sky.objects["ra"] < 360)).all()
    # A quarter of the area lies within half of the radius.
    assert (distance < 1).mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 2000))


def test_rows_are_sorted_by_healpy_s_pixel(sky, found):
    for rows in (sky.objects, sky.transients, found):
        assert (np.diff(rows["healpix29"]) >= 0).all()
        expected = healpy.ang2pix(2**29, rows["ra"], rows["dec"], nest=True, lonlat=True)
        assert (rows["healpix29"] == expected).all()


def test_positions_scatter_by_the_reported_covariance(sky, found, visits):
    ra, dec, rows = true_positions(sky, found, visits[10])
    east, north = axes(ra, dec)
    step = unit(found["ra"][rows], found["dec"][rows]) - unit(ra, dec)
    x, y = (np.einsum("ij,ij->i", step, axis) * 206264.806 for axis in (east, north))
    xx, yy, xy = found["ra_err"][rows] ** 2.0, found["dec_err"][rows] ** 2.0, found["ra_dec_cov"][rows]
    chi2 = (yy * x**2 - 2 * xy * x * y + xx * y**2) / (xx * yy - xy**2)
    assert chi2.mean() == pytest.approx(2, abs=4 * 2 / np.sqrt(chi2.size))


def test_nothing_below_the_threshold_is_reported(found):
    assert (found["snr"] >= MANY.threshold).all()
    assert (np.sign(found["psf_flux"]) == 1).any()
    assert (np.sign(found["psf_flux"]) == -1).any()


def test_detections_are_lost_at_the_given_rate(visits):
    from dataclasses import replace

    complete = detect(make_sky(replace(MANY, losses=0.0)), visits[0])
    lossy = detect(make_sky(replace(MANY, losses=0.25)), visits[0])
    bodies = [np.sum((rows["truth"] >= 0) | (rows["truth"] <= MOVING)) for rows in (lossy, complete)]
    assert bodies[0] / bodies[1] == pytest.approx(0.75, abs=4 * np.sqrt(0.19 / bodies[1]))


def test_false_detections_are_named(found):
    assert (found["truth"] == SPURIOUS).sum() == pytest.approx(200, abs=60)
    assert (found["truth"] == COSMIC_RAY).sum() == pytest.approx(100, abs=40)


def test_a_cosmic_ray_hits_one_snap(found):
    flux = found["snap_flux"][found["truth"] == COSMIC_RAY]
    assert (np.abs(flux).min(axis=1) < 1e-3).all()


def test_the_visit_s_flux_is_the_mean_of_its_snaps(found):
    np.testing.assert_allclose(found["snap_flux"].mean(axis=1), found["psf_flux"], rtol=1e-4, atol=0.1)


def test_ranks_count_within_detectors(found):
    for detector in np.unique(found["detector_id"]):
        rank = found["rank"][found["detector_id"] == detector]
        assert rank.tolist() == list(range(rank.size))


def test_detections_lie_within_the_outline_of_their_detector(found, visits):
    ra, dec = outlines(MANY, visits[10])
    x, y = projected(found["ra"], found["dec"], visits[10]["ra"], visits[10]["dec"])
    corner_x, corner_y = projected(ra, dec, visits[10]["ra"], visits[10]["dec"])
    own = found["detector_id"]
    assert (x >= corner_x[own].min(axis=1) - 1e-6).all() and (x <= corner_x[own].max(axis=1) + 1e-6).all()
    assert (y >= corner_y[own].min(axis=1) - 1e-6).all() and (y <= corner_y[own].max(axis=1) + 1e-6).all()


def test_hosted_transients_stand_in_galaxies(sky):
    galaxies = unit(*(sky.objects[name][sky.objects["kind"] == GALAXY] for name in ("ra", "dec")))
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(galaxies).query(unit(sky.transients["ra"], sky.transients["dec"]))
    assert (distance * 206265 < 5).mean() == pytest.approx(MANY.hosted, abs=0.05)


def test_each_kind_is_seen(sky, visits):
    seen = np.concatenate([detect(sky, visit)["truth"] for visit in visits])
    kinds = np.concatenate([sky.objects["kind"], sky.transients["kind"]])[seen[seen >= 0]]
    assert set(kinds.tolist()) == {VARIABLE, TRANSIENT}
    assert (seen <= MOVING).any()


def test_moving_objects_stand_in_the_field_at_the_epoch_and_move_on(sky):
    ra, dec = position(orbits.directions(sky.moving, MANY.epoch, MANY.epoch)[0])
    x, y = projected(ra, dec, MANY.ra, MANY.dec)
    assert (np.hypot(x, y) < 2.1 * 3600).all()
    later = position(orbits.directions(sky.moving, MANY.epoch, MANY.epoch + 1 / 24)[0])
    speed = np.hypot(*(np.subtract(projected(*later, MANY.ra, MANY.dec), (x, y))))
    assert 5 < np.median(speed) < 60  # arcsec per hour


def test_an_orbit_keeps_its_energy_and_its_plane(sky):
    """Two-body motion by central differences: the slow way to the velocity."""
    days, step = 200.0, 1e-3
    before, at, after = (orbits.propagate(sky.moving, days + s) for s in (-step, 0, step))
    velocity = (after - before) / (2 * step)

    def energy_and_spin(r, v):
        return (v**2).sum(axis=1) / 2 - orbits.GM_SUN / np.linalg.norm(r, axis=1), np.cross(r, v)

    now, then = energy_and_spin(at, velocity), energy_and_spin(sky.moving["position"], sky.moving["velocity"])
    np.testing.assert_allclose(now[0], then[0], rtol=1e-6)
    np.testing.assert_allclose(now[1], then[1], atol=1e-9)


def test_shifting_and_projecting_are_inverse():
    ra, dec = np.array([0.0, 359.99999, 120.0, 10.0]), np.array([0.0, 45.0, 89.9999, -90.0])
    moved = shifted(ra, dec, np.array([3.0, -2.0, 5.0, 1.0]), np.array([1.0, 2.0, -3.0, 2.0]))
    for n in range(4):
        x, y = projected(moved[0][n], moved[1][n], ra[n], dec[n])
        assert (x, y) == pytest.approx([(3.0, 1.0), (-2.0, 2.0), (5.0, -3.0), (1.0, 2.0)][n], abs=1e-6)
