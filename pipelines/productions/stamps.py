"""Postage stamps of every DiaSource of a detector, made before anybody knows which become Alerts."""

from collections.abc import Mapping

import numpy as np
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from db.files import FileStore, register
from db.queries import queries
from pipelines.image import Exposure
from pipelines.image.stamps import MEDIA_TYPE, make_stamps, pack_stamps, unpack_stamps


def make(images: Mapping[str, Exposure], dia_sources: Mapping) -> bytes:
    """Return the stamps file of a detector.

    Parameters
    ----------
    images : mapping of str to Exposure
        Kind → image: science, difference (of the Visit's sum), difference_1 … (of a Snap), template.
    dia_sources : mapping of str to ndarray
        Columns dia_source_id, ra and dec [deg, ICRS].
    """
    places = dia_sources["ra"], dia_sources["dec"]
    made = {kind: make_stamps(image, *places) for kind, image in images.items()}
    return pack_stamps(np.asarray(dia_sources["dia_source_id"]), made)


def save(cursor: Cursor, store: FileStore, exposure_id: int, content: bytes, job_id: int | None) -> int:
    """Store the stamps file of a Difference Exposure, and let its row name it; return the file_id."""
    file_id = register(cursor, store.put(content), MEDIA_TYPE, name=f"stamps {exposure_id}", job_id=job_id)
    cursor.execute(queries("night")["save_stamps"], {"exposure_id": exposure_id, "file_id": file_id})
    return file_id


def find(connection: Connection, store: FileStore, dia_source_id: int) -> dict[str, bytes]:
    """Return kind → gzipped FITS file of one DiaSource; nothing where none were made."""
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("night")["stamps_of"], {"dia_source_id": dia_source_id})
        row = cursor.fetchone()
    if row is None:
        return {}
    return unpack_stamps(store.get(bytes(row[0])).read_bytes(), {dia_source_id}).get(dia_source_id, {})
