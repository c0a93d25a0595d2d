"""The bootstrap release: a survey's first frames become Sources, Objects, reference stars and a template.

Its jobs, each a function here: `dark`, the fixed pattern of all frames → `calibrate` each frame by itself → `join`
all of them: one mean catalogue, from which come the Objects, a finer WCS of each frame and, where the stars drift over
the detector, a flat → `measure` each frame's Sources again → `associate_sources` of each Visit → `template`.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json, RealDictCursor

from db import queue
from db.files import FileStore, register
from db.load import LoadReport, load
from db.provenance import record
from db.queries import queries
from db.queue import Job, NewJob
from pipelines.calibrate.masters import fixed_pattern
from pipelines.image import Exposure, Wcs, read_exposure
from pipelines.image.files import exposure_bytes
from pipelines.instruments import Instrument, instrument
from pipelines.productions import detector as steps
from pipelines.productions.detector import DetectorParams
from pipelines.productions.ingest import ingest
from pipelines.productions.refcat import import_tycho2, lookup
from pipelines.productions.rows import exposure_row, healpix29, measurement_rows, object_rows, staged_result
from pipelines.productions.signature import Masters
from pipelines.productions.star_flats import light_of, make_star_flats
from pipelines.steps.acquire import read_raw
from pipelines.steps.background import subtract_background
from pipelines.steps.conditions import BadInput
from pipelines.steps.detect import detect
from pipelines.steps.flat import divide_flat
from pipelines.steps.joint import StarList, fit_jointly

RELEASE = 0
REFERENCE = "bootstrap"
"""Name in `refcat` of the mean catalogue of the first frames."""
POINTING_DEG = 2.0  # how far the telescope may look from where the header says
LEAST_DARK_FRAMES, MOST_DARK_FRAMES = 20, 75
MIN_SNR = 10.0  # of a Source that helps to fit the exposures to each other
ZERO_MAGNITUDE = 31.4  # AB magnitude of 1 nJy


def begin(
    connection: Connection, store: FileStore, raws: Sequence[Path], camera: Instrument, production_id: int
) -> list[int]:
    """Take in the first frames and enqueue all jobs; return the visit_ids."""
    observations = [read_raw(raw, camera)[0].observation for raw in raws]
    pointings = np.array([o.boresight for o in observations if o.boresight])
    middle = np.median(pointings, axis=0)
    with connection:
        import_tycho2(connection, *middle, POINTING_DEG + np.ptp(pointings[:, 1]))
    visits = [ingest(connection, store, raw, camera, production_id, lambda *_: []) for raw in raws]
    with connection, connection.cursor() as cursor:
        queue.enqueue(cursor, production_id, _jobs(visits, camera))
    return visits


def _jobs(visits: Sequence[int], camera: Instrument) -> list[NewJob]:
    places = [(visit, detector.number) for visit in visits for detector in camera.detectors]
    darks = {
        detector.number: NewJob("dark", f"detector {detector.number} dark", {"detector_id": detector.number})
        for detector in camera.detectors
    }
    calibrate = [_job("calibrate", *place, requires=[darks[place[1]].key]) for place in places]
    join = NewJob("join", "join", requires=[job.key for job in calibrate], max_attempts=2)
    measure = [_job("measure", *place, requires=[join.key]) for place in places]
    associate = [
        NewJob("associate_sources", f"visit {visit} associate_sources", {"visit_id": visit}, priority=1,
               requires=[_key("measure", visit, detector.number) for detector in camera.detectors])
        for visit in visits
    ]
    template = NewJob("template", "template", requires=[job.key for job in associate], max_attempts=2)
    return [*darks.values(), *calibrate, join, *measure, *associate, template]


def _job(kind: str, visit_id: int, detector: int, **options) -> NewJob:
    parameters = {"visit_id": visit_id, "detector_id": detector}
    return NewJob(kind, _key(kind, visit_id, detector), parameters, max_attempts=2, **options)


def _key(kind: str, visit_id: int, detector: int) -> str:
    return f"visit {visit_id} detector {detector} {kind}"


def dark(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `dark`: the fixed pattern of a detector, from frames that drift over the sky; few give none."""
    number = job.parameters["detector_id"]
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("night")["production_parameters"], {"production_id": job.production_id})
        camera = instrument(cursor.fetchone()[0]["instrument"])
        cursor.execute(queries("bootstrap")["raw_files"], job.parameters | {"frames": MOST_DARK_FRAMES})
        raws = [bytes(sha256) for (sha256,) in cursor]
    result = {"dark": None}
    if len(raws) >= LEAST_DARK_FRAMES:
        signed = (steps.remove_signature(store.get(raw), camera, number) for raw in raws)
        master = fixed_pattern([subtract_background(exposure)[0] for exposure in signed])
        result["dark"] = store.put(exposure_bytes(master, compress=False))
    with connection, connection.cursor() as cursor:
        if result["dark"]:
            stored = result["dark"]
            register(cursor, stored, "image/fits", name=f"dark-{number}.fits", job_id=job.job_id)
            record(cursor, job.job_id, "dark", "file", None, {"raw": raws})
            result["dark"] = stored.sha256.hex()
        queue.finish(cursor, job, result)


def calibrate(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `calibrate`: a raw frame to a calibrated exposure with a blind WCS, and its first Sources."""
    number = job.parameters["detector_id"]
    camera, visit, raw = _inputs(connection, job)
    reference = lookup(connection, "tycho2", visit["midpoint_tai"])
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("bootstrap")["dark"], job.parameters)
        masters = Masters(dark=_master(store, cursor.fetchone()[0]))
    try:
        exposure, found = steps.calibrate(store.get(raw), camera, number, DetectorParams(), reference, masters)
    except BadInput as error:
        _give_up(connection, job, error)
        return
    found = steps.sources(exposure, found, DetectorParams())
    keep_calibrated(connection, store, job, visit, {"raw": (raw,)}, exposure, found)


def _master(store: FileStore, sha256: str | None) -> Exposure | None:
    return read_exposure(store.get(bytes.fromhex(sha256))) if sha256 else None


def join(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `join`: fit all exposures to their mean catalogue; that becomes Objects and reference stars.

    The same stars tell how the response of each detector varies in each band.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("bootstrap")["exposures"])
        exposures = {row[0]: row[1:] for row in cursor}
        cursor.execute(queries("bootstrap")["stars"], {"min_snr": MIN_SNR})
        stars = {key: np.array([row[1:] for row in rows]).T for key, rows in groupby(cursor, itemgetter(0))}
    lists = []
    for key, (cards, height, width, *_) in exposures.items():
        x, y, error, flux = stars[key][:4]
        lists.append(StarList(x, y, error, flux, Wcs(cards), (height, width)))
    ra, dec, midpoint = np.median([row[3:6] for row in exposures.values()], axis=0)
    reference = lookup(connection, "tycho2", midpoint)(ra, dec, DetectorParams().reference_radius_deg)
    fitted, catalogue, numbers = fit_jointly(lists, reference)
    light = {key: light_of(key, stars[key], number) for key, number in zip(exposures, numbers, strict=True)}
    flats = make_star_flats(connection, store, {key: row[-1] for key, row in exposures.items()}, light)
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        cursor.execute(queries("bootstrap")["set_wcs"], {
            "exposures": list(exposures), "cards": [wcs.cards for wcs in fitted],
        })
        load(connection, "object", _objects(catalogue))
        load(connection, "refcat", _reference_rows(catalogue, midpoint))
        for place, stored in flats.items():
            register(cursor, stored, "image/fits", name=f"flat-{place.replace(' ', '-')}.fits", job_id=job.job_id)
            record(cursor, job.job_id, "star_flat", "file", None, {})
        made = {place: stored.sha256.hex() for place, stored in flats.items()}
        queue.finish(cursor, job, {"exposures": len(lists), "objects": len(catalogue), "flats": made})


def measure(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `measure`: Sources of a calibrated exposure by its final WCS, and a zeropoint by its neighbours."""
    _, visit, raw = _inputs(connection, job)
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("bootstrap")["calibrated"], job.parameters)
        row = cursor.fetchone()
        if row is None:  # it could not be calibrated, which its raw exposure says
            queue.finish(cursor, job, staged_result([]))
            return
        cursor.execute(queries("bootstrap")["flat"], job.parameters)
        flat = _master(store, cursor.fetchone()[0])
    sha256, cards = row
    exposure = read_exposure(store.get(bytes(sha256))).with_(wcs=Wcs(cards))
    if flat is not None:
        exposure = divide_flat(exposure, flat)
    stars = lookup(connection, REFERENCE, visit["midpoint_tai"])
    found = detect(exposure, fwhm=DetectorParams().fwhm)
    exposure = steps.recalibrate(exposure, found, DetectorParams(), stars)
    found = steps.sources(exposure, found, DetectorParams())
    keep_calibrated(connection, store, job, visit, {"raw": (raw,)}, exposure, found)


def associate_sources(connection: Connection, _store: FileStore, job: Job) -> None:
    """Run the job `associate_sources`: each Source finds its Object."""
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        cursor.execute(queries("night")["production_parameters"], {"production_id": job.production_id})
        values = job.parameters | {"parameters": Json(cursor.fetchone()[0].get("association", {}))}
        cursor.execute(queries("bootstrap")["associate_sources"], values)
        queue.finish(cursor, job, cursor.fetchone()[0])


def _inputs(connection: Connection, job: Job) -> tuple[Instrument, dict, bytes]:
    """Return camera, Visit and the raw frame's checksum."""
    with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(queries("night")["production_parameters"], {"production_id": job.production_id})
        camera = instrument(cursor.fetchone()["parameters"]["instrument"])
        cursor.execute(queries("night")["visit"], job.parameters)
        visit = dict(cursor.fetchone())
        cursor.execute(queries("night")["raw_files"], job.parameters)
        return camera, visit, bytes(cursor.fetchone()["sha256"])


def _give_up(connection: Connection, job: Job, error: BadInput) -> None:
    """Record why a frame can't be calibrated, and finish the job: the others go on without it."""
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        cursor.execute(queries("bootstrap")["set_condition"], job.parameters | {"condition": error.condition})
        queue.finish(cursor, job, {"condition": error.condition, "reason": str(error)})


def keep_calibrated(
    connection: Connection, store: FileStore, job: Job, visit: dict, inputs: Mapping, exposure: Exposure,
    sources: np.ndarray, release: int = RELEASE,
) -> None:
    """Store a calibrated exposure with its row, stage its Sources, and finish the job."""
    row = exposure_row(exposure, "calibrated", visit, job.parameters["detector_id"], job.job_id)
    stored = store.put(exposure_bytes(exposure))
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        row["file_id"] = register(cursor, stored, "image/fits", job_id=job.job_id)
        cursor.execute(queries("night")["save_exposure"], row)
        record(cursor, job.job_id, job.kind, "exposure", row["exposure_id"], inputs)
        queue.finish(cursor, job, staged_result([_stage(connection, cursor, job, row, sources, release)]))


def _stage(
    connection: Connection, cursor, job: Job, row: dict, sources: np.ndarray, release: int
) -> LoadReport:
    cursor.execute(queries("bootstrap")["clear_source"], row)
    good = sources[~sources["centroid_flag"] & np.isfinite(sources["psf_flux"])]
    rows = measurement_rows(good, "source_id", row, release)
    return load(connection, "staging.source", rows | {"job_id": np.full(len(good), job.job_id)})


def _objects(catalogue: np.ndarray) -> dict:
    """Return rows of `object` for the stars of the mean catalogue."""
    stars = np.zeros(len(catalogue), [
        ("ra", "f8"), ("dec", "f8"),
        *((name, "f4") for name in ("ra_err", "dec_err", "ra_dec_cov", "extendedness", "ixx", "iyy", "ixy")),
    ])  # fmt: skip
    stars["ra"], stars["dec"] = catalogue["ra"], catalogue["dec"]
    stars["ra_err"] = stars["dec_err"] = catalogue["scatter"] / np.sqrt(catalogue["exposures"])
    for name in ("ixx", "iyy", "ixy"):
        stars[name] = np.nan
    return object_rows(stars, RELEASE)


def _reference_rows(catalogue: np.ndarray, midpoint_tai: float) -> dict:
    """Return rows of `refcat`: the mean catalogue with the magnitudes that the reference gave to it."""
    error = catalogue["scatter"] / np.sqrt(catalogue["exposures"])
    return {
        "catalogue": np.full(len(catalogue), REFERENCE), "refcat_id": np.arange(len(catalogue)),
        "ra": catalogue["ra"], "dec": catalogue["dec"], "healpix29": healpix29(catalogue["ra"], catalogue["dec"]),
        "epoch": np.full(len(catalogue), 2000 + (midpoint_tai - 51544.5) / 365.25),
        "ra_err": error, "dec_err": error,
        "magnitude": ZERO_MAGNITUDE - 2.5 * np.log10(catalogue["flux"]),
        "band": np.full(len(catalogue), "instrumental"),
    }
