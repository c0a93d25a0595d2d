"""Raw frames arrive: the file is stored, its rows inserted, and a complete Visit gets its jobs in the same commit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg2.extensions import connection as Connection

from db import databases, queue
from db.files import FileStore, register
from db.ids import ExposureId, Kind, VisitId, night_of, pack, slot_of_day
from db.queries import queries
from db.queue import NewJob
from pipelines.image import Observation
from pipelines.instruments import Instrument
from pipelines.steps.acquire import read_raw

PATIENCE = timedelta(seconds=45)
"""How long association waits for a late detector before it goes on without it."""


def visit_jobs(visit_id: int, camera: Instrument) -> list[NewJob]:
    """Return the jobs of a complete Visit: one a detector, then association when all are done or time is up."""
    measured = [
        NewJob("detector", f"visit {visit_id} detector {detector.number}",
               {"visit_id": visit_id, "detector_id": detector.number}, max_attempts=3)
        for detector in camera.detectors
    ]
    # Later Visits come later: priority would not keep that order among equals, the key's age does.
    associated = NewJob(
        "associate", f"visit {visit_id} associate", {"visit_id": visit_id},
        requires=[job.key for job in measured], priority=1, run_by=datetime.now(UTC) + PATIENCE,
    )
    return [*measured, associated]


def ingest(
    connection: Connection, store: FileStore, raw: Path, camera: Instrument, production_id: int, release: int = 0,
    jobs: Callable[[int, Instrument], list[NewJob]] = visit_jobs,
) -> int:
    """Take in one raw frame of every detector in a file; return its visit_id.

    A frame that is known already changes nothing. Whichever frame completes its Visit enqueues the Visit's
    jobs, however many arrive at the same time.
    """
    stored = store.put(raw)
    snaps = getattr(camera, "snaps", 1)
    with connection, connection.cursor() as cursor:
        file_id = register(cursor, stored, "image/fits", name=raw.name)
        for detector in camera.detectors:
            observation = read_raw(raw, camera, detector.number)[0].observation
            _register_detector(cursor, camera, detector)
            row = _row(cursor, observation, camera, snaps, file_id)
            if databases.layout(connection.info.dbname).kind == "level1":  # a release keeps measurements by tile
                cursor.execute("SELECT hven.ensure_partitions(%s, %s, %s)", (release, row["night"], row["night"]))
            cursor.execute(queries("night")["register_visit"], row)
            cursor.execute(queries("night")["register_raw"], row)
            if not cursor.rowcount:
                continue
            cursor.execute(queries("night")["count_raw"], row)
            if cursor.fetchone()[0]:
                cursor.execute(queries("night")["summarise_visit"], row)
                queue.enqueue(cursor, production_id, jobs(row["visit_id"], camera))
    return row["visit_id"]


def _register_detector(cursor, camera: Instrument, detector) -> None:
    cursor.execute(queries("night")["register_detector"], {
        "detector_id": detector.number, "instrument": camera.name, "name": str(detector.number),
        "width": detector.shape[1], "height": detector.shape[0], "pixel_scale": camera.pixel_scale,
    })


def _row(cursor, observation: Observation, camera: Instrument, snaps: int, file_id: int) -> dict:
    """Return the values of a raw exposure and of its Visit."""
    cursor.execute(queries("night")["register_filter"], {"band": observation.band})
    filter_id = cursor.fetchone()[0]
    longitude = camera.site["longitude"] if camera.site else 0.0
    night = int(night_of(observation.midpoint_tai, longitude))
    sequence = observation.sequence
    if sequence is None:
        sequence = int(slot_of_day(observation.midpoint_tai, longitude))
    visit_id = int(pack(VisitId(night, sequence)))
    ra, dec = observation.boresight or (None, None)
    return {
        "visit_id": visit_id, "night": night, "sequence": sequence, "filter_id": filter_id, "file_id": file_id,
        "snaps": snaps, "detectors": len(camera.detectors), "detector_id": observation.detector,
        "snap": observation.snap, "midpoint_tai": observation.midpoint_tai,
        "exposure_time": observation.exposure_seconds, "ra": ra, "dec": dec,
        "shutter_close_tai": observation.midpoint_tai + observation.exposure_seconds / 2 / 86400,
        "exposure_id": int(pack(ExposureId(visit_id, observation.detector, observation.snap, Kind.RAW))),
    }
