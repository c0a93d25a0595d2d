"""A Data Release's jobs after its Objects: differences, DiaSources, forced photometry, the end."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json, RealDictCursor
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from db import queue
from db.files import FileStore
from db.load import load
from db.queries import queries
from db.queue import Job
from pipelines.image import Exposure, MaskedImage, bits, read_exposure
from pipelines.productions.detector import difference_registered
from pipelines.productions.release import ReleaseParams, read_calibrated, save_exposure, settings
from pipelines.productions.rows import chord, exposure_row, healpix29, measurement_rows, object_rows, unit_vectors
from pipelines.steps.conditions import BadInput
from pipelines.steps.detect import detect
from pipelines.steps.measure import force_photometry
from pipelines.steps.warp import warp

ARCSEC = 3600.0
TILE_SHIFT = 46  # of healpix29, to the pixel that partitions are made by


def subtract_template(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `release_difference`: a calibrated exposure less the templates under it, and its DiaSources."""
    place = job.parameters
    with connection, connection.cursor() as cursor:
        params = settings(cursor, job)
        exposure = read_calibrated(cursor, store, place)
        cursor.execute(queries("build")["coadds"], place | {"kind": "template"})
        templates = [bytes(sha256) for *_, sha256 in cursor]
    with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(queries("night")["visit"], place)
        visit = dict(cursor.fetchone())
    condition = None
    try:
        found = detect(exposure, fwhm=params.fwhm)
        under = mosaic([read_exposure(store.get(sha256)) for sha256 in templates], exposure)
        result, dia_sources, _ = difference_registered(exposure, found, under, params.detector)
    except BadInput as error:
        condition = error.condition
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        rows = 0
        if condition is None:
            row = exposure_row(result, "difference", visit, place["detector_id"], job.job_id)
            save_exposure(cursor, store, job, result, row, {"template": templates})
            staged = measurement_rows(dia_sources, "dia_source_id", row, params.release)
            rows = len(dia_sources)
            load(connection, "staging.dia_source", staged | {"job_id": np.full(rows, job.job_id)})
        queue.finish(cursor, job, {"dia_sources": rows, "condition": condition})


def mosaic(templates: Sequence[Exposure], exposure: Exposure) -> Exposure:
    """Return templates of neighbouring patches on an exposure's pixels; where two overlap, the first counts.

    Raises
    ------
    BadInput
        There is none.
    """
    if not templates:
        raise BadInput("difference: no template covers this exposure", "leave it, or make templates of its patches")
    first, *others = [warp(template, exposure.wcs, exposure.shape) for template in templates]
    image, mask, variance = (plane.copy() for plane in (first.pixels.image, first.pixels.mask, first.pixels.variance))
    for other in others:
        ratio = np.float32(other.photo_calib.nanojansky_per_count / first.photo_calib.nanojansky_per_count)
        take = ((mask & bits("NO_DATA")) != 0) & ~other.pixels.flagged("NO_DATA")
        image[take], mask[take] = ratio * other.pixels.image[take], other.pixels.mask[take]
        variance[take] = ratio**2 * other.pixels.variance[take]
    return replace(first, pixels=MaskedImage(image, mask, variance))


def link_dia_sources(connection: Connection, _store: FileStore, job: Job) -> None:
    """Run the job `release_dia_objects`: every DiaSource finds its Object, or is of a new one with its neighbours."""
    with connection, connection.cursor() as cursor:
        params = settings(cursor, job)
        queue.fence(cursor, job)
        cursor.execute(queries("build")["staged"])
        dia = np.array(cursor.fetchall(), [("id", "i8"), ("ra", "f8"), ("dec", "f8"), ("ra_err", "f8"),
                                           ("dec_err", "f8"), ("ra_dec_cov", "f8")])  # fmt: skip
        cursor.execute(queries("build")["objects"])
        objects = np.array(cursor.fetchall(), [("id", "i8"), ("ra", "f8"), ("dec", "f8")])
        parents, new = parents_of(dia, objects, params.dia_match_arcsec, params.release)
        load(connection, "object", new)
        cursor.execute(queries("build")["link"], {"dia_sources": dia["id"].tolist(), "objects": parents.tolist()})
        queue.finish(cursor, job, {"dia_sources": len(dia), "new_objects": len(new["object_id"])})


def parents_of(dia: np.ndarray, objects: np.ndarray, arcsec: float, release: int) -> tuple[np.ndarray, dict]:
    """Return the Object of each DiaSource, and the rows of the new ones.

    A DiaSource belongs to the nearest Object within `arcsec`. Those without are joined to each other wherever two
    are as close (friends of friends), whatever tile they lie in; each group is a new Object at its mean position.
    """
    parents = np.zeros(len(dia), np.int64)
    place = unit_vectors(dia["ra"], dia["dec"])
    if len(objects) and len(dia):
        tree = cKDTree(unit_vectors(objects["ra"], objects["dec"]))
        distance, index = tree.query(place, distance_upper_bound=chord(arcsec))
        matched = np.isfinite(distance)
        parents[matched] = objects["id"][index[matched]]
    rest = np.flatnonzero(parents == 0)
    pairs = np.zeros((0, 2), int)
    if rest.size:
        pairs = cKDTree(place[rest]).query_pairs(chord(arcsec), output_type="ndarray")
    links = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(rest.size, rest.size))
    groups, label = connected_components(links, directed=False)
    rows = object_rows(_means(dia[rest], place[rest], label, groups), release)
    # object_rows sorts by place: which row each group became is told by its position.
    order = np.argsort(healpix29(*_centres(place[rest], label, groups)), kind="stable")
    became = np.empty(groups, np.int64)
    became[order] = rows["object_id"]
    parents[rest] = became[label]
    return parents, rows


def _centres(place: np.ndarray, label: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean ra and dec [deg] of each group."""
    x, y, z = (np.bincount(label, axis, groups) for axis in place.T)
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _means(dia: np.ndarray, place: np.ndarray, label: np.ndarray, groups: int) -> np.ndarray:
    """Return one row a group: mean position, with the error of the mean."""
    rows = np.zeros(groups, [(name, "f8") for name in ("ra", "dec")] + [
        (name, "f4") for name in ("ra_err", "dec_err", "ra_dec_cov", "extendedness", "ixx", "iyy", "ixy")])  # fmt: skip
    rows["ra"], rows["dec"] = _centres(place, label, groups)
    number = np.bincount(label, minlength=groups)
    for name in ("ra_err", "dec_err"):
        rows[name] = np.sqrt(np.bincount(label, dia[name] ** 2, groups)) / number
    for name in ("extendedness", "ixx", "iyy", "ixy"):
        rows[name] = np.nan
    return rows


def force(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `release_forced`: fluxes of all Objects on an exposure, of those that vary on its difference."""
    place = job.parameters
    with connection, connection.cursor() as cursor:
        params = settings(cursor, job)
        images = {kind: read_calibrated(cursor, store, place, kind) for kind in ("calibrated", "difference")}
    with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(queries("night")["visit"], place)
        visit = dict(cursor.fetchone())
    with connection, connection.cursor() as cursor:
        objects = _objects_on(cursor, images["calibrated"])
        loads = {"forced_source": _forced(images["calibrated"], "calibrated", visit, place, objects, params)}
        if images["difference"] is not None:
            varying = objects[objects["dia_sources"] > 0]
            loads["forced_dia_source"] = _forced(images["difference"], "difference", visit, place, varying, params)
        queue.fence(cursor, job)
        for table, rows in loads.items():
            load(connection, table, rows)
        queue.finish(cursor, job, {table: len(rows["object_id"]) for table, rows in loads.items()})


def _objects_on(cursor, image: Exposure) -> np.ndarray:
    ra, dec = (float(v) for v in image.wcs.sky((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2))
    chords = np.linalg.norm(unit_vectors(*image.wcs.polygon(image.shape).T) - unit_vectors(ra, dec), axis=1)
    radius = float(np.degrees(2 * np.arcsin(chords.max() / 2))) * ARCSEC
    cursor.execute(queries("build")["sky_of"], {"ra": ra, "dec": dec, "radius_arcsec": radius})
    return np.array(cursor.fetchall(), [("id", "i8"), ("ra", "f8"), ("dec", "f8"), ("dia_sources", "i4")])


def _forced(
    image: Exposure, kind: str, visit: dict, place: Mapping, objects: np.ndarray, params: ReleaseParams
) -> dict:
    """Return rows of `forced_source` or `forced_dia_source`."""
    measured, index = force_photometry(image, objects["ra"], objects["dec"])
    row = exposure_row(image, kind, visit, place["detector_id"], None)
    own = "forced_source_id" if kind == "calibrated" else "forced_dia_source_id"
    rows = measurement_rows(measured, own, row, params.release)
    return rows | {"object_id": objects["id"][index], "tile": (rows["healpix29"] >> TILE_SHIFT).astype("i4")}


def loaded(connection: Connection, _store: FileStore, job: Job) -> None:
    """Run the job `release_loaded`: all measurements are there, Sources as they were staged."""
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        cursor.execute(queries("build")["open_sources"])
        queue.finish(cursor, job)


def index(connection: Connection, _store: FileStore, job: Job) -> None:
    """Run the job `release_index`: one partition of one table gets its order and its indexes; Sources come in here."""
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        if job.parameters["table"] == "source":
            association = Json(dict(settings(cursor, job).association))
            cursor.execute(queries("build")["fill_sources"], job.parameters | {"association": association})
        else:
            cursor.execute(queries("build")["order_partition"], job.parameters)
        done = cursor.fetchone()[0] or {}
        cursor.execute(queries("build")["index_partition"], job.parameters)
        queue.finish(cursor, job, done | {"rows": cursor.fetchone()[0]})


def finish(connection: Connection, _store: FileStore, job: Job) -> None:
    """Run the job `release_finish`: mean fluxes of all Objects, and how well the release repeats itself."""
    with connection, connection.cursor() as cursor:
        params = settings(cursor, job)
        queue.fence(cursor, job)
        cursor.execute(queries("build")["close_sources"])
        cursor.execute(queries("build")["mean_fluxes"])
        cursor.execute(queries("build")["measure"], {"release": params.release, "job_id": job.job_id})
        queue.finish(cursor, job)
