"""The Alert Production's jobs: a detector from raw frames to staged DiaSources, and a Visit's association."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json, RealDictCursor

from db import queue
from db.errors import HvenError
from db.files import FileStore, register
from db.load import LoadReport, load
from db.provenance import record
from db.queries import queries
from db.queue import Job, NewJob
from db.regions import Point, Polygon
from pipelines import sdqa
from pipelines.image import Exposure, read_exposure
from pipelines.image.files import DamagedFile, exposure_bytes
from pipelines.instruments import instrument
from pipelines.productions import detector as steps
from pipelines.productions import stamps
from pipelines.productions.bootstrap import RELEASE as BOOTSTRAP
from pipelines.productions.detector import DetectorParams
from pipelines.productions.refcat import lookup
from pipelines.productions.release_difference import mosaic
from pipelines.productions.rows import exposure_row, measurement_rows, object_rows, snap_rows, staged_result
from pipelines.productions.signature import Masters
from pipelines.steps.conditions import BadInput
from pipelines.steps.measure import SNAP, force_photometry, measure_snaps
from pipelines.steps.refcat import tycho2

ARCSEC = 3600.0


def process_detector(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `detector`: raw Snaps → difference → staging; finished in the commit of its rows.

    Frames that can't be processed end it with their condition, and the night goes on. A detector that its Visit's
    association has not waited for enqueues a second pass.
    """
    number = job.parameters["detector_id"]
    with connection, connection.cursor() as cursor:
        visit = _visit(connection, job.parameters["visit_id"])
        release = live_release(cursor)
    try:
        with connection, connection.cursor() as cursor:
            sources = inputs(cursor, job.production_id, job.parameters)
        images = make_images(connection, store, sources, number)
    except (BadInput, DamagedFile) as error:
        _give_up(connection, job, error)
        return
    quality, unassessed = sdqa.assess_detector(
        images.calibrated, images.found, images.difference, images.dia_sources
    )
    kinds = {"calibrated": images.calibrated, "difference": images.difference}
    rows = {kind: exposure_row(image, kind, visit, number, job.job_id) for kind, image in kinds.items()}
    files = {kind: store.put(exposure_bytes(image)) for kind, image in kinds.items()}
    identified = measurement_rows(images.dia_sources, "dia_source_id", rows["difference"], release)
    pictures = stamps.make(images.pictures(), identified)
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        cursor.execute(queries("live")["lock_visit"], job.parameters)
        is_late = cursor.fetchone()[0] not in ("arriving", "ready")
        for kind, row in rows.items():
            row["file_id"] = register(cursor, files[kind], "image/fits", job_id=job.job_id)
            cursor.execute(queries("night")["save_exposure"], row)
            record(cursor, job.job_id, kind, "exposure", row["exposure_id"], sources.files(kind, images.templates))
        stamps.save(cursor, store, rows["difference"]["exposure_id"], pictures, job.job_id)
        _keep_quality(cursor, job, rows["calibrated"], quality, unassessed)
        snaps = snap_rows(rows["difference"], sources.times)
        for row in snaps:
            cursor.execute(queries("night")["save_exposure"], row)
        forced = _forced(cursor, rows["difference"], images.difference, release)
        staged = _stage(connection, cursor, job, [rows["difference"], *snaps], identified, forced, images)
        if is_late and "pass" not in job.parameters:  # else the pass is enqueued already, in another site's order
            queue.enqueue(cursor, job.production_id, [second_pass(job.parameters["visit_id"], f"detector {number}")])
        queue.finish(cursor, job, staged_result(staged))


def live_release(cursor) -> int:
    """Return the number in the ids of what is measured now: that of the release which the live database continues."""
    cursor.execute(queries("live")["live_release"])
    return cursor.fetchone()[0]


def second_pass(visit_id: int, why: str) -> NewJob:
    """Return the job that associates what came after a Visit's association."""
    return NewJob("associate", f"visit {visit_id} associate {why}", {"visit_id": visit_id}, priority=1)


def _give_up(connection: Connection, job: Job, error: HvenError) -> None:
    """Record why a detector's frames can't be processed, and finish the job."""
    condition = getattr(error, "condition", "damaged_file")
    visit_id, number = job.parameters["visit_id"], job.parameters["detector_id"]
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        sdqa.tell_failure(cursor, visit_id, visit_id, f"detector {number}: {condition}: {error}")
        cursor.execute(queries("bootstrap")["set_condition"], job.parameters | {"condition": condition})
        queue.finish(cursor, job, {"condition": condition, "reason": str(error)})


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
    template : bytes or None
        Checksum of the template; None: those of the patches under the exposure.
    masters : mapping of str to bytes
        Checksums of master calibrations, by kind; empty for a camera without.
    camera : str
    catalogue : str or None
        Of `refcat`, whose stars WCS and zeropoint are fitted to; None: Tycho-2 from its index on disk.
    times : tuple of float
        Midpoints of the Snaps; the first is the epoch of the reference stars.
    visit_id : int
    """

    raw: tuple[bytes, ...]
    template: bytes | None
    masters: Mapping[str, bytes]
    camera: str
    catalogue: str | None
    times: tuple[float, ...]
    visit_id: int

    def files(self, kind: str, templates: tuple[bytes, ...]) -> dict[str, tuple[bytes, ...]]:
        """Return the checksums that go into the calibrated exposure, or into the difference, by role."""
        masters = {role: (sha256,) for role, sha256 in self.masters.items()}
        return {"raw": self.raw} | masters | ({"template": templates} if kind == "difference" else {})


@dataclass(frozen=True, eq=False)
class Images:
    """What a detector's pixels gave.

    Parameters
    ----------
    calibrated : Exposure
    found : ndarray
        Its detections.
    difference : Exposure
    dia_sources : ndarray
    template : Exposure
    templates : tuple of bytes
        Checksums of what the template was made of.
    apart : Exposure or None
        The first Snap minus the second, where there are two.
    """

    calibrated: Exposure
    found: np.ndarray
    difference: Exposure
    dia_sources: np.ndarray
    template: Exposure
    templates: tuple[bytes, ...]
    apart: Exposure | None = None

    def pictures(self) -> dict[str, Exposure]:
        """Return the images that stamps are cut from, by kind."""
        shown = {"science": self.calibrated, "difference": self.difference, "template": self.template}
        if self.apart:
            total, apart = self.difference.pixels.image, self.apart.pixels.image
            shown["difference_1"] = self.difference.with_image((total + apart) / 2)
            shown["difference_2"] = self.difference.with_image((total - apart) / 2)
        return shown


class NoTemplate(BadInput):
    """A band or detector for which the production names no template."""

    condition = "no_template"


def inputs(cursor, production_id: int, parameters: Mapping) -> Inputs:
    """Return what a job `detector` works on.

    The production's parameters name the files of a camera without masters by `template`; else, for each band and
    detector ("r 0"), template, bias, dark and flat. With `templates`: patches, templates are those that were handed
    over from a release.
    """
    cursor.execute(queries("night")["raw_files"], parameters)
    _, raw, times = zip(*cursor, strict=True)
    cursor.execute(queries("night")["production_parameters"], {"production_id": production_id})
    settings = cursor.fetchone()[0]
    cursor.execute(queries("live")["band"], parameters)
    place = f"{cursor.fetchone()[0]} {parameters['detector_id']}"
    common = {role: settings[role] for role in ("template", "dark", "flat") if settings.get(role)}
    own = settings["files"].get(place) if "files" in settings else common
    of_patches = settings.get("templates") == "patches"
    if not own and not of_patches:
        known = ", ".join(settings.get("files", {})) or "none"
        raise NoTemplate(
            f"detector got band and detector {place}; the production has files for {known}",
            "prepare the field in this band: hven night prepare",
        )
    own = {role: bytes.fromhex(sha256) for role, sha256 in (own or {}).items()}
    template = own.pop("template", None)
    return Inputs(
        tuple(map(bytes, raw)), None if of_patches else template, own, settings["instrument"],
        settings.get("reference"), times, parameters["visit_id"],
    )


def make_images(connection: Connection, store: FileStore, sources: Inputs, number: int) -> Images:
    """Return what a detector's raw Snaps give; the same inputs give the same bits."""
    reference = lookup(connection, sources.catalogue, sources.times[0]) if sources.catalogue else tycho2
    camera, params = instrument(sources.camera), steps.parameters(instrument(sources.camera))
    raws = [store.get(sha256) for sha256 in sources.raw]
    masters = Masters(**{kind: _master(store.get(sha256)) for kind, sha256 in sources.masters.items()})
    apart = None
    if camera.snaps == 2:
        exposure, found, apart = steps.calibrate_snaps(raws, camera, number, masters, reference)
    else:
        exposure, found = steps.calibrate(raws[0], camera, number, params, reference, masters)
    if sources.template:
        templates = (sources.template,)
        made = steps.difference(exposure, found, read_exposure(store.get(sources.template)), params, apart)
    else:
        templates = _templates_under(connection, exposure, sources.visit_id)
        under = mosaic([read_exposure(store.get(sha256)) for sha256 in templates], exposure)
        made = steps.difference_registered(exposure, found, under, params, apart)
    difference, dia_sources, registered = made
    return Images(exposure, found, difference, dia_sources, registered, templates, apart)


def _templates_under(connection: Connection, exposure: Exposure, visit_id: int) -> tuple[bytes, ...]:
    """Return the checksums of the templates of the Visit's band whose patches the exposure meets."""
    outline = Polygon(tuple(Point(*corner) for corner in exposure.wcs.polygon(exposure.shape).tolist()))
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("live")["templates_under"], {"visit_id": visit_id, "outline": outline})
        return tuple(bytes(sha256) for (sha256,) in cursor)


@lru_cache(maxsize=8)  # three for each detector of one band; a worker meets the same ones again all night
def _master(path: Path) -> Exposure:
    return read_exposure(path)


def associate(connection: Connection, _store: FileStore, job: Job) -> None:
    """Run the job `associate`: DiaSources to Objects, then Alerts, and the job's end, all in one commit."""
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        cursor.execute(queries("night")["production_parameters"], {"production_id": job.production_id})
        settings = cursor.fetchone()[0]
        done = {}
        for step, kind in (("associate", "association"), ("select_alerts", "alerts")):
            values = job.parameters | {"parameters": Json(settings.get(kind, {}))}
            cursor.execute(queries("night")[step], values)
            done[step] = cursor.fetchone()[0]
        visit_id = job.parameters["visit_id"]
        cursor.execute(queries("live")["judge_visit"], {"visit_id": visit_id})
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
        objects = object_rows(good, BOOTSTRAP)
        load(connection, "object", objects)
        # Each of these Sources is the first of its Object, in the Objects' order.
        own = measurement_rows(good, "source_id", row, BOOTSTRAP)
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
    connection: Connection, cursor, job: Job, exposures: Sequence[Mapping], rows: Mapping, forced: Mapping | None,
    images: Images,
) -> list[LoadReport]:
    """Replace what an earlier attempt staged; return what was staged.

    `exposures` are the difference's row and those of its Snaps.
    """
    difference, *of_snaps = exposures
    for table in ("dia_source", "dia_source_snap", "forced_dia_source"):
        cursor.execute(queries("night")[f"clear_{table}"], difference)
    staged = {"dia_source": rows}
    if images.apart:
        measured = measure_snaps(images.dia_sources, images.apart)
        snaps = [_of_snap(*pair, rows["dia_source_id"]) for pair in zip(measured, of_snaps, strict=True)]
        staged["dia_source_snap"] = {name: np.concatenate([snap[name] for snap in snaps]) for name in snaps[0]}
    if forced:
        staged["forced_dia_source"] = forced
    return [
        load(connection, f"staging.{table}", columns | {"job_id": np.full(len(columns["visit_id"]), job.job_id)})
        for table, columns in staged.items()
    ]


def _of_snap(measured: np.ndarray, exposure: Mapping, dia_source_ids: np.ndarray) -> dict:
    """Return columns of `dia_source_snap` for one Snap."""
    same = {name: np.full(len(measured), exposure[name]) for name in ("exposure_id", "visit_id", "midpoint_tai")}
    return {name: measured[name] for name in SNAP.names} | same | {"dia_source_id": dia_source_ids}


def _forced(cursor, exposure: Mapping, image: Exposure, release: int) -> dict | None:
    """Return forced photometry of the listed Objects and the predicted MovingObjects that lie on the difference."""
    corners = image.wcs.polygon(image.shape)
    radius = np.hypot((corners[:, 0] - exposure["ra"]) * np.cos(np.radians(exposure["dec"])),
                      corners[:, 1] - exposure["dec"]).max() * ARCSEC
    cursor.execute(queries("night")["to_force"], dict(exposure) | {"radius_arcsec": float(radius)})
    listed = [(object_id, 0, ra, dec) for object_id, ra, dec in cursor]
    cursor.execute(queries("live")["predicted"], exposure)
    listed += [(0, moving_object_id, ra, dec) for moving_object_id, ra, dec in cursor]
    if not listed:
        return None
    object_id, moving_object_id, ra, dec = (np.array(column) for column in zip(*listed, strict=True))
    measured, index = force_photometry(image, ra, dec)
    parents = {"object_id": object_id[index], "moving_object_id": moving_object_id[index]}
    rows = measurement_rows(measured, "forced_dia_source_id", exposure, release)
    return rows | {name: np.ma.masked_equal(parent, 0) for name, parent in parents.items()}
