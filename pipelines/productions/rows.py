"""Measurements and exposures as rows: ids, links and times put to what the steps measured."""

from collections.abc import Iterable, Sequence

import healpy
import numpy as np

from db.ids import ExposureId, Kind, MeasurementId, ObjectId, object_pixel, pack
from db.load import LoadReport
from db.regions import Point, Polygon
from pipelines.image import Exposure

ORDER = 29
KINDS = {"calibrated": Kind.CALIBRATED, "difference": Kind.DIFFERENCE}


def healpix29(ra, dec) -> np.ndarray:
    """Return the HEALPix index, NESTED, order 29, of positions in deg."""
    return healpy.ang2pix(1 << ORDER, np.asarray(ra), np.asarray(dec), nest=True, lonlat=True)


def exposure_row(exposure: Exposure, kind: str, visit: dict, detector: int, job_id: int | None) -> dict:
    """Return the row of `exposure` for a calibrated exposure or a difference of a Visit's sum."""
    height, width = exposure.shape
    middle = (width - 1) / 2, (height - 1) / 2
    ra, dec = (float(value) for value in exposure.wcs.sky(*middle))
    variance = exposure.pixels.variance
    return {
        "exposure_id": int(pack(ExposureId(visit["visit_id"], detector, 0, KINDS[kind]))),
        "visit_id": visit["visit_id"], "detector_id": detector, "snap": 0, "kind": kind,
        "filter_id": visit["filter_id"], "midpoint_tai": visit["midpoint_tai"],
        "exposure_time": visit["exposure_time"], "ra": ra, "dec": dec, "healpix29": int(healpix29(ra, dec)),
        "wcs": exposure.wcs.cards,
        "footprint": Polygon(tuple(Point(*corner) for corner in exposure.wcs.polygon(exposure.shape).tolist())),
        "psf_model": "pixel", "psf_fwhm": float(exposure.psf.fwhm(*middle) * exposure.wcs.pixel_scale(*middle)),
        "photo_calib": exposure.photo_calib.nanojansky_per_count, "photo_calib_err": exposure.photo_calib.err,
        "zeropoint": float(exposure.photo_calib.zeropoint),
        "sky_noise": float(np.sqrt(np.median(variance[np.isfinite(variance)]))), "file_id": None, "job_id": job_id,
    }


def snap_rows(difference: dict, times: Sequence[float]) -> list[dict]:
    """Return the rows of `exposure` of each Snap's difference, whose pixels are kept in the Visit's only.

    Parameters
    ----------
    difference : dict
        The row of the Visit's.
    times : sequence of float
        Midpoints of the Snaps (TAI, MJD); a Visit of one Snap has no row but its own.
    """
    if len(times) < 2:
        return []
    return [
        difference | {
            "exposure_id": difference["exposure_id"] | number << 2, "snap": number, "midpoint_tai": time,
            "exposure_time": difference["exposure_time"] / len(times), "file_id": None,
        }
        for number, time in enumerate(times, 1)
    ]


def measurement_rows(measured: np.ndarray, id_name: str, exposure: dict, release: int) -> dict:
    """Return columns of `source`, `dia_source` or a forced table: what was measured, with ids and links.

    The rank within the exposure goes by place and then by SNR, so that a rerun gives the same ids.
    """
    pixel = healpix29(measured["ra"], measured["dec"])
    snr = measured["snr"] if "snr" in measured.dtype.names else np.zeros(len(measured))
    rank = np.empty(len(measured), np.int64)
    rank[np.lexsort((-snr, pixel))] = np.arange(len(measured))
    ids = pack(MeasurementId(release, exposure["visit_id"], exposure["detector_id"], exposure["snap"], rank, 0))
    same = {name: np.full(len(measured), exposure[name]) for name in ("exposure_id", "visit_id", "midpoint_tai")}
    small = {name: np.full(len(measured), exposure[name], "i2") for name in ("detector_id", "filter_id")}
    return {name: measured[name] for name in measured.dtype.names} | same | small | {id_name: ids, "healpix29": pixel}


def staged_result(reports: Iterable[LoadReport]) -> dict:
    """Return the result of a job that staged rows: the digests that association compares with what it finds."""
    return {
        report.table: {"rows": rows, "xor_id": id_xor, "xor_healpix29": healpix29_xor}
        for report in reports
        for rows, id_xor, healpix29_xor in [report.digest]
    }


def object_rows(measured: np.ndarray, release: int) -> dict:
    """Return columns of `object` for Sources that are the first of their Objects."""
    pixel = healpix29(measured["ra"], measured["dec"])
    order = np.argsort(pixel, kind="stable")
    measured, pixel = measured[order], pixel[order]
    place = object_pixel(pixel)
    tie = np.arange(place.size) - np.searchsorted(place, place)
    return {
        "object_id": pack(ObjectId(release, place, tie)),
        "ra": measured["ra"], "dec": measured["dec"], "healpix29": pixel,
        "mean_ra": measured["ra"], "mean_dec": measured["dec"],
        **{name: measured[name] for name in ("ra_err", "dec_err", "ra_dec_cov", "extendedness", "ixx", "iyy", "ixy")},
    }


def unit_vectors(ra, dec) -> np.ndarray:
    """Return positions in deg as unit vectors, shape (n, 3)."""
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def chord(arcsec: float) -> float:
    """Return the distance of two unit vectors that are so many arcsec apart."""
    return 2 * np.sin(np.radians(arcsec / 3600) / 2)
