"""Rows of the Science Database's tables for a simulated sky: what tests, benchmarks and the demo load.

Each function returns a mapping of column name to array, as `db.load.load` takes it; but for
`difference_exposures`, whose polygons binary COPY can't take.
"""

import numpy as np

from db.ids import ExposureId, Kind, MeasurementId, ObjectId, VisitId, object_pixel, pack
from db.regions import Point, Polygon
from pipelines.simulate.detections import outlines
from pipelines.simulate.sky import GALAXY, Parameters, Sky

BANDS = ("u", "g", "r", "i", "z", "y")


def filters() -> dict:
    """Rows of `filter`."""
    wavelengths = np.array([368, 484, 622, 754, 869, 971], "f4")
    return {
        "filter_id": np.arange(1, 7, dtype="i2"),
        "name": np.array(BANDS),
        "effective_wavelength": wavelengths,
    }


def detectors(parameters: Parameters) -> dict:
    """Rows of `detector`: a square mosaic without gaps."""
    number = np.arange(parameters.detectors_across**2, dtype="i2")
    side = np.tan(np.radians(parameters.field_radius_deg)) * 2 * 206264.806 / parameters.detectors_across
    width = np.full(number.size, round(side / parameters.pixel_scale), "i4")
    return {
        "detector_id": number,
        "instrument": np.full(number.size, "simulated"),
        "name": np.array([f"S{n:03d}" for n in number]),
        "width": width,
        "height": width,
        "pixel_scale": np.full(number.size, parameters.pixel_scale, "f4"),
    }


def object_ids(rows, release: int) -> np.ndarray:
    """Ids of rows of TRUTH, which are sorted by healpix29, with ties counted within order-25 pixels."""
    pixel = object_pixel(rows["healpix29"])
    tie = np.arange(pixel.size) - np.searchsorted(pixel, pixel)
    return pack(ObjectId(release, pixel, tie))


def objects(sky: Sky, release: int = 0) -> dict:
    """Rows of `object` for all that a catalogue holds before the first Visit, with true positions."""
    rows = sky.objects
    extended = rows["kind"] == GALAXY
    moments = {name: np.ma.masked_array(rows[name], ~extended) for name in ("ixx", "iyy", "ixy")}
    motion = {name: np.ma.masked_array(rows[name], extended) for name in ("pm_ra", "pm_dec")}
    return {
        "object_id": object_ids(rows, release),
        "ra": rows["ra"],
        "dec": rows["dec"],
        "healpix29": rows["healpix29"],
        "mean_ra": rows["ra"],
        "mean_dec": rows["dec"],
        "ra_err": np.full(rows.size, 0.01, "f4"),
        "dec_err": np.full(rows.size, 0.01, "f4"),
        "ra_dec_cov": np.zeros(rows.size, "f4"),
        "extendedness": extended.astype("f4"),
        **motion,
        **moments,
    }


def visits(rows: np.ndarray, parameters: Parameters) -> dict:
    """Rows of `visit` for rows of VISIT."""
    return {
        "visit_id": visit_ids(rows),
        **{name: rows[name] for name in ("ra", "dec", "midpoint_tai", "filter_id", "exposure_time")},
        "night": rows["night"].astype("i2"),
        "sequence": rows["sequence"].astype("i2"),
        "snaps": np.full(rows.size, 2, "i2"),
        "detectors": np.full(rows.size, parameters.detectors_across**2, "i2"),
        "shutter_close_tai": rows["midpoint_tai"] + 17 / 86400,
        "state": np.full(rows.size, "ready"),
    }


def visit_ids(rows: np.ndarray) -> np.ndarray:
    """visit_id of rows of VISIT."""
    return pack(VisitId(rows["night"], rows["sequence"]))


def difference_exposures(visit: np.void, parameters: Parameters) -> list[dict]:
    """Rows of `exposure`, for SQLAlchemy's insert: the difference of a Visit's sum on each detector."""
    visit_id = visit_ids(visit)
    same = {name: visit[name].item() for name in ("midpoint_tai", "filter_id", "exposure_time")}
    same |= {"visit_id": visit_id, "snap": 0, "kind": "difference"}
    corners = np.stack(outlines(parameters, visit), axis=-1).tolist()
    return [
        {
            "exposure_id": pack(ExposureId(visit_id, detector, 0, Kind.DIFFERENCE)),
            "detector_id": detector,
            "footprint": Polygon(tuple(Point(ra, dec) for ra, dec in outline)),
            **same,
        }
        for detector, outline in enumerate(corners)
    ]


def staged_dia_sources(found: np.ndarray, visit: np.void, *, release: int = 0, job_id: int = 0) -> dict:
    """Rows of `staging.dia_source` for rows of DETECTION of one Visit."""
    visit_id, detector = visit_ids(visit), found["detector_id"]
    same = (
        "ra", "dec", "ra_err", "dec_err", "ra_dec_cov", "healpix29", "detector_id", "filter_id",
        "midpoint_tai", "x", "y", "psf_flux", "psf_flux_err", "snr", "ixx", "iyy", "ixy", "extendedness",
        "reliability",
    )  # fmt: skip
    return {
        "dia_source_id": _ids(found, visit_id, release),
        "exposure_id": pack(ExposureId(visit_id, detector, 0, Kind.DIFFERENCE)),
        "visit_id": np.full(found.size, visit_id),
        "job_id": np.full(found.size, job_id, "i8"),
        **{name: found[name] for name in same},
    }


def staged_snaps(found: np.ndarray, visit: np.void, *, release: int = 0, job_id: int = 0) -> dict:
    """Rows of `staging.dia_source_snap`, two for each row of DETECTION."""
    visit_id, snap = visit_ids(visit), np.tile([1, 2], found.size)
    twice = np.repeat(found, 2)
    flux, error = found["snap_flux"].ravel(), found["snap_flux_err"].ravel()
    half = visit["exposure_time"] / 4 / 86400
    return {
        "dia_source_id": _ids(twice, visit_id, release),
        "visit_id": np.full(twice.size, visit_id),
        "snap": snap.astype("i2"),
        "exposure_id": pack(ExposureId(visit_id, twice["detector_id"], snap, Kind.DIFFERENCE)),
        "midpoint_tai": twice["midpoint_tai"] + np.where(snap == 1, -half, half),
        "x": twice["x"],
        "y": twice["y"],
        "psf_flux": flux,
        "psf_flux_err": error,
        "snr": flux / error,
        "cosmic_ray_like": twice["cosmic_ray"] & (np.abs(flux) > 3 * error),
        "job_id": np.full(twice.size, job_id, "i8"),
    }


def _ids(found, visit_id: int, release: int) -> np.ndarray:
    return pack(MeasurementId(release, visit_id, found["detector_id"], 0, found["rank"], 0))
