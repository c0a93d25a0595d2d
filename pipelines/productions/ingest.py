"""Raw frames arrive: the file is stored, its rows inserted, and a complete Visit gets its jobs in the same commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import hypot
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

PATIENCE = 40.0  # seconds from shutter close that association waits for a late detector; a worker must be free then
LIVE = 600.0  # seconds from shutter close after which a Visit comes too late for any deadline


@dataclass(frozen=True)
class Complete:
    """A Visit whose frames are all there.

    Parameters
    ----------
    visit_id : int
    camera : Instrument
    earlier : sequence of str
        Keys of the associations that its own should come after: of Visits that overlap.
    run_by : datetime or None
        When association goes on without what is late; None: it is no live night.
    """

    visit_id: int
    camera: Instrument
    earlier: Sequence[str] = ()
    run_by: datetime | None = None


def visit_jobs(visit: Complete) -> list[NewJob]:
    """Return the jobs of a Visit: predictions, its detectors, then association."""
    parameters, name = {"visit_id": visit.visit_id}, f"visit {visit.visit_id}"
    predicted = NewJob("predict", f"{name} predict", parameters, priority=2)
    measured = [
        NewJob("detector", f"{name} detector {detector.number}", parameters | {"detector_id": detector.number},
               requires=[predicted.key], deadline=visit.run_by)
        for detector in visit.camera.detectors
    ]
    # Later Visits come later: priority would not keep that order among equals, the key's age does.
    associated = NewJob("associate", f"{name} associate", parameters, priority=1, run_by=visit.run_by,
                        requires=[*(job.key for job in measured), *visit.earlier])
    return [predicted, *measured, associated]


def ingest(
    connection: Connection, store: FileStore, raw: Path, camera: Instrument, production_id: int,
    jobs: Callable[[Complete], list[NewJob]] = visit_jobs,
) -> int:
    """Take in one raw frame of every detector in a file; return its visit_id.

    A frame that is known already changes nothing. Whichever frame completes its Visit enqueues the Visit's
    jobs, however many arrive at the same time.
    """
    stored = store.put(raw)
    is_live = databases.layout(connection.info.dbname).kind == "level1"
    with connection, connection.cursor() as cursor:
        file_id = register(cursor, stored, "image/fits", name=raw.name)
        for detector in camera.detectors:
            observation = read_raw(raw, camera, detector.number)[0].observation
            _register_detector(cursor, camera, detector)
            row = _row(cursor, observation, camera, file_id)
            if is_live:  # a release keeps measurements by tile
                cursor.execute(queries("live")["prepare_night"], row)
            cursor.execute(queries("night")["register_visit"], row)
            cursor.execute(queries("night")["register_raw"], row)
            if not cursor.rowcount:
                continue
            cursor.execute(queries("night")["count_raw"], row)
            if cursor.fetchone()[0]:
                cursor.execute(queries("night")["summarise_visit"], row)
                visit = complete(cursor, row["visit_id"], camera, production_id, is_live)
                queue.enqueue(cursor, production_id, jobs(visit))
    return row["visit_id"]


def complete(cursor, visit_id: int, camera: Instrument, production_id: int, is_live: bool) -> Complete:
    """Return a complete Visit, with what the live database knows of its place among the others."""
    if not is_live:
        return Complete(visit_id, camera)
    values = {"visit_id": visit_id, "production_id": production_id, "radius_arcsec": field_radius_arcsec(camera)}
    cursor.execute(queries("live")["await"], values)
    earlier = [key for (key,) in cursor]
    cursor.execute(queries("live")["deadline"], values | {"patience": PATIENCE, "live": LIVE})
    return Complete(visit_id, camera, earlier, cursor.fetchone()[0])


def field_radius_arcsec(camera: Instrument) -> float:
    """Return how far from the boresight the camera's corners are."""
    reach = 0.0
    for detector in camera.detectors:
        rows, columns = detector.shape
        x, y = detector.boresight or ((columns - 1) / 2, (rows - 1) / 2)
        reach = max(reach, hypot(max(x, columns - x), max(y, rows - y)))
    return reach * camera.pixel_scale


def _register_detector(cursor, camera: Instrument, detector) -> None:
    cursor.execute(queries("night")["register_detector"], {
        "detector_id": detector.number, "instrument": camera.name, "name": str(detector.number),
        "width": detector.shape[1], "height": detector.shape[0], "pixel_scale": camera.pixel_scale,
    })


def _row(cursor, observation: Observation, camera: Instrument, file_id: int) -> dict:
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
        "snaps": camera.snaps, "detectors": len(camera.detectors), "detector_id": observation.detector,
        "snap": observation.snap, "midpoint_tai": observation.midpoint_tai,
        "exposure_time": observation.exposure_seconds, "ra": ra, "dec": dec,
        "shutter_close_tai": observation.midpoint_tai + observation.exposure_seconds / 2 / 86400,
        "exposure_id": int(pack(ExposureId(visit_id, observation.detector, observation.snap, Kind.RAW))),
    }
