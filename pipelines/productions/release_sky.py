"""A Data Release's jobs on patches of the sky: which there are, their coadds, and the Objects on them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_batch
from scipy.spatial import cKDTree

from db import queue
from db.build import BULK
from db.files import FileStore, register
from db.load import load
from db.partitions import BASE_PIXELS
from db.provenance import record
from db.queries import queries
from db.queue import Job, NewJob
from db.regions import Point, Polygon
from pipelines.image import Exposure, Wcs, read_exposure
from pipelines.image.files import exposure_bytes
from pipelines.productions.release import ATTEMPTS, ReleaseParams, place_job, settings
from pipelines.productions.rows import chord, healpix29, object_rows, unit_vectors
from pipelines.productions.template import coadd_row, registered, save_coadd
from pipelines.steps.coadd import CoaddParams, coadd, place_of
from pipelines.steps.conditions import BadInput
from pipelines.steps.detect import detect
from pipelines.steps.measure import SOURCE, force_photometry, measure_sources
from pipelines.steps.patches import HEIGHT, OVERLAP, Patch, patch, patch_at, patches_touched

ARCMIN = 60.0
LEAST_OVERLAP, LEAST_PART = 200, 0.5  # pixels both ways, or part of a patch: less holds too few stars for a PSF


def plan_patches(connection: Connection, _store: FileStore, job: Job) -> None:
    """Run the job `release_patches`: which exposures cover which patch of sky; enqueue all that follows."""
    with connection, connection.cursor() as cursor:
        params = settings(cursor, job)
        cursor.execute(queries("build")["calibrated"])
        exposures = cursor.fetchall()
        scale = _scale(exposures)
        touched = {e[0]: _patches(Wcs(e[4]).polygon(e[5:7]), scale) for e in exposures}
        known = sorted(set().union(*touched.values()))
        execute_batch(cursor, queries("build")["save_patches"], [_patch_row(patch(p), scale) for p in known])
        queue.fence(cursor, job)
        queue.enqueue(cursor, job.production_id, _jobs(exposures, touched))
        queue.finish(cursor, job, {"patches": len(known), "exposures": len(exposures), "pixel_scale": scale,
                                   "release": params.release})


def _scale(exposures: Sequence) -> float:
    """Return the side of the coadds' pixels [arcsec]: the exposures' own, to a milliarcsecond."""
    sides = [Wcs(e[4]).pixel_scale(e[6] / 2, e[5] / 2) for e in exposures[:100]]
    return round(float(np.median(sides)), 3) if sides else 0.2


def _patches(polygon: np.ndarray, scale: float) -> list[int]:
    """Return the patches whose images an exposure covers by enough."""
    return [int(p) for p in patches_touched(polygon) if _box(patch(p), scale, [polygon]) is not None]


def _box(piece: Patch, scale: float, polygons: Iterable[np.ndarray]) -> tuple[int, int, int, int] | None:
    """Return x_lo, x_hi, y_lo, y_hi of the part of a patch's image that outlines cover; None if hardly any."""
    wcs, (rows, columns) = piece.grid(scale)
    corners = np.concatenate([np.stack(wcs.pixel(*polygon.T), axis=-1) for polygon in polygons])
    low = np.clip(np.floor(corners.min(axis=0)), 0, (columns, rows)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, (columns, rows)).astype(int)
    least = min(LEAST_OVERLAP, LEAST_PART * min(rows, columns))  # coarse pixels hold more stars each
    if not np.isfinite(corners).all() or (high - low).min() < least:
        return None
    return int(low[0]), int(high[0]), int(low[1]), int(high[1])


def _patch_row(piece: Patch, scale: float) -> dict:
    wcs, shape = piece.grid(scale)
    ra, dec = piece.centre
    inner = [(piece.ra[i], piece.dec[j]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    return {
        "patch_id": piece.patch_id, "ra": ra, "dec": dec, "healpix29": int(healpix29(ra, dec)),
        "inner_size": HEIGHT * ARCMIN, "overlap": OVERLAP * ARCMIN, "wcs": wcs.cards,
        "inner_region": Polygon(tuple(Point(ra % 360, dec) for ra, dec in inner)),
        "outer_region": Polygon(tuple(Point(*corner) for corner in wcs.polygon(shape).tolist())),
    }


def _jobs(exposures: Sequence, touched: Mapping[int, Sequence[int]]) -> list[NewJob]:
    """Return the jobs of all later phases."""
    groups = defaultdict(list)
    for exposure_id, _, _, filter_id, *_ in exposures:
        for piece in touched[exposure_id]:
            groups[piece, filter_id].append(exposure_id)
    coadds = {
        key: NewJob("release_coadd", f"patch {key[0]} filter {key[1]} coadd",
                    {"patch_id": key[0], "filter_id": key[1], "exposures": inputs}, max_attempts=ATTEMPTS)
        for key, inputs in groups.items()
    }
    objects = {
        piece: NewJob("release_objects", f"patch {piece} objects", {"patch_id": piece}, max_attempts=ATTEMPTS,
                      requires=[job.key for (where, _), job in coadds.items() if where == piece])
        for piece in sorted({piece for piece, _ in groups})
    }
    difference = [
        place_job("release_difference", visit_id, detector_id, filter_id=filter_id, patches=list(touched[exposure_id]),
                  requires=[coadds[piece, filter_id].key for piece in touched[exposure_id]])
        for exposure_id, visit_id, detector_id, filter_id, *_ in exposures
    ]
    dia = NewJob("release_dia_objects", "dia_objects", max_attempts=ATTEMPTS,
                 requires=[job.key for job in (*difference, *objects.values())])
    forced = [place_job("release_forced", e[1], e[2], requires=[dia.key]) for e in exposures]
    loaded = NewJob("release_loaded", "loaded", max_attempts=ATTEMPTS,
                    requires=[job.key for job in (*forced, dia)])
    index = [
        NewJob("release_index", f"index {table} {part}", {"table": table, "part": part}, max_attempts=ATTEMPTS,
               requires=[loaded.key])
        for table in BULK for part in range(BASE_PIXELS)
    ]
    finish = NewJob("release_finish", "finish", max_attempts=ATTEMPTS, requires=[job.key for job in index])
    return [*coadds.values(), *objects.values(), *difference, dia, *forced, loaded, *index, finish]


def make_coadds(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `release_coadd`: the template of the finest images, the deep coadd of all, of one patch and band."""
    piece, filter_id = patch(job.parameters["patch_id"]), job.parameters["filter_id"]
    with connection, connection.cursor() as cursor:
        params = settings(cursor, job)
        cursor.execute(queries("build")["inputs"], job.parameters)
        chosen = cursor.fetchall()
    warps, shape = _warps(piece, store, chosen, params)
    made = []
    if warps:
        how = CoaddParams(subtraction=params.detector.subtraction)
        ids = list(warps)
        first = _finest(warps, shape, params.template_inputs)
        template = coadd([warps[key] for key in first], how, shape)[0]
        deep = template if first == ids else coadd(list(warps.values()), how, shape)[0]
        made = [("template", template, first), ("deep", deep, ids)]
    checksums = {key: bytes(sha256) for key, sha256, _ in chosen}
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        for kind, image, inputs in made:
            stored = store.put(exposure_bytes(image, compress=False))
            observed = [warps[key].observation for key in inputs]
            row = coadd_row(image, kind, params.release, piece.patch_id, filter_id, observed)
            row |= {"job_id": job.job_id, "file_id": register(cursor, stored, "image/fits", job_id=job.job_id)}
            save_coadd(cursor, row, inputs)
            used = {"calibrated": [checksums[key] for key in inputs]}
            record(cursor, job.job_id, kind, "coadd", row["coadd_id"], used)
        queue.finish(cursor, job, {"inputs": len(warps), "left_out": sorted(set(checksums) - set(warps))})


def _warps(
    piece: Patch, store: FileStore, chosen: Sequence, params: ReleaseParams
) -> tuple[dict[int, Exposure], tuple[int, int]]:
    """Return exposures on the parts of a patch's grid that they cover, the finest first; not those of no PSF there.

    And the shape of the grid that holds all of them.
    """
    exposures = {key: read_exposure(store.get(bytes(sha256))) for key, sha256, _ in chosen}
    outlines = {key: exposure.wcs.polygon(exposure.shape) for key, exposure in exposures.items()}
    scale = _scale([(0, 0, 0, 0, cards, *exposures[key].shape) for key, _, cards in chosen])
    left, right, bottom, top = _box(piece, scale, outlines.values())
    wcs = piece.grid(scale)[0]
    warps = {}
    for key, exposure in exposures.items():
        x_lo, x_hi, y_lo, y_hi = _box(piece, scale, [outlines[key]])
        try:
            warp = registered(exposure, wcs.shifted(-x_lo, -y_lo), (y_hi - y_lo, x_hi - x_lo), params.fwhm)
        except BadInput:
            continue
        warps[key] = warp.with_(pixels=warp.pixels.with_(x0=x_lo - left, y0=y_lo - bottom))
    return warps, (top - bottom, right - left)


def _finest(warps: Mapping[int, Exposure], shape: tuple[int, int], number: int) -> list[int]:
    """Return the finest exposures, so many over most of what each of them covers: detectors lie side by side."""
    covered, chosen = np.zeros(shape, int), []
    for key, warp in warps.items():
        here = covered[place_of(warp)]
        if np.median(here) < number:
            here += 1
            chosen.append(key)
    return chosen


def find_objects(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `release_objects`: detections on a patch's deep coadds, merged over the bands, become Objects."""
    with connection, connection.cursor() as cursor:
        params = settings(cursor, job)
        cursor.execute(queries("build")["bands"])
        names = dict(cursor.fetchall())
        cursor.execute(queries("build")["coadds"], {"kind": "deep", "patches": [job.parameters["patch_id"]],
                                                    "filter_id": None})
        coadds = {filter_id: read_exposure(store.get(bytes(sha256))) for _, filter_id, _, sha256 in cursor}
    order = sorted(coadds, key=lambda key: ((params.bands + names[key][0]).index(names[key][0]), key))
    merged = np.zeros(0, SOURCE)
    for filter_id in order:
        found = _detected(coadds[filter_id], job.parameters["patch_id"], params)
        merged = np.concatenate([merged, found[~_near(found, merged, params.match_arcsec)]])
    objects = object_rows(merged, params.release)
    fluxes = [_coadd_fluxes(coadds[filter_id], filter_id, objects) for filter_id in order]
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        load(connection, "object", objects)
        for rows in fluxes:
            load(connection, "object_flux", rows)
        queue.finish(cursor, job, {"objects": len(merged)})


def _detected(image: Exposure, patch_id: int, params: ReleaseParams) -> np.ndarray:
    """Return the Sources of a coadd that lie in the patch's inner region."""
    found = measure_sources(image, detect(image, params.fwhm, params.threshold), params.detector.aperture)
    good = ~found["centroid_flag"] & np.isfinite(found["psf_flux"]) & (found["psf_flux"] > 0)
    return found[good & (patch_at(found["ra"], found["dec"]) == patch_id)]


def _coadd_fluxes(image: Exposure, filter_id: int, objects: Mapping) -> dict:
    measured, index = force_photometry(image, objects["ra"], objects["dec"])
    good = ~measured["psf_flux_flag"]
    return {
        "object_id": objects["object_id"][index[good]], "filter_id": np.full(good.sum(), filter_id, "i2"),
        "coadd_flux": measured["psf_flux"][good], "coadd_flux_err": measured["psf_flux_err"][good],
    }


def _near(found: np.ndarray, known: np.ndarray, arcsec: float) -> np.ndarray:
    """Return which of the positions have a known one within a distance."""
    if not len(known) or not len(found):
        return np.zeros(len(found), bool)
    tree = cKDTree(unit_vectors(known["ra"], known["dec"]))
    return np.isfinite(tree.query(unit_vectors(found["ra"], found["dec"]), distance_upper_bound=chord(arcsec))[0])
