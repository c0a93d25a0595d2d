"""What a Data Release is made from: the plan in the hub, raw exposures of the live database, certified calibrations."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json, NamedTupleCursor

from db.connect import HUB, connect
from db.files import FileStore
from db.handover import columns_of, copy_rows, copy_table
from db.queries import queries
from db.release import ReleaseError, begin, check_name

LIVE = "level1"
MASTERS = ("bias", "dark", "flat")
BULK = ("source", "forced_source", "forced_dia_source")
"""Tables that are loaded without indexes."""
MISSING_SHOWN = 3  # files that an error names


@dataclass(frozen=True)
class Place:
    """A detector of a Visit, to be calibrated."""

    visit_id: int
    detector_id: int
    band: str
    midpoint_tai: float


def number_of(name: str) -> int:
    """Return the number in the ids of a release of this name; a mini-DR gets the first that is free.

    Raises
    ------
    ReleaseError
        The name is none for a release, or there are 16 mini-DRs already.
    """
    if not name.startswith("mini_"):
        return int(name[2:]) if name[:2] == "dr" and name[2:].isdigit() else 0
    with closing(connect(HUB)) as session, session.cursor() as cursor:
        cursor.execute(queries("build")["next_mini"])
        number = cursor.fetchone()[0]
    if number is None:
        raise ReleaseError("release: there are 16 mini-DRs already", "`hven drop` one that nobody needs")
    return number


def plan(name: str, release: int, parameters: dict) -> None:
    """Write down what a release is to be made from; nothing is made yet.

    Raises
    ------
    ReleaseError
        The name is taken or does not go with the number; no raw exposure was taken before the cutoff.
    """
    check_name(name, release)
    with closing(connect(LIVE)) as session, session.cursor() as cursor:
        cursor.execute(queries("build")["first_raw"], limits(parameters))
        first, number = cursor.fetchone()
    if not number:
        raise ReleaseError(
            f"release: {name} got the cutoff TAI MJD {parameters['cutoff_tai']:.6f}; "
            + (f"the first raw exposure is of {first:.6f}" if first else f"{LIVE} has no raw exposures")
            + ("; none is in its time and area" if first and first <= parameters["cutoff_tai"] else ""),
            "give a later --cutoff, or ingest raw frames",
        )
    values = {"release": release, "name": name, "cutoff_tai": parameters["cutoff_tai"], "parameters": Json(parameters)}
    begin(name, release, values)


def planned(name: str) -> dict:
    """Return the parameters that a release is made with."""
    with closing(connect(HUB)) as session, session.cursor() as cursor:
        cursor.execute(queries("build")["planned"], {"name": name})
        found = cursor.fetchone()
    if not found or found[0] is None:
        raise ReleaseError(f"release: nobody has said what {name} is made from", "drop it, then `hven release create`")
    return found[0]


def limits(parameters: Mapping) -> dict[str, float | None]:
    """Return the time and the region that a release is limited to, as queries want them."""
    area = parameters.get("area") or {}
    found = {"cutoff_tai": parameters["cutoff_tai"], "from_tai": parameters.get("from_tai", 0.0)}
    return found | {name: area.get(name) for name in ("ra", "dec", "reach_arcsec")}


def gather(connection: Connection, parameters: Mapping) -> int:
    """Copy what was observed from the live database, in the caller's transaction; return how many raw exposures."""
    until = limits(parameters)
    with closing(connect(LIVE)) as source, source, connection.cursor() as cursor:
        for table in ("filter", "detector", "refcat"):
            copy_table(source, connection, table)
        columns = columns_of(source, "visit")
        copy_rows(source, connection, queries("build")["visits"].format(columns=columns), until, "visit", columns)
        columns = columns_of(source, "exposure")
        cursor.execute(queries("build")["expect_raws"])
        prefixed = ", ".join(f"e.{name}" for name in columns.split(", "))
        query = queries("build")["raws"].format(columns=prefixed)
        into = f"{columns}, file_sha256, file_size, file_media_type, file_name"
        copied = copy_rows(source, connection, query, until, "raw", into)
        cursor.execute(queries("build")["adopt_raws"].format(columns=columns))
    return copied


def places(connection: Connection) -> list[Place]:
    """Return every detector of every Visit that has raw exposures, in order."""
    with connection.cursor() as cursor:
        cursor.execute(queries("build")["places"])
        return [Place(*row) for row in cursor]


def best_masters(instrument: str, wanted: list[Place]) -> list[dict[str, str]]:
    """Return for each place the checksums of its masters by kind: certified, valid, of the highest version."""
    with closing(connect(HUB)) as session, session.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute(queries("build")["masters"], {"instrument": instrument})
        known = cursor.fetchall()

    def best(kind: str, place: Place) -> str | None:
        return next((
            m.sha256 for m in known
            if m.kind == kind and m.detector_id == place.detector_id and m.band in ("", place.band)
            and m.valid_from_tai <= place.midpoint_tai < m.valid_to_tai
        ), None)  # fmt: skip

    return [{kind: found for kind in MASTERS if (found := best(kind, place))} for place in wanted]


def check_files(connection: Connection, store: FileStore, masters: set[str]) -> None:
    """Make sure that all raw frames are in the store, and that the masters are sound.

    Raises
    ------
    ReleaseError
        Names the first that are missing.
    FileStoreError
        A master is missing or has changed.
    """
    with connection.cursor() as cursor:
        cursor.execute(queries("build")["files"])
        missing = [name or bytes(sha).hex() for sha, size, name in cursor if not _is_there(store, bytes(sha), size)]
    if missing:
        shown = ", ".join(sorted(missing)[:MISSING_SHOWN]) + (" …" if len(missing) > MISSING_SHOWN else "")
        raise ReleaseError(
            f"release: {len(missing)} raw frames are not in the file store {store.root}: {shown}",
            "restore them from a backup or the other site, then `hven release run` again",
        )
    for sha256 in masters:
        store.verify(bytes.fromhex(sha256))


def _is_there(store: FileStore, sha256: bytes, size: int) -> bool:
    place = store.path(sha256)
    return place.exists() and place.stat().st_size == size

