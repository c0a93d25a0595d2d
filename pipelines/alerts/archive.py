"""The archive: one file of packets a Visit and encoding, written with one sync, and a row that says where each lies."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from psycopg2.extensions import connection as Connection

from db.errors import HvenError
from db.files import Extent, FileStore, FileStoreError, register
from db.load import load
from db.queries import queries
from pipelines.alerts import avro, voevent
from pipelines.alerts.rows import AlertRows, fetch, gather
from pipelines.image.stamps import unpack_stamps

log = logging.getLogger("hven.alerts")

MEDIA_TYPES = {"voevent": "application/x-hven-voevents", "avro": "application/avro"}


class NoSuchAlert(HvenError):
    """There is no such Alert, or none of this encoding."""

    exit_status = 26


@dataclass(frozen=True)
class Placed:
    """A packet and where it lies."""

    ivorn: str
    dia_source_id: int
    version: int
    sha256: bytes
    extent: Extent


def archive_visit(connection: Connection, store: FileStore, visit_id: int) -> int:
    """Pack the Alerts of a Visit that wait, archive them and offer them in the full stream, all in one commit.

    Returns how many there were.

    Raises
    ------
    FileStoreError, LoadError, psycopg2.Error
        The Alerts wait as before.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("alerts")["lock"], {"stream": "full"})
        cursor.execute(queries("alerts")["to_archive"], {"visit_id": visit_id})
        alerts = fetch(cursor)
        if not alerts:
            return 0
        rows = gather(connection, alerts)
        packets = write_all(rows, read_stamps(connection, store, visit_id, {row["dia_source_id"] for row in alerts}))
        stored, extents = store.put_pack(packets)
        file_id = register(cursor, stored, MEDIA_TYPES["voevent"], name=f"alerts {visit_id} voevent")
        ids, versions = ([row[name] for row in alerts] for name in ("dia_source_id", "version"))
        _save(connection, "voevent", (ids, versions), file_id, extents)
        cursor.execute(queries("alerts")["offer"], {"ids": ids, "versions": versions})
    return len(alerts)


def write_all(rows: Sequence[AlertRows], stamps: dict[int, dict[str, bytes]]) -> list[bytes]:
    """Return the packets of a Visit's Alerts; those of one detector share the text of their Exposures."""
    shared: dict[tuple, list[str]] = {}
    packets = []
    for row in rows:
        key = tuple(one["exposure_id"] for one in row.exposures)
        if key not in shared:
            shared[key] = voevent.exposure_groups(row.exposures)
        packets.append(voevent.write(row, stamps.get(row.alert["dia_source_id"], {}), shared[key]))
    return packets


def read_stamps(connection: Connection, store: FileStore, visit_id: int, ids: set[int]) -> dict[int, dict[str, bytes]]:
    """Return DiaSource → kind → gzipped FITS file, for what stamps there are of some DiaSources of a Visit.

    A file of stamps that is lost keeps no Alert back: packets say which stamps they lack.
    """
    found: dict[int, dict[str, bytes]] = {}
    with connection.cursor() as cursor:
        cursor.execute(queries("alerts")["stamps"], {"visit_id": visit_id})
        files = [bytes(sha256) for _, sha256 in cursor]
    for sha256 in files:
        try:
            found |= unpack_stamps(store.get(sha256).read_bytes(), ids)
        except FileStoreError as error:
            log.error("Visit %s: stamps are lost: %s", visit_id, error)
    return found


def archive_avro(connection: Connection, store: FileStore, visit_id: int) -> int:
    """Write the Avro packets of a Visit's archived Alerts that have none yet; return how many.

    They are made from the archived VOEvents, so that both say the same whatever has changed since.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("alerts")["lock"], {"stream": "avro"})
        there = {(one.dia_source_id, one.version) for one in find(connection, visit_id, "avro")}
        wanted = [one for one in find(connection, visit_id, "voevent") if (one.dia_source_id, one.version) not in there]
        if not wanted:
            return 0
        content, extents = avro.write(map(reader(store), wanted), sync=f"visit {visit_id}")
        file_id = register(cursor, store.put(content), MEDIA_TYPES["avro"], name=f"alerts {visit_id} avro")
        ids, versions = [one.dia_source_id for one in wanted], [one.version for one in wanted]
        _save(connection, "avro", (ids, versions), file_id, extents)
    return len(wanted)


def find(connection: Connection, what: int | str, encoding: str = "voevent") -> list[Placed]:
    """Return where packets lie, by DiaSource, Object, MovingObject, Visit or IVORN."""
    values = {"id": what if isinstance(what, int) else None, "ivorn": str(what), "encoding": encoding}
    with connection.cursor() as cursor:
        cursor.execute(queries("alerts")["packets"], values)
        return [
            Placed(ivorn, dia_source_id, version, bytes(sha256), Extent(offset, length))
            for ivorn, dia_source_id, version, _, offset, length, sha256 in cursor
        ]


def reader(store: FileStore) -> Callable[[Placed], bytes]:
    """Return a function from where a VOEvent lies to its bytes."""
    return lambda placed: store.part(placed.sha256, placed.extent.offset, placed.extent.length)


def get(connection: Connection, store: FileStore, what: int | str, encoding: str = "voevent") -> list[bytes]:
    """Return packets by DiaSource, Object, MovingObject, Visit or IVORN; Avro packets as one container file.

    Raises
    ------
    NoSuchAlert
        None was archived.
    """
    if encoding == "avro":
        for visit_id in {one.dia_source_id >> 31 & (1 << 26) - 1 for one in find(connection, what)}:
            archive_avro(connection, store, visit_id)
    placed = find(connection, what, encoding)
    connection.rollback()
    if not placed:
        raise NoSuchAlert(f"alerts: no packet of {what} is archived", "`hven alerts list` shows what there is")
    packets = list(map(reader(store), placed))
    if encoding == "avro":
        return [b"".join([avro.head_of(store.get(placed[0].sha256)), *packets])] if _same_file(placed) else [
            avro.head_of(store.get(one.sha256)) + packet for one, packet in zip(placed, packets, strict=True)
        ]
    return packets


def _same_file(placed: Sequence[Placed]) -> bool:
    return len({one.sha256 for one in placed}) == 1


def _save(
    connection: Connection, encoding: str, keys: tuple[list, list], file_id: int, extents: Sequence[Extent]
) -> None:
    load(connection, "alert_packet", {
        "dia_source_id": np.array(keys[0], "i8"), "version": np.array(keys[1], "i2"),
        "encoding": np.full(len(extents), encoding, object), "file_id": np.full(len(extents), file_id, "i8"),
        "byte_offset": np.array([one.offset for one in extents], "i8"),
        "byte_length": np.array([one.length for one in extents], "i4"),
    })
