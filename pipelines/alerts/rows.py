"""The rows that a packet carries, gathered for all Alerts of a Visit at once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from db.ids import ExposureId, Kind, MeasurementId, pack, unpack
from db.queries import queries

MOST_HISTORY = 400
"""Measurements of an Object's past that are fetched; a packet has room for fewer."""

MOST_NIGHTS = 365
"""How far back a packet's history goes: what it costs must not grow with the survey."""

BELOW_VISIT, BELOW_NIGHT = 31, 43  # bits of a measurement's id below its Visit, and its night

Row = Mapping[str, object]


@dataclass(frozen=True)
class History:
    """Earlier measurements of an Object within a year, the latest first, and how many there are in all."""

    rows: Sequence[tuple]
    total: int


HISTORY = ("forced", "id", "midpoint_tai", "filter_id", "ra", "dec", "x", "y", "psf_flux", "psf_flux_err", "snr")
"""Columns of a history; forced is 1 for a flux that was forced where nothing was detected."""


@dataclass(frozen=True)
class AlertRows:
    """What one packet says: rows of the Science Database, by column."""

    alert: Row
    visit: Row
    exposures: Sequence[Row]
    dia_source: Row
    snaps: Sequence[Row]
    object: Row | None
    fluxes: Sequence[Row]
    moving_object: Row | None
    history: History
    bands: Mapping[int, str]

    @property
    def detector(self) -> int:
        """The detector that saw it."""
        return unpack(MeasurementId, self.alert["dia_source_id"]).detector


def gather(connection: Connection, alerts: Sequence[Row]) -> list[AlertRows]:
    """Return the rows of Alerts (rows of `alert`) of one Visit, in their order."""
    visit_id = alerts[0]["visit_id"]
    ids = [alert["dia_source_id"] for alert in alerts]
    with connection.cursor() as cursor:

        def ask(query: str, **values) -> list[Row]:
            cursor.execute(queries("alerts")[query], values)
            return fetch(cursor)

        bands = {row["filter_id"]: row["name"] for row in ask("bands")}
        visit = ask("visit", visit_id=visit_id)[0]
        exposures = {row["exposure_id"]: row for row in ask("exposures", visit_id=visit_id)}
        dia_sources = {row["dia_source_id"]: row for row in ask("dia_source", ids=ids)}
        snaps = _grouped(ask("dia_source_snap", ids=ids), "dia_source_id")
        objects = _parents(alerts, "object_id")
        movers = _parents(alerts, "moving_object_id")
        found = {row["object_id"]: row for row in ask("object", ids=objects)}
        fluxes = _grouped(ask("object_flux", ids=objects), "object_id")
        moving = {row["moving_object_id"]: row for row in ask("moving_object", ids=movers)}
    past = past_of(ids[0] >> BELOW_VISIT)
    histories = _histories(connection, "object_history", {"ids": objects} | past)
    histories |= _histories(connection, "moving_object_history", {"ids": movers} | past)
    none = History((), 0)
    return [
        AlertRows(
            alert, visit, _exposures(alert, exposures),
            dia_sources[alert["dia_source_id"]], snaps.get(alert["dia_source_id"], ()),
            found.get(alert["object_id"]), fluxes.get(alert["object_id"], ()), moving.get(alert["moving_object_id"]),
            histories.get(alert["object_id"] or alert["moving_object_id"], none), bands,
        )
        for alert in alerts
    ]


def past_of(visit: int) -> dict[str, int]:
    """Return which measurements the history of an Alert may hold; the Visit has the bits of its release before it."""
    first = visit << BELOW_VISIT
    return {"since": first - (MOST_NIGHTS << BELOW_NIGHT), "first": first, "most": MOST_HISTORY}


def fetch(cursor) -> list[Row]:
    """Return the rows that a query gave, by column; three times as fast as psycopg2's own dictionaries."""
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _exposures(alert: Row, known: Mapping[int, Row]) -> list[Row]:
    """Return the Difference Exposures of the Snaps, or of the Visit's sum where the Snaps have none."""
    found = [known[one] for one in alert["exposure_id"] if one in known]
    detector = unpack(MeasurementId, alert["dia_source_id"]).detector
    whole = pack(ExposureId(alert["visit_id"], detector, 0, Kind.DIFFERENCE))
    return found or [known[one] for one in (whole,) if one in known]


def _parents(alerts: Iterable[Row], name: str) -> list:
    return list({alert[name] for alert in alerts} - {None})


def _grouped(rows: Iterable[Row], by: str) -> dict:
    groups = defaultdict(list)
    for row in rows:
        groups[row[by]].append(row)
    return groups


def _histories(connection: Connection, query: str, values: Mapping) -> dict[int, History]:
    if not values["ids"]:
        return {}
    groups, totals = defaultdict(list), {}
    with connection.cursor() as cursor:
        cursor.execute(queries("alerts")[query], values)
        for parent, *row, total in cursor:
            groups[parent].append(tuple(row))
            totals[parent] = total
    return {parent: History(rows, totals[parent]) for parent, rows in groups.items()}
