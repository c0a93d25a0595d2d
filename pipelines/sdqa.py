"""Quality of a detector: every metric of `db/metrics.yaml` at that level, from pixels and measurements."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from db.queries import queries
from pipelines.image import Exposure
from pipelines.instruments import available, instrument

PLANES = {"saturated": "SAT", "cosmic_ray": "CR", "bad": "BAD", "interpolated": "INTRP", "no_data": "NO_DATA",
          "streak": "STREAK", "suspect": "SUSPECT"}
MAD = 1.4826  # standard deviation over median absolute deviation of a normal distribution
ZERO_MAGNITUDE = 31.4  # AB magnitude of 1 nJy


def measure_detector(exposure: Exposure, found: np.ndarray, difference: Exposure, dia_sources: np.ndarray) -> dict:
    """Return metric → value for a calibrated exposure, its detections, its difference and the DiaSources.

    A part of nothing (dipoles among no DiaSources) is 0; a value is NaN only where pixels or calibration are missing.
    """
    values = {
        **_pixels(exposure), **_psf(exposure), **_astrometry(exposure), **_depth(exposure, "depth"),
        **_sources(exposure, found), **_difference(difference), **_depth(difference, "difference_depth"),
        **_dia_sources(exposure, dia_sources),
    }
    calibration = exposure.photo_calib
    values |= {"zeropoint": calibration.zeropoint,
               "zeropoint_err": 2.5 / np.log(10) * calibration.err / calibration.nanojansky_per_count,
               "cloud_extinction": _clear(exposure) - calibration.zeropoint}
    return {f"detector.{name}": float(value) for name, value in values.items()}


def assess_detector(*images) -> tuple[dict, str]:
    """Return what `measure_detector` does, and no reason; or no values, and the reason why it could not.

    Quality is no reason to lose a detector's measurements.
    """
    try:
        return measure_detector(*images), ""
    except Exception:
        return {}, traceback.format_exc()


@contextmanager
def guarded(cursor: Cursor, visit_id: int, subject_id: int) -> Iterator[None]:
    """Let what goes wrong inside be written to the observatory's feedback, and the caller's transaction go on."""
    cursor.execute("SAVEPOINT sdqa")
    try:
        yield
    except Exception:
        if cursor.connection.closed:
            raise
        cursor.execute("ROLLBACK TO SAVEPOINT sdqa")
        tell_failure(cursor, visit_id, subject_id, traceback.format_exc())
    cursor.execute("RELEASE SAVEPOINT sdqa")


def tell_failure(cursor: Cursor, visit_id: int | None, subject: int | str, reason: str) -> None:
    """Write down that the quality of something could not be assessed, and why; a subject without rows has a name."""
    message = Json({"subject": subject, "reason": reason})
    cursor.execute(queries("metrics")["tell_failure"], {"visit_id": visit_id, "message": message})


def write(cursor: Cursor, subject_id: int, values: Mapping[str, float], job_id: int | None) -> None:
    """Write values with their verdicts, in place of earlier ones; NaN becomes NULL."""
    cursor.execute(queries("metrics")["measure"], {
        "subject_id": subject_id, "job_id": job_id, "metrics": list(values),
        "values": [value if np.isfinite(value) else None for value in values.values()],
    })


def measure_visit(cursor: Cursor, visit_id: int, job_id: int | None) -> int:
    """Measure a Visit by its rows, and tell the control system of all that fails; return how much that is."""
    cursor.execute(queries("metrics")["measure_visit"], {"visit_id": visit_id, "job_id": job_id})
    cursor.execute(queries("metrics")["tell_ocs"], {"visit_id": visit_id})
    return cursor.rowcount


def _pixels(exposure: Exposure) -> dict:
    pixels = exposure.pixels
    parts = {f"pixels_{name}": pixels.flagged(plane).mean() for name, plane in PLANES.items()}
    middle, scatter = _sky(exposure)
    rows, columns = (size // 2 for size in exposure.shape)
    quarters = [np.median(part) for half in (pixels.variance[:rows], pixels.variance[rows:])
                for part in (half[:, :columns], half[:, columns:])]
    return parts | {
        "pixels_usable": 1 - pixels.unusable.mean(), "sky_noise": np.sqrt(np.median(pixels.variance)),
        "sky_residual": middle, "noise_ratio": scatter, "noise_range": np.sqrt(max(quarters) / min(quarters)),
    }


def _sky(exposure: Exposure) -> tuple[float, float]:
    """Return the median and the scatter of the sky's pixels in units of their noise."""
    pixels = exposure.pixels
    good = ~pixels.unusable & ~pixels.flagged("DETECTED") & (pixels.variance > 0)
    scaled = pixels.image[good] / np.sqrt(pixels.variance[good])
    middle = np.median(scaled) if scaled.size else np.nan
    return middle, MAD * np.median(np.abs(scaled - middle)) if scaled.size else np.nan


def _places(exposure: Exposure) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of nine places of the detector; the fifth is its centre."""
    rows, columns = exposure.shape
    x, y = np.meshgrid((0, columns // 2, columns - 1), (0, rows // 2, rows - 1))
    return x.ravel(), y.ravel()


def _psf(exposure: Exposure) -> dict:
    x, y = _places(exposure)
    widths = np.array([exposure.psf.fwhm(*place) for place in zip(x, y, strict=True)])
    stamp = np.asarray(exposure.psf.at(x[4], y[4]))
    half = stamp.shape[0] // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    near = np.hypot(u, v) <= 2 * widths[4]  # the wings' noise would weigh most
    weight = np.where(near, stamp, 0) / stamp[near].sum()
    ixx, iyy, ixy = (np.sum(weight * moment) for moment in (u * u, v * v, u * v))
    e1, e2 = (ixx - iyy) / (ixx + iyy), 2 * ixy / (ixx + iyy)
    return {
        "psf_fwhm": widths[4] * exposure.wcs.pixel_scale(x[4], y[4]), "psf_fwhm_range": widths.max() / widths.min(),
        "psf_e1": e1, "psf_e2": e2, "psf_ellipticity": np.hypot(e1, e2),
        "psf_effective_area": _effective_area(exposure),
    }


def _effective_area(exposure: Exposure) -> float:
    rows, columns = exposure.shape
    stamp = np.asarray(exposure.psf.at(columns // 2, rows // 2))
    return np.sum(stamp) ** 2 / np.sum(stamp**2)


def _astrometry(exposure: Exposure) -> dict:
    x, y = _places(exposure)
    scales, jacobian = exposure.wcs.pixel_scale(x, y), exposure.wcs.jacobian(x[4], y[4])
    singular = np.linalg.svd(jacobian, compute_uv=False)
    offset = np.nan
    if exposure.observation.boresight is not None:
        ra, dec = exposure.observation.boresight
        at_ra, at_dec = (float(value) for value in exposure.wcs.sky(x[4], y[4]))
        east = (np.mod(at_ra - ra + 180, 360) - 180) * np.cos(np.radians(dec))
        offset = 3600 * np.hypot(east, at_dec - dec)
    return {
        "pixel_scale": scales[4], "pixel_scale_range": scales.max() / scales.min(),
        "pixel_shear": singular[0] / singular[1] - 1, "pointing_offset": offset,
        "rotation": np.degrees(np.arctan2(jacobian[0, 1], jacobian[1, 1])),
    }


def _depth(exposure: Exposure, name: str) -> dict:
    """Return the AB magnitude of a point source at 5 sigma: its noise is that of the PSF's effective area."""
    noise = np.sqrt(np.median(exposure.pixels.variance) * _effective_area(exposure))
    return {name: ZERO_MAGNITUDE - 2.5 * np.log10(5 * noise * exposure.photo_calib.nanojansky_per_count)}


def _clear(exposure: Exposure) -> float:
    """Return the zeropoint that the exposure would have under a clear sky; NaN where its camera does not tell."""
    seen = exposure.observation
    known = instrument(seen.instrument).zeropoints if seen.instrument in available() else {}
    return known.get(seen.band, np.nan) + 2.5 * np.log10(seen.exposure_seconds)


def _area(exposure: Exposure) -> float:
    """Return the area of the usable pixels [arcmin**2]."""
    x, y = _places(exposure)
    return (~exposure.pixels.unusable).sum() * float(exposure.wcs.pixel_scale(x[4], y[4])) ** 2 / 3600


def _sources(exposure: Exposure, found: np.ndarray) -> dict:
    clean = found[found["clean"] & (found["b"] > 0)]
    snr = found["snr"][np.isfinite(found["snr"])]
    return {
        "sources": len(found), "source_density": len(found) / _area(exposure), "sources_clean": _part(found["clean"]),
        "source_elongation": np.median(clean["a"] / clean["b"]) if clean.size else np.nan,
        "source_snr": np.median(snr) if snr.size else np.nan,
    }


def _difference(difference: Exposure) -> dict:
    middle, scatter = _sky(difference)
    return {"difference_noise_ratio": scatter, "difference_residual": middle,
            "difference_usable": 1 - difference.pixels.unusable.mean()}


def _dia_sources(exposure: Exposure, rows: np.ndarray) -> dict:
    flawed = rows["centroid_flag"] | rows["psf_flux_flag"] | rows["pixel_flag_bad"] | rows["pixel_flag_saturated"]
    return {
        "dia_sources": len(rows), "dia_source_density": len(rows) / _area(exposure),
        "dia_sources_negative": _part(rows["psf_flux"] < 0), "dia_sources_faint": _part(rows["snr"] < 6),
        "dia_sources_dipole": _part(rows["is_dipole"]), "dia_sources_flagged": _part(flawed),
    }


def _part(flags: np.ndarray) -> float:
    return float(flags.mean()) if flags.size else 0.0
