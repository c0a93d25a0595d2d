"""Simulated skies: how near association with its default parameters comes to what the sky's own would give."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pipelines.simulate import sky as simulated
from pipelines.simulate.detections import detect
from pipelines.simulate.places import unit
from udf.association.assign import assign
from udf.association.gains import object_gains
from udf.association.parameters import Parameters
from udf.association.rows import Detections, Objects
from udf.plane import ARCSEC, Places, measured


class Crowd:
    """One Visit to a field of so many Objects for each square degree, a third of them galaxies."""

    def __init__(self, density, seed, count=30_000):
        radius = float(np.sqrt(count / density / np.pi))
        parameters = simulated.Parameters(
            seed=seed, objects=count, transients=count // 50, moving=0, variables=0.5, galaxies=0.3, radius_deg=radius,
            field_radius_deg=0.9 * radius, detectors_across=2, spurious=count / 1000, cosmic_rays=0,
        )  # fmt: skip
        sky = simulated.make_sky(parameters)
        self.found, self.rows = detect(sky, simulated.make_visits(parameters, 1, 3)[1]), sky.objects
        rows, none = self.rows, np.zeros(count)
        self.is_galaxy = rows["kind"] == simulated.GALAXY
        footprint = (np.where(self.is_galaxy, rows[name], np.nan) for name in ("ixx", "iyy", "ixy"))
        place = measured(rows["ra"], rows["dec"], none + 0.01, none + 0.01, none, 0.2, 0.0)
        self.objects = Objects(np.arange(count), place, self.is_galaxy.astype(float),
                               Places(rows["ra"], rows["dec"], *footprint), none > 0, none == 0)  # fmt: skip
        self.tree = cKDTree(unit(rows["ra"], rows["dec"]))
        near = self.tree.query_ball_point(unit(self.found["ra"], self.found["dec"]), ARCSEC)
        self.which = np.repeat(np.arange(len(near)), list(map(len, near)))
        self.target = np.concatenate([np.array(sorted(own), int) for own in near])
        known = (self.found["truth"] >= 0) & (self.found["truth"] < count)
        self.truth = np.where(known, self.found["truth"], -1)
        self.area = np.pi * (parameters.field_radius_deg * 3600) ** 2
        self.inside, self.hosted = 0.81, parameters.hosted * (self.found["truth"] >= count).sum()

    def true_parameters(self):
        """Rates and densities as they are in this Visit."""
        new, galaxies = (self.truth < 0).sum(), self.is_galaxy.sum() * self.inside
        seen = (self.truth >= 0).sum() / ((~self.is_galaxy).sum() * self.inside)
        return replace(Parameters(), seen_first=seen, new_density=(new - self.hosted) / self.area, floor_arcsec=0.0,
                       host_rate=self.hosted / galaxies, extended_rate=1e-12)  # fmt: skip

    def right_by(self, parameters):
        """Share of the detections that get their true Object, or none if they have none."""
        f, count = self.found, self.found.size
        place = measured(f["ra"], f["dec"], f["ra_err"], f["dec_err"], f["ra_dec_cov"], 0.2, parameters.floor_arcsec)
        shape, all_ = f["extendedness"].astype(float), np.ones(count, bool)
        mine = Detections(np.arange(count), f["healpix29"], place, shape, all_, all_)
        made = assign(self.which, self.target, object_gains(mine, self.objects, self.which, self.target, parameters))
        got = np.full(count, -1)
        got[self.which[made]] = self.target[made]
        return np.mean(got == self.truth)

    def right_by_nearest(self):
        """Share that the nearest Object within 1 arcsec gets right."""
        apart, nearest = self.tree.query(unit(self.found["ra"], self.found["dec"]))
        return np.mean(np.where(apart < ARCSEC, nearest, -1) == self.truth)


@pytest.mark.parametrize(("density", "loss"), [(1e5, 0.001), (1e6, 0.003)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_default_parameters_lose_little_of_what_the_truth_would_give(density, loss, seed):
    crowd = Crowd(density, seed)
    assert crowd.found.size > 2000
    assert crowd.right_by(Parameters()) >= crowd.right_by(crowd.true_parameters()) - loss
    assert crowd.right_by(Parameters()) > crowd.right_by_nearest() + 0.003
