"""The Alert Production's jobs: a detector from raw frames to staged DiaSources, and a Visit's association."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json, RealDictCursor

from db import queue
from db.files import FileStore, register
from db.load import LoadReport, load
from db.provenance import record
from db.queries import queries
from db.queue import Job
from pipelines import sdqa
from pipelines.image import Exposure, read_exposure
from pipelines.image.files import exposure_bytes
from pipelines.instruments import instrument
from pipelines.productions import detector as steps
from pipelines.productions import stamps
from pipelines.productions.detector import DetectorParams
from pipelines.productions.refcat import lookup
from pipelines.productions.rows import exposure_row, measurement_rows, object_rows, staged_result
from pipelines.steps.measure import force_photometry
from pipelines.steps.refcat import tycho2

RELEASE = 0
ARCSEC = 3600.0


def process_detector(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `detector`: raw Snaps → difference → staging; finished in the commit of its rows."""
    number = job.parameters["detector_id"]
    with connection, connection.cursor() as cursor:
        visit = _visit(connection, job.parameters["visit_id"])
        sources = inputs(cursor, job.production_id, job.parameters)
    exposure, found, result, dia_sources, template = make_images(connection, store, sources, number)
    quality, unassessed = sdqa.assess_detector(exposure, found, result, dia_sources)
    images = {"calibrated": exposure, "difference": result}
    rows = {kind: exposure_row(image, kind, visit, number, job.job_id) for kind, image in images.items()}
    files = {kind: store.put(exposure_bytes(image)) for kind, image in images.items()}
    identified = measurement_rows(dia_sources, "dia_source_id", rows["difference"], RELEASE)
    pictures = stamps.make({"science": exposure, "difference": result, "template": template}, identified)
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        for kind, row in rows.items():
            row["file_id"] = register(cursor, files[kind], "image/fits", job_id=job.job_id)
            cursor.execute(queries("night")["save_exposure"], row)
            record(cursor, job.job_id, kind, "exposure", row["exposure_id"], sources.files(kind))
        stamps.save(cursor, store, rows["difference"]["exposure_id"], pictures, job.job_id)
        _keep_quality(cursor, job, rows["calibrated"], quality, unassessed)
        staged = _stage(connection, cursor, job, rows["difference"], identified, result)
        queue.finish(cursor, job, staged_result(staged))


def _keep_quality(cursor, job: Job, exposure: Mapping, quality: Mapping[str, float], unassessed: str) -> None:
    visit_id, exposure_id = exposure["visit_id"], exposure["exposure_id"]
    with sdqa.guarded(cursor, visit_id, exposure_id):
        sdqa.write(cursor, exposure_id, quality, job.job_id)
    if unassessed:
        sdqa.tell_failure(cursor, visit_id, exposure_id, unassessed)


@dataclass(frozen=True)
class Inputs:
    """What a detector's products are made from.

    Parameters
    ----------
    raw : tuple of bytes
        Checksums of the raw Snaps.
    template : bytes
        Checksum of the template.
    camera : str
    catalogue : str or None
        Of `refcat`, whose stars WCS and zeropoint are fitted to; None: Tycho-2 from its index on disk.
    midpoint_tai : float
        Epoch of the reference stars.
    dark : bytes or None
        Checksum of the master dark.
    """

    raw: tuple[bytes, ...]
    template: bytes
    camera: str
    catalogue: str | None
    midpoint_tai: float
    dark: bytes | None = None

    def files(self, kind: str) -> dict[str, tuple[bytes, ...]]:
        """Return the checksums that go into the calibrated exposure, or into the difference, by role."""
        known = {"raw": self.raw} | ({"dark": (self.dark,)} if self.dark else {})
        return known | ({"template": (self.template,)} if kind == "difference" else {})


def inputs(cursor, production_id: int, parameters: Mapping) -> Inputs:
    """Return what a job `detector` works on."""
    cursor.execute(queries("night")["raw_files"], parameters)
    _, raw, times = zip(*cursor, strict=True)
    cursor.execute(queries("night")["production_parameters"], {"production_id": production_id})
    settings = cursor.fetchone()[0]
    return Inputs(
        tuple(map(bytes, raw)), bytes.fromhex(settings["template"]), settings["instrument"],
        settings.get("reference"), times[0], bytes.fromhex(settings.get("dark") or "") or None,
    )


def make_images(
    connection: Connection, store: FileStore, sources: Inputs, number: int
) -> tuple[Exposure, np.ndarray, Exposure, np.ndarray, Exposure]:
    """Return a detector's calibrated exposure, its detections, the difference, its DiaSources, and the template.

    The same inputs give the same bits.
    """
    reference = lookup(connection, sources.catalogue, sources.midpoint_tai) if sources.catalogue else tycho2
    camera = instrument(sources.camera)
    dark = read_exposure(store.get(sources.dark)) if sources.dark else None
    raw = store.get(sources.raw[0])
    exposure, found = steps.calibrate(raw, camera, number, DetectorParams(), reference, dark)
    template = read_exposure(store.get(sources.template))
    return exposure, found, *steps.difference(exposure, found, template, DetectorParams())


def associate(connection: Connection, _store: FileStore, job: Job) -> None:
    """Run the job `associate`: DiaSources to Objects, then Alerts, and the job's end, all in one commit."""
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        cursor.execute(queries("night")["production_parameters"], {"production_id": job.production_id})
        values = job.parameters | {"parameters": Json(cursor.fetchone()[0].get("association", {}))}
        done = {}
        for step in ("associate", "select_alerts"):
            cursor.execute(queries("night")[step], values)
            done[step] = cursor.fetchone()[0]
        visit_id = job.parameters["visit_id"]
        with sdqa.guarded(cursor, visit_id, visit_id):
            sdqa.measure_visit(cursor, visit_id, job.job_id)
        queue.finish(cursor, job, done)


def make_template(connection: Connection, store: FileStore, raw: Path, camera: str, visit_id: int) -> str:
    """Let one frame be the template, and its Sources the first Objects; return the template's checksum.

    This is how a survey's first night starts when there is no release to take templates from.
    """
    exposure, found = steps.calibrate(raw, instrument(camera), 0, DetectorParams())
    sources = steps.sources(exposure, found, DetectorParams())
    good = sources[~sources["centroid_flag"]]
    stored = store.put(exposure_bytes(exposure, compress=False))
    with connection, connection.cursor() as cursor:
        visit = _visit(connection, visit_id)
        row = exposure_row(exposure, "calibrated", visit, 0, None)
        row["file_id"] = register(cursor, stored, "image/fits", name="template.fits")
        cursor.execute(queries("night")["save_exposure"], row)
        objects = object_rows(good, RELEASE)
        load(connection, "object", objects)
        # Each of these Sources is the first of its Object, in the Objects' order.
        own = measurement_rows(good, "source_id", row, RELEASE)
        order = np.argsort(own["healpix29"], kind="stable")
        load(connection, "source", {name: column[order] for name, column in own.items()}
             | {"object_id": objects["object_id"]})
    return stored.sha256.hex()


def _visit(connection: Connection, visit_id: int) -> dict:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(queries("night")["visit"], {"visit_id": visit_id})
        if not cursor.rowcount:
            raise LookupError(f"there is no Visit {visit_id}: ingest its raw frames first")
        return dict(cursor.fetchone())


def _stage(
    connection: Connection, cursor, job: Job, exposure: Mapping, rows: Mapping, image: Exposure
) -> list[LoadReport]:
    """Replace what an earlier attempt staged; return what was staged."""
    for table in ("dia_source", "dia_source_snap", "forced_dia_source"):
        cursor.execute(queries("night")[f"clear_{table}"], exposure)
    job_ids = np.full(len(rows["dia_source_id"]), job.job_id)
    reports = [load(connection, "staging.dia_source", {**rows, "job_id": job_ids})]
    forced = _forced(cursor, exposure, image)
    if forced:
        job_id = np.full(len(forced["object_id"]), job.job_id)
        reports.append(load(connection, "staging.forced_dia_source", forced | {"job_id": job_id}))
    return reports


def _forced(cursor, exposure: Mapping, image: Exposure) -> dict | None:
    """Return forced photometry of the listed Objects that lie on the difference."""
    corners = image.wcs.polygon(image.shape)
    radius = np.hypot((corners[:, 0] - exposure["ra"]) * np.cos(np.radians(exposure["dec"])),
                      corners[:, 1] - exposure["dec"]).max() * ARCSEC
    cursor.execute(queries("night")["to_force"], dict(exposure) | {"radius_arcsec": float(radius)})
    listed = cursor.fetchall()
    if not listed:
        return None
    object_id, ra, dec = (np.array(column) for column in zip(*listed, strict=True))
    measured, index = force_photometry(image, ra, dec)
    rows = measurement_rows(measured, "forced_dia_source_id", exposure, RELEASE)
    return rows | {"object_id": object_id[index]}
