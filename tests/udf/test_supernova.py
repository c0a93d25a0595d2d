"""The first half of LDM-151, 6.4, at the level of catalogues: a supernova in a galaxy that is listed already."""

import numpy as np

from pipelines.simulate.places import shifted
from tests.udf.test_real_association import rows_of


def explode(night, visit, galaxy, flux):
    """Stage, associate and alert one detection 0.4 arcsec from a galaxy's centre, and its Snaps."""
    visit_id, random = night.ids[visit], np.random.default_rng(visit)
    ra, dec = shifted(*(np.array([galaxy[axis]]) for axis in ("ra", "dec")), *random.normal([[0.3], [-0.25]], 0.02))
    one = {"psf_flux": flux, "psf_flux_err": 100.0, "snr": flux / 100, "ra_err": 0.02, "dec_err": 0.02,
           "extendedness": 0.05, "reliability": 0.95,
           "midpoint_tai": float(night.visits["midpoint_tai"][visit])}  # fmt: skip
    staged, _ = rows_of(visit_id, {"ra": ra, "dec": dec} | {name: np.array([value]) for name, value in one.items()})
    staged["filter_id"] = np.array([night.visits["filter_id"][visit]], "i2")
    job = night.job()
    snaps = {"dia_source_id": np.repeat(staged["dia_source_id"], 2), "visit_id": np.full(2, visit_id),
             "snap": np.array([1, 2], "i2"), "exposure_id": np.full(2, visit_id << 12), "job_id": np.full(2, job),
             "midpoint_tai": np.full(2, one["midpoint_tai"]), "psf_flux": np.full(2, flux),
             "psf_flux_err": np.full(2, 141.0), "snr": np.full(2, flux / 141)}  # fmt: skip
    night.stage_rows(job, staged | {"job_id": np.array([job])}, snaps)
    night.associate(visit)
    return night.alerts(visit)["alerts"], int(staged["dia_source_id"][0])


def test_a_supernova_in_a_listed_galaxy_becomes_an_object_with_a_light_curve(night):
    columns = ("object_id", "ra", "dec")
    galaxy = dict(zip(columns, night.rows(
        "SELECT object_id, ra, dec FROM level1.object WHERE extendedness = 1 AND ixx > 0.3 ORDER BY 1 LIMIT 1"
    )[0], strict=True))  # fmt: skip
    first, one = explode(night, 0, galaxy, 1500.0)
    supernova = night.ask("SELECT object_id FROM level1.dia_source WHERE dia_source_id = %s", one)
    assert first == 1
    assert supernova != galaxy["object_id"]
    host = night.rows("SELECT object_id, host_object_id FROM level1.alert WHERE dia_source_id = %s", one)
    assert host == [(supernova, galaxy["object_id"])]
    for visit, flux in enumerate((3000.0, 2500.0, 1200.0), 1):
        explode(night, visit, galaxy, flux)
    curve = night.rows("SELECT psf_flux FROM hven.light_curve(%s)", supernova)
    assert np.ravel(curve).tolist() == [1500, 3000, 2500, 1200]
    assert night.ask("SELECT dia_sources FROM level1.object WHERE object_id = %s", galaxy["object_id"]) == 0
    assert night.rows("SELECT object_id FROM level1.force_list") == [(supernova,)]
