"""The template of a field: the best calibrated exposures, warped to one grid that covers all of them, and added.

What it shows is the field's hosts: Objects with ellipse and extendedness.
"""

from collections.abc import Sequence

import numpy as np
from psycopg2.extensions import connection as Connection
from scipy.spatial import cKDTree

from db import queue
from db.files import FileStore, register
from db.load import load
from db.provenance import record
from db.queries import queries
from db.queue import Job
from db.regions import Point, Polygon
from pipelines.image import Exposure, Observation, Wcs, read_exposure
from pipelines.image.files import exposure_bytes
from pipelines.productions import detector as steps
from pipelines.productions.detector import DetectorParams
from pipelines.productions.rows import chord, healpix29, object_rows, unit_vectors
from pipelines.steps.coadd import CoaddParams, coadd
from pipelines.steps.detect import detect
from pipelines.steps.patches import patch_at
from pipelines.steps.psf import fit_psf
from pipelines.steps.warp import warp
from pipelines.steps.wcs import gnomonic

RELEASE = 0
INPUTS, PARTS = 24, 8  # exposures, and parts of the night that they come from
ARCMIN = 60.0
KINDS = ("template", "detection", "deep", "chi_squared", "rgb")
"""Kinds of coadds by their number in the id."""


def make_template(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `template`: coadd the best exposures of the release; finished in the commit of its row."""
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("bootstrap")["best"], {"inputs": INPUTS, "parts": PARTS})
        chosen = cursor.fetchall()
    exposures = [read_exposure(store.get(bytes(sha256))) for _, sha256, _ in chosen]
    wcs, shape = grid([(e.wcs, e.shape) for e in exposures])
    warps = [registered(exposure, wcs, shape) for exposure in exposures]
    template, _ = coadd(warps, CoaddParams(subtraction=DetectorParams().subtraction))
    stored = store.put(exposure_bytes(template, compress=False))
    found = hosts(template, DetectorParams())
    patch = patch_row(wcs, shape)
    row = coadd_row(template, "template", RELEASE, patch["patch_id"], chosen[0][2], [e.observation for e in exposures])
    with connection, connection.cursor() as cursor:
        queue.fence(cursor, job)
        cursor.execute(queries("bootstrap")["save_patch"], patch)
        row |= {"job_id": job.job_id, "file_id": register(cursor, stored, "image/fits", name="template.fits",
                                                          job_id=job.job_id)}
        save_coadd(cursor, row, [key for key, *_ in chosen])
        record(cursor, job.job_id, "template", "coadd", row["coadd_id"],
               {"calibrated": [bytes(sha256) for _, sha256, _ in chosen]})
        made = save_hosts(connection, found, float(wcs.pixel_scale(*(n / 2 for n in shape[::-1]))))
        queue.finish(cursor, job, {"template": stored.sha256.hex(), "inputs": len(chosen), "objects": made})


def hosts(template: Exposure, params: DetectorParams) -> np.ndarray:
    """Return the Sources of a template: stars and galaxies with their ellipses."""
    found = steps.sources(template, detect(template, fwhm=params.fwhm), params)
    return found[~found["centroid_flag"] & (found["psf_flux"] > 0) & np.isfinite(found["psf_flux"])]


def save_hosts(connection: Connection, found: np.ndarray, radius_arcsec: float) -> int:
    """Give Objects the shape that the template shows, and make Objects of what no exposure shows; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(queries("bootstrap")["objects"])
        object_id, ra, dec = (np.array(column) for column in zip(*cursor, strict=True))
        places = cKDTree(unit_vectors(ra, dec))
        distance, nearest = places.query(unit_vectors(found["ra"], found["dec"]))
        known = np.flatnonzero(distance < chord(radius_arcsec))
        known = known[np.argsort(distance[known])]
        known = known[np.unique(nearest[known], return_index=True)[1]]  # the nearest of each Object
        cursor.execute(queries("bootstrap")["set_shapes"], {
            "objects": object_id[nearest[known]].tolist(),
            **{name: found[name][known].tolist() for name in ("extendedness", "ixx", "iyy", "ixy")},
        })
    alone = found[distance >= chord(radius_arcsec)]
    load(connection, "object", object_rows(alone, RELEASE))
    return len(alone)


def registered(exposure: Exposure, wcs: Wcs, shape: tuple[int, int], fwhm: float = DetectorParams.fwhm) -> Exposure:
    """Return an exposure on another grid, with its PSF there."""
    warped = warp(exposure, wcs, shape)
    return fit_psf(warped, detect(warped, fwhm=fwhm))[0]


def save_coadd(cursor, row: dict, inputs: Sequence[int]) -> None:
    """Write the row of a coadd, and the ids of the exposures that went in."""
    cursor.execute(queries("bootstrap")["save_coadd"], row)
    cursor.execute(queries("bootstrap")["save_inputs"], {
        "coadd_id": row["coadd_id"], "exposures": list(inputs), "weights": [1 / len(inputs)] * len(inputs),
    })


def grid(images: Sequence[tuple[Wcs, tuple[int, int]]]) -> tuple[Wcs, tuple[int, int]]:
    """Return the north-up gnomonic projection that covers images of one scale, and its rows and columns."""
    corners = np.concatenate([wcs.polygon(shape) for wcs, shape in images])
    ra, dec = (float(v) for v in images[0][0].sky(images[0][1][1] / 2, images[0][1][0] / 2))
    scale = float(images[0][0].pixel_scale(images[0][1][1] / 2, images[0][1][0] / 2))
    plane = 3600 / scale * gnomonic(*corners.T, ra, dec)
    low, high = np.floor(plane.min(axis=0)), np.ceil(plane.max(axis=0))
    columns, rows = (int(n) + 1 for n in high - low)
    # East is to the left: column 0 lies at the highest east.
    return Wcs.tangent(ra, dec, high[0], -low[1], np.diag([-scale, scale]) / 3600), (rows, columns)


def patch_row(wcs: Wcs, shape: tuple[int, int]) -> dict:
    """Return the row of `patch` for a grid of its own."""
    rows, columns = shape
    ra, dec = (float(v) for v in wcs.sky((columns - 1) / 2, (rows - 1) / 2))
    outline = Polygon(tuple(Point(*corner) for corner in wcs.polygon(shape).tolist()))
    return {
        "patch_id": int(patch_at(ra, dec)), "ra": ra, "dec": dec, "healpix29": int(healpix29(ra, dec)),
        "inner_size": float(max(shape) * wcs.pixel_scale(columns / 2, rows / 2) / ARCMIN), "overlap": 0.0,
        "outline": outline, "wcs": wcs.cards,
    }


def coadd_row(
    image: Exposure, kind: str, release: int, patch_id: int, filter_id: int, inputs: Sequence[Observation]
) -> dict:
    """Return the row of `coadd` for an image made of exposures that were taken as `inputs` say."""
    middle = (image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2
    times = [observation.midpoint_tai for observation in inputs]
    variance = image.pixels.variance
    stamp = image.psf.at(*np.rint(middle))
    noise = np.sqrt(np.median(variance[variance > 0]) / np.sum(stamp**2))
    return {
        "coadd_id": release << 57 | patch_id << 20 | KINDS.index(kind) << 16 | filter_id << 8, "patch_id": patch_id,
        "kind": kind, "filter_id": filter_id, "inputs": len(inputs), "first_tai": min(times), "last_tai": max(times),
        "exposure_time": image.observation.exposure_seconds,
        "photo_calib": image.photo_calib.nanojansky_per_count,
        "psf_fwhm": float(image.psf.fwhm(*middle) * image.wcs.pixel_scale(*middle)),
        "depth": float(image.photo_calib.zeropoint - 2.5 * np.log10(5 * noise)),
    }
