"""Packets of whatever survey, read into one form: ours, other VOEvents, ZTF's and others' Avro."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from astropy.time import Time

from pipelines.alerts import voevent
from pipelines.alerts.voevent import PacketError

AVRO, TAR, CONFLUENT = b"Obj\x01", b"\x1f\x8b", b"\x00"
MJD_OF_JD = 2_400_000.5


@dataclass(frozen=True)
class Foreign:
    """What Level 3 can watch of an alert: who says that what happened where and when.

    Attributes
    ----------
    name : str
        IVORN of a VOEvent, else the survey's id of the alert.
    object : str or None
        The survey's name of the object.
    ra, dec : float or None
        deg, as the packet has them (ICRS or FK5, which differ by 25 mas).
    mjd_utc : float or None
    magnitude : float or None
        As the survey measures it, on its difference image where it has one.
    earlier : int
        Earlier measurements in the packet.
    stamps : tuple of str
    """

    name: str
    object: str | None
    ra: float | None
    dec: float | None
    mjd_utc: float | None
    magnitude: float | None
    earlier: int
    stamps: tuple[str, ...]


def read(path: Path) -> Iterator[Foreign]:
    """Yield the alerts of a file: a VOEvent, an Avro container, or a tar archive of these.

    Raises
    ------
    PacketError
        It is none of these, or ends early.
    """
    yield from read_bytes(path.read_bytes(), path.name)


def read_bytes(content: bytes, name: str) -> Iterator[Foreign]:
    """Yield the alerts of a file's content."""
    if content.startswith(AVRO):
        yield from _avro(content, name)
    elif content.startswith(TAR):
        yield from _tar(content, name)
    elif content.startswith(CONFLUENT):
        raise PacketError(
            f"alerts: {name} is one message of a Kafka stream, whose schema lies in that stream's registry",
            "give an Avro container, which carries its schema",
        )
    else:
        yield _voevent(content)


def _tar(content: bytes, name: str) -> Iterator[Foreign]:
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                if member.isfile():
                    yield from read_bytes(archive.extractfile(member).read(), f"{name}/{member.name}")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise PacketError(f"alerts: {name} can't be read as an archive ({error})", "fetch it again") from None


def _voevent(content: bytes) -> Foreign:
    packet = voevent.read(content)
    ra, dec, _ = packet.position or (None, None, None)
    seen = packet.groups.get("alert", {})
    parent = seen.get("object_id", seen.get("moving_object_id"))
    earlier = max((len(next(iter(table.values()), ())) for table in packet.tables.values()), default=0)
    return Foreign(packet.ivorn, None if parent is None else str(parent), ra, dec, _mjd(packet.time), None, earlier,
                   tuple(packet.stamps))


def _mjd(text: str | None) -> float | None:
    try:
        return float(Time(text.strip().rstrip("Z").partition("+")[0], scale="utc").mjd)
    except (AttributeError, ValueError):
        return None


def _avro(content: bytes, name: str) -> Iterator[Foreign]:
    import fastavro

    try:
        for record in fastavro.reader(io.BytesIO(content)):
            yield _lsst(record) if "diaSource" in record else _ztf(record)
    except (EOFError, ValueError, KeyError, IndexError, StopIteration) as error:
        raise PacketError(f"alerts: {name} can't be read as alerts in Avro ({error!r})", "fetch it again") from None


def _lsst(record: dict) -> Foreign:
    seen = record["diaSource"]
    mjd = float(Time(seen["midpointMjdTai"], format="mjd", scale="tai").utc.mjd)
    earlier = sum(len(record.get(name) or ()) for name in ("prvDiaSources", "prvDiaForcedSources"))
    parent = seen.get("diaObjectId") or seen.get("ssObjectId")
    return Foreign(str(record["diaSourceId"]), None if parent is None else str(parent), seen["ra"], seen["dec"], mjd,
                   None, earlier, _stamps(record))


def _ztf(record: dict) -> Foreign:
    """Read what ZTF's schema has, and those that others made after it."""
    seen = record["candidate"]
    mjd = seen["jd"] - MJD_OF_JD if "jd" in seen else seen["mjd"]
    name = record["objectId"] if "objectId" in record else record["objectid"]
    return Foreign(str(record["candid"]), name, seen["ra"], seen["dec"], mjd, seen.get("magpsf"),
                   len(record.get("prv_candidates") or ()), _stamps(record))


def _stamps(record: dict) -> tuple[str, ...]:
    return tuple(key.removeprefix("cutout").lower() for key in record if key.startswith("cutout") and record[key])
