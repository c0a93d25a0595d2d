"""LSST's Avro encoding: what a VOEvent of ours says, under the names of lsst-alert-packet 11.1.

The records have LSST's names and, of its fields, all that it requires and all that we measure, so that its schema
resolves ours: a reader with `lsst.v11_1.alert` gets whole records, with null for what we do not measure. What we count
differently is 0 there: `psfNdata`, `trailNdata`, `dipoleNdata`, `bboxSize`. The three cutouts are gzipped FITS files.
"""

import hashlib
import io
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from db.files import Extent
from db.ids import MeasurementId, unpack
from pipelines.alerts import voevent

SCHEMA = Path(__file__).with_suffix(".avsc")
BANDS = "ugrizy"


@cache
def schema() -> dict:
    """Return the parsed schema."""
    import fastavro

    return fastavro.parse_schema(json.loads(SCHEMA.read_text()))


def write(packets: Iterable[bytes], sync: str) -> tuple[bytes, list[Extent]]:
    """Return an Avro container with a block for each VOEvent, and where the blocks lie.

    Head and block together are a container of one Alert.

    Parameters
    ----------
    packets : iterable of bytes
        VOEvents of ours.
    sync : str
        What the marker between blocks is derived from, so that the same packets give the same bytes.
    """
    from fastavro.write import Writer

    stream = io.BytesIO()
    marker = hashlib.md5(sync.encode(), usedforsecurity=False).digest()
    writer = Writer(stream, schema(), sync_interval=0, sync_marker=marker)
    extents = []
    for packet in packets:
        begin = stream.tell()
        writer.write(record(voevent.read(packet)))
        extents.append(Extent(begin, stream.tell() - begin))
    writer.flush()
    return stream.getvalue(), extents


def head_of(container: Path) -> bytes:
    """Return the head of an Avro container: schema and marker."""
    with container.open("rb") as stream:
        start = stream.read(1 << 17)
    from fastavro import reader

    marker = reader(io.BytesIO(start))._header["sync"]
    return start[: start.index(marker) + len(marker)]


def record(packet: voevent.Packet) -> dict:
    """Return the record of a VOEvent."""
    groups, stamps = packet.groups, packet.stamps
    seen, visit, alert = groups["dia_source"], groups["visit"], groups["alert"]
    detected, forced = _history(packet, alert)
    return {
        "diaSourceId": alert["dia_source_id"],
        "diaSource": _dia_source(seen, visit["band"], alert["selected_tai"], groups),
        "prvDiaSources": detected or None,
        "prvDiaForcedSources": forced or None,
        "diaObject": _object(groups, alert),
        "cutoutDifference": stamps.get("difference", stamps.get("difference_1")),
        "cutoutScience": stamps.get("science"),
        "cutoutTemplate": stamps.get("template"),
        "ivorn": packet.ivorn,
        "cites": alert.get("cites"),
        "citesAs": alert.get("cites_as"),
        "isMoving": alert["is_moving"],
        "rule": alert["rule"],
        "hostObjectId": alert.get("host_object_id"),
    }


SAME = {  # LSST's name → ours
    "ra": "ra", "raErr": "ra_err", "dec": "dec", "decErr": "dec_err", "ra_dec_Cov": "ra_dec_cov", "x": "x",
    "xErr": "x_err", "y": "y", "yErr": "y_err", "centroid_flag": "centroid_flag", "apFlux": "ap_flux",
    "apFluxErr": "ap_flux_err", "apFlux_flag": "ap_flux_flag", "snr": "snr", "psfFlux": "psf_flux",
    "psfFluxErr": "psf_flux_err", "psfChi2": "psf_chi2", "psfFlux_flag": "psf_flux_flag",
    "trailLength": "trail_length", "trailAngle": "trail_angle", "dipoleLength": "dipole_separation",
    "dipoleAngle": "dipole_angle", "scienceFlux": "science_flux", "scienceFluxErr": "science_flux_err",
    "templateFlux": "template_flux", "templateFluxErr": "template_flux_err", "ixx": "ixx", "iyy": "iyy",
    "ixy": "ixy", "shape_flag": "shape_flag", "extendedness": "extendedness", "reliability": "reliability",
    "isDipole": "is_dipole", "pixelFlags_bad": "pixel_flag_bad", "pixelFlags_cr": "pixel_flag_cosmic_ray",
    "pixelFlags_edge": "pixel_flag_edge", "pixelFlags_saturated": "pixel_flag_saturated",
    "pixelFlags_streak": "pixel_flag_streak", "pixelFlags_injected": "pixel_flag_injected",
    "pixelFlags_nodata": "pixel_flag_no_data",
}
IN_DEGREES = {"raErr": 3600.0, "decErr": 3600.0, "ra_dec_Cov": 3600.0**2}
"""What LSST has in deg, and we in arcsec; both of true angle."""

UNCOUNTED = {"psfNdata": 0, "trailNdata": 0, "dipoleNdata": 0, "bboxSize": 0}


def _dia_source(row: dict, band: str, processed: float, groups: dict | None = None) -> dict:
    parts = unpack(MeasurementId, row["dia_source_id"])
    flux = row.get("psf_flux")
    return UNCOUNTED | {theirs: row.get(ours) for theirs, ours in SAME.items()} | _errors(row) | {
        "diaSourceId": row["dia_source_id"], "visit": parts.visit_id, "detector": parts.detector,
        "diaObjectId": row.get("object_id"), "ssObjectId": row.get("moving_object_id"), "band": band,
        "midpointMjdTai": row["midpoint_tai"], "timeProcessedMjdTai": processed,
        "isNegative": None if flux is None else flux < 0, "x": row.get("x") or 0.0, "y": row.get("y") or 0.0,
        "exposureTime": groups["visit"].get("exposure_time") if groups else None,
    }


def _errors(row: dict) -> dict:
    """Return the errors of a position in LSST's unit."""
    values = ((theirs, row.get(SAME[theirs]), unit) for theirs, unit in IN_DEGREES.items())
    return {theirs: None if value is None else value / unit for theirs, value, unit in values}


def _history(packet: voevent.Packet, alert: dict) -> tuple[list[dict], list[dict]]:
    detected, forced = [], []
    table = packet.tables.get("history", {})
    same = {"object_id": alert.get("object_id"), "moving_object_id": alert.get("moving_object_id")}
    for values in zip(*table.values(), strict=True):
        row = dict(zip(table, values, strict=True)) | same
        if row["forced"]:
            parts = unpack(MeasurementId, row["id"])
            forced.append({
                "diaForcedSourceId": row["id"], "diaObjectId": alert["object_id"], "ra": row["ra"], "dec": row["dec"],
                "visit": parts.visit_id, "detector": parts.detector, "psfFlux": row["psf_flux"],
                "psfFluxErr": row["psf_flux_err"], "midpointMjdTai": row["midpoint_tai"], "band": row["band"],
                "timeProcessedMjdTai": alert["selected_tai"],
            })
        else:
            detected.append(_dia_source(row | {"dia_source_id": row["id"]}, row["band"], alert["selected_tai"]))
    return detected, forced


def _object(groups: dict, alert: dict) -> dict | None:
    row = groups.get("object")
    if row is None:
        return None
    made = {
        "diaObjectId": row["object_id"], "validityStartMjdTai": alert["selected_tai"], "ra": row["mean_ra"],
        "dec": row["mean_dec"], **_errors(row), "firstDiaSourceMjdTai": row.get("first_tai"),
        "lastDiaSourceMjdTai": row.get("last_tai"), "nDiaSources": row["dia_sources"],
    }
    for band in BANDS:
        flux = groups.get(f"object_flux_{band}", {})
        made |= {
            f"{band}_psfFluxMean": flux.get("mean_dia_flux"), f"{band}_psfFluxMeanErr": flux.get("mean_dia_flux_err"),
            f"{band}_psfFluxMin": flux.get("min_flux"), f"{band}_psfFluxMax": flux.get("max_flux"),
            f"{band}_psfFluxNdata": flux.get("dia_sources") or 0,
        }
    return made
