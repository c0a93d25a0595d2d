"""A small simulated survey at the level of catalogues, with two supernovae, for level1 and for a release."""

from functools import cache

import numpy as np

from db import queue
from db.load import load
from db.queue import NewJob, Production
from pipelines.productions import simulated_sky as rows
from pipelines.productions.alert import associate, live_release
from pipelines.productions.rows import healpix29
from pipelines.simulate.detections import detect
from pipelines.simulate.sky import Parameters, make_sky, make_visits
from pipelines.worker import Kind

NIGHTS, PER_NIGHT = 4, 3
PARAMETERS = Parameters(objects=800, transients=20, moving=0, variables=0.3, radius_deg=0.3, field_radius_deg=0.25,
                        detectors_across=2, spurious=2, cosmic_rays=0)  # fmt: skip
EARLY, LATE = 0, 1
FIRST = {EARLY: 1, LATE: 4}
"""The Visit in which each supernova is first seen; the release ends after the third, the night goes on."""
FAINT = 7
"""A Visit in which the early one stays below the threshold, but for the templates of the release."""


@cache
def survey():
    """Return sky and Visits."""
    return make_sky(PARAMETERS), make_visits(PARAMETERS, NIGHTS, PER_NIGHT)


def place(supernova: int) -> tuple[float, float]:
    """Return ra and dec of a supernova, some arcseconds from an Object."""
    sky, _ = survey()
    near = sky.objects[np.argsort(np.hypot(sky.objects["ra"] - PARAMETERS.ra, sky.objects["dec"] - PARAMETERS.dec))]
    return float(near["ra"][40 * supernova]), float(near["dec"][40 * supernova] + 6 / 3600)


def seen(supernova: int, visit: int, release: int = 0) -> bool:
    """Return whether a Visit detects a supernova."""
    return visit >= FIRST[supernova] and not (supernova == EARLY and visit == FAINT and not release)


def detections(visit: int, release: int) -> np.ndarray:
    """Return rows of DETECTION of a Visit, those of the supernovae at the end."""
    sky, visits = survey()
    found = detect(sky, visits[visit])
    shown = [supernova for supernova in FIRST if seen(supernova, visit, release)]
    more = np.repeat(found[:1], len(shown))
    for row, supernova in zip(more, shown, strict=True):
        scatter = np.random.default_rng([visit, supernova]).normal(0, 0.03 / 3600, 2)
        row["ra"], row["dec"] = np.array(place(supernova)) + scatter
        row["ra_err"] = row["dec_err"] = 0.03
        row["ra_dec_cov"], row["cosmic_ray"], row["extendedness"], row["reliability"] = 0, False, 0.02, 0.97
        row["psf_flux"], row["psf_flux_err"], row["snr"] = 6000 + 100 * visit, 100, 60 + visit
        row["snap_flux"], row["snap_flux_err"] = row["psf_flux"], 141
        row["rank"] = found["rank"].max() + 1 + supernova
    if len(more):
        more["healpix29"] = healpix29(more["ra"], more["dec"])
    return np.concatenate([found, more])


def staged(visit: int, release: int, job_id: int) -> tuple[dict, dict]:
    """Return rows of `staging.dia_source` and `staging.dia_source_snap` of a Visit."""
    found, row = detections(visit, release), survey()[1][visit]
    return tuple(make(found, row, release=release, job_id=job_id)
                 for make in (rows.staged_dia_sources, rows.staged_snaps))  # fmt: skip


def ids() -> list[int]:
    """Return the visit_ids."""
    return [int(one) for one in rows.visit_ids(survey()[1])]


def load_visits(session, part: slice) -> None:
    """Enter Visits as complete."""
    load(session, "visit", rows.visits(survey()[1][part], PARAMETERS))


def stage(connection, _store, job) -> None:
    """Run the job `stage`, in place of `detector`: what the pixels would have given."""
    number = ids().index(job.parameters["visit_id"])
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        tables = zip(("dia_source", "dia_source_snap"), staged(number, live_release(cursor), job.job_id), strict=True)
        reports = [load(connection, f"staging.{table}", rows_of) for table, rows_of in tables]
        result = {r.table: {"rows": r.rows, "xor_id": r.digest.id_xor, "xor_healpix29": r.digest.healpix29_xor}
                  for r in reports}  # fmt: skip
        queue.finish(cursor, job, result)


def jobs(visit) -> list[NewJob]:
    """Return a Visit's jobs."""
    parameters, name = {"visit_id": visit.visit_id}, f"visit {visit.visit_id}"
    measured = NewJob("stage", f"{name} detector", parameters)
    return [measured, NewJob("associate", f"{name} associate", parameters, requires=[measured.key, *visit.earlier])]


KINDS = {"stage": Kind(stage), "associate": Kind(associate)}


def begin(session) -> None:
    """Enter what a live database has before its first Visit, and the production of its nights."""
    load(session, "filter", rows.filters())
    load(session, "detector", rows.detectors(PARAMETERS))
    load(session, "object", rows.objects(survey()[0]))
    with session.cursor() as cursor:
        queue.start_production(cursor, Production("alert", "night", "0", parameters={"instrument": "simcam_512"}))
