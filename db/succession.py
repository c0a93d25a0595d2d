"""The live database after a Data Release: the other of the two is made from the release, then takes over.

The hub's row `level1_next` says how far it is. Until `switch` the live database goes on undisturbed; every step can be
taken again. Measurements come from the release under its ids; what was told to the outside (Alerts, outbox, cursors),
telemetry and quality come from the live database, under the ids that they have.
"""

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ
from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json, RealDictCursor

from db import inventory, life_cycle
from db.carry import Part, carry, copy
from db.connect import HUB, connect
from db.databases import LEVEL1
from db.handover import columns_of, copy_rows
from db.queries import queries
from db.release import ReleaseError, set_state

NEXT = "level1_next"
"""Name in the hub of the live database that is being made ready."""
HISTORY = 365.25  # days before the cutoff from which DiaSources stay at hand
LONG_AGO = datetime(2000, 1, 1)
SLACK = timedelta(days=7)  # before the beginning, from which a later pass looks again at what may have changed
MATCH_ARCSEC = 1.0
PATIENCE = "60s"  # for those who write to the old database at the moment of the switch

UNTIL = "midpoint_tai <= %(cutoff_tai)s"
AFTER = "midpoint_tai > %(cutoff_tai)s AND state IN ('closed', 'failed')"
RECENT = "midpoint_tai >= %(history_tai)s"
SELECTED = "selected_tai >= hven.tai_mjd(%(since)s)"
TOLD = "next_attempt >= %(since)s OR sent >= %(since)s OR state = 'waiting'"

OF_RELEASE = (
    Part("object", as_={"dia_sources": "0", "first_tai": "NULL", "last_tai": "NULL"}),
    Part("object_flux"), Part("object_match"), Part("patch"),
    Part("dia_source", RECENT), Part("dia_source_snap", RECENT), Part("forced_dia_source", RECENT),
)  # fmt: skip
FILES_OF_RELEASE = (Part("coadd", "kind = 'template' AND is_current"), Part("exposure", "kind <> 'raw'"))

AT_FIRST = (
    Part("refcat"), Part("visit", UNTIL, {"state": "CASE state WHEN 'associated' THEN 'closed' ELSE state END"}),
    Part("order_log", f"visit_id IN (SELECT visit_id FROM visit WHERE {UNTIL})"),
    Part("exposure", f"kind = 'raw' AND visit_id IN (SELECT visit_id FROM visit WHERE {UNTIL})",
         {"stamps_file_id": "NULL"}),
)  # fmt: skip
VISITS = Part("visit", AFTER, {"state": "CASE state WHEN 'closed' THEN 'ready' ELSE state END",
                               "condition": "CASE state WHEN 'closed' THEN NULL ELSE condition END"}, True)  # fmt: skip
ALERTS = Part("alert", SELECTED, keep=True)
EACH_TIME = (
    Part("filter"), Part("detector"),
    Part("moving_object"), Part("moving_object_orbit"), Part("moving_object_magnitude"),
    VISITS,
    Part("exposure", f"kind = 'raw' AND visit_id IN (SELECT visit_id FROM visit WHERE {AFTER})",
         {"stamps_file_id": "NULL", "condition": "NULL"}, True),
    ALERTS,
    Part("dia_source", f"dia_source_id IN (SELECT dia_source_id FROM alert WHERE {SELECTED})",
         {"object_id": "NULL", "time_withdrawn": "coalesce(time_withdrawn, hven.tai_mjd(now()))"}, True),
    Part("outbox", TOLD),
    Part("alert_packet", f"(dia_source_id, version) IN (SELECT dia_source_id, version FROM outbox WHERE {TOLD})"),
    Part("alert_stream"), Part("alert_consumer"), Part("object_retired", keep=True),
    Part("sdqa_measurement", "measured >= %(since)s", keep=True), Part("sdqa_waiver"),
    Part("ocs_feedback", "written >= %(since)s OR acknowledged >= %(since)s"),
    Part("efd.topic"), Part("efd.sample", "time_tai >= hven.tai_mjd(%(since)s)", keep=True),
    Part("efd.sync", "finished >= %(since)s", keep=True),
)  # fmt: skip
NEWS = (VISITS, ALERTS)
WRITTEN = ("visit", "exposure", "alert", "outbox", "alert_packet", "alert_stream", "alert_consumer", "moving_object",
           "sdqa_measurement", "sdqa_waiver", "ocs_feedback", "efd.topic", "efd.sample", "efd.sync")  # fmt: skip
"""Tables that nobody may write to while the name is switched, nor afterwards."""


class MidNight(ReleaseError):
    """Visits are under way, and the name can be switched between nights only."""


@dataclass(frozen=True)
class Succession:
    """A live database that is being made ready.

    Parameters
    ----------
    release : str
        Name of the release that it continues.
    number : int
        The release in its ids.
    cutoff_tai : float
        Until when the release has Visits [MJD]; later ones are replayed.
    old, new : str
        The live database, and the one that takes its place.
    is_empty : bool
        Whether it is still to be filled.
    begun : datetime
    """

    release: str
    number: int
    cutoff_tai: float
    old: str
    new: str
    is_empty: bool
    begun: datetime

    def values(self, since: datetime) -> dict:
        """Return values for the parts' conditions."""
        times = {"cutoff_tai": self.cutoff_tai, "history_tai": self.cutoff_tai - HISTORY}
        return times | {"since": since}


def begin(release: str) -> Succession:
    """Return how far the successor of the live database is, begun if there is none for this release.

    Raises
    ------
    ReleaseError
        The release is not published, or the live database continues it already.
    """
    known = life_cycle.demand(release, "hand over", "published")
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("handover")["cutoff"], {"name": release})
        cutoff_tai = cursor.fetchone()[0]
        cursor.execute(queries("handover")["live"])
        old, number, _ = cursor.fetchone()
        cursor.execute(queries("handover")["next"], {"name": NEXT})
        found = cursor.fetchone()
        if found is None and number == known.release:
            raise ReleaseError(
                f"release: level1 continues {release} already, in {old}", "nothing is to be done; connect to level1"
            )
        new = next(name for name in LEVEL1 if name != old)
        if found is None or found[1] != known.release:
            cursor.execute(queries("handover")["expect"], {"name": NEXT, "database": new, "release": known.release})
            cursor.execute(queries("handover")["next"], {"name": NEXT})
            found = cursor.fetchone()
    _, _, state, begun = found
    return Succession(release, known.release, cutoff_tai, old, new, state == "creating", begun)


def fill(succession: Succession) -> dict[str, int]:
    """Fill the new database, empty until now, from the release and the old one: all of it or nothing.

    Returns
    -------
    dict
        Table → rows.
    """
    values = succession.values(LONG_AGO)
    rows: dict[str, int] = {}
    with (
        closing(connect(succession.release)) as release, closing(_reader(succession.old)) as old,
        closing(connect(succession.new)) as new, release, old, new,
    ):  # fmt: skip
        _make_partitions(old, new, succession)
        for part in (Part("filter"), Part("detector"), *AT_FIRST):
            rows[part.table] = rows.get(part.table, 0) + carry(old, new, part, values)
        for part in OF_RELEASE:
            rows[part.table] = copy(release, new, part, values)
        for part in FILES_OF_RELEASE:
            rows[part.table] = rows.get(part.table, 0) + carry(release, new, part, values)
        with new.cursor() as cursor:
            cursor.execute(queries("handover")["count_history"])
        for part in EACH_TIME:
            rows[part.table] = rows.get(part.table, 0) + carry(old, new, part, values)
        _productions(old, new, succession.release, has_templates=rows["coadd"] > 0)
    set_state(NEXT, "creating", "building", f"{succession.new}, from {succession.release}")
    return rows


def catch_up(succession: Succession) -> int:
    """Carry over what has come since; return how many Visits and Alerts that is."""
    with closing(_reader(succession.old)) as old, closing(connect(succession.new)) as new, old, new:
        return _carry_again(old, new, succession)


def keep_names(succession: Succession) -> dict[str, int]:
    """Let the ids of the old Objects be found among the new ones; return how many were, and how many Alerts' not."""
    with closing(_reader(succession.old)) as old, closing(connect(succession.new)) as new, old, new:
        with new.cursor() as cursor:
            cursor.execute(queries("handover")["expect_objects"])
        query = queries("handover")["objects_there"]
        copy_rows(old, new, query, {}, "object_there", "object_id, ra, dec, healpix29")
        for table, part in (("match_there", Part("object_match")), ("force_there", Part("force_list"))):
            columns = columns_of(new, table)
            copy_rows(old, new, part.query(columns.split(", ")), {}, table, columns)
        with new.cursor() as cursor:
            cursor.execute(queries("handover")["keep_names"], {"radius_arcsec": MATCH_ARCSEC})
            return cursor.fetchone()[0]


def switch(succession: Succession) -> bool:
    """Let the name `level1` mean the new database; return False if there is more to carry over and replay before.

    Who is connected to the old database goes on reading it; it takes no more rows.

    Raises
    ------
    MidNight
    """
    with closing(connect(succession.old)) as old, closing(connect(succession.new)) as new, old, old.cursor() as cursor:
        _hold(cursor)
        _check_between_nights(cursor, succession)
        with new:
            if _carry_again(old, new, succession):
                return False
        for table in WRITTEN:
            cursor.execute(queries("handover")["retire"].format(table=table, successor=succession.new))
    # A death here leaves a live database that takes no rows: the same command goes on, and points the name away.
    _point(succession)
    return True


def _point(succession: Succession) -> None:
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("handover")["point"], {"name": NEXT})
        why = f"{succession.old} → {succession.new}, from {succession.release}"
        step = {"name": "level1", "from_state": "live", "to_state": "live", "reason": why}
        cursor.execute(queries("databases")["record"], step)
    inventory.write_services()
    _point_servers(succession.new)


def _hold(cursor) -> None:
    """Let nobody else write to the old database until the end of this transaction."""
    cursor.execute("SET LOCAL lock_timeout = %s", [PATIENCE])
    try:
        cursor.execute(queries("handover")["hold"].format(tables=", ".join(WRITTEN)))
    except LockNotAvailable as error:
        problem = f"release: somebody has been writing to the live database for {PATIENCE}"
        raise MidNight(problem, "`hven release handover` again when that is done") from error


def _carry_again(old: Connection, new: Connection, succession: Succession) -> int:
    """Carry over what may have changed; return how many Visits and Alerts are new."""
    _make_partitions(old, new, succession)
    values = succession.values(succession.begun - SLACK)
    return sum((part in NEWS) * carry(old, new, part, values) for part in EACH_TIME)


def _make_partitions(old: Connection, new: Connection, succession: Succession) -> None:
    """Make room for the history, for what is replayed, and for what was told under older ids."""
    with old.cursor() as cursor:
        cursor.execute(queries("handover")["nights"], {"since_tai": succession.cutoff_tai - HISTORY})
        nights = [(succession.number, *cursor.fetchone())]
        cursor.execute(queries("handover")["old_nights"])
        nights += cursor.fetchall()
    with new.cursor() as cursor:
        for release, first, last in nights:
            if first is not None:
                values = {"release": release, "first": first, "last": last}
                cursor.execute(queries("handover")["prepare_nights"], values)


def _productions(old: Connection, new: Connection, release: str, *, has_templates: bool) -> None:
    """Let the night go on with the same parameters, on the release's templates; its replay sends nothing."""
    with old.cursor(cursor_factory=RealDictCursor) as reader, new.cursor() as cursor:
        reader.execute(queries("handover")["productions"])
        for row in reader.fetchall():
            parameters = row["parameters"] | ({"templates": "patches"} if has_templates else {})
            silent = parameters | {"alerts": parameters.get("alerts", {}) | {"send": False}}
            cursor.execute(queries("handover")["put_production"], row | {"parameters": Json(parameters)})
            replay = row | {"name": replay_of(row["name"], release), "parameters": Json(silent)}
            cursor.execute(queries("handover")["put_production"], replay)


def replay_of(production: str, release: str) -> str:
    """Return the name of the production that replays another one's nights after a release."""
    return f"{production} after {release}"


def _check_between_nights(cursor, succession: Succession) -> None:
    cursor.execute(queries("handover")["unfinished"])
    if found := cursor.fetchall():
        nights = ", ".join(f"{visits} Visits of night {night}" for night, visits in found)
        raise MidNight(
            f"release: level1 can't become {succession.new} in mid-night: {nights} are not closed",
            f"`hven night close`, then `hven release handover {succession.release}` again: it goes on",
        )


def _reader(database: str) -> Connection:
    """Return a connection that sees one moment."""
    session = connect(database)
    session.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
    return session


def _point_servers(database: str) -> None:
    """Let the foreign servers of releases that lead to the live database lead to this one."""
    for known in inventory.databases():
        if known.state in (None, "template", "creating") or known.database == HUB:
            continue
        with closing(connect(known.database)) as session, session, session.cursor() as cursor:
            cursor.execute(queries("handover")["servers"])
            for (server,) in cursor.fetchall():
                cursor.execute(f"ALTER SERVER {server} OPTIONS (SET dbname %s)", [database])
