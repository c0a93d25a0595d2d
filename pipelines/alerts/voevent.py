"""VOEvent 2.0 (IVOA recommendation of 11 July 2011): an Alert's rows and stamps as one XML packet, and back.

Columns that are NULL have no Param. Numbers are written so that reading gives the same bits.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from xml.sax.saxutils import escape, quoteattr

from sqlalchemy import ARRAY, Boolean, Integer, Table, Text

from db.errors import HvenError
from db.schema import alert as alert_tables
from db.schema import exposure as exposure_tables
from db.schema import measurement, moving_object
from db.schema import object as object_tables
from pipelines.alerts.rows import HISTORY, AlertRows, History, Row

LIMIT = 99_000
"""Bytes of a packet at most: Comet, the usual broker, refuses 100,000."""

NAMESPACE = "http://www.ivoa.net/xml/VOEvent/v2.0"
EPOCH = datetime(1858, 11, 17)  # noqa: DTZ001  MJD 0, in whatever scale
LEFT_OUT = {"footprint", "transmission", "file_id", "stamps_file_id", "job_id", "healpix29", "time_processed"}
"""Columns that mean nothing outside, or follow from others."""


class PacketError(HvenError):
    """What should be a packet can't be read as one."""

    exit_status = 25


@cache
def params(table: Table, more: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return column and beginning of its Param, for the columns of a table that packets carry."""
    columns = [column for column in table.columns if column.name not in LEFT_OUT and not column.name.startswith("sum_")]
    made = [(c.name, _param(c.name, _data_type(c.type), c.info["unit"], c.info["ucd"])) for c in columns]
    return made + [(name, _param(name, "string", "", "")) for name in more]


def _data_type(type_) -> str:
    if isinstance(type_, Text | Boolean | ARRAY):
        return "string"
    return "int" if isinstance(type_, Integer) else "float"


def _param(name: str, data_type: str, unit: str, ucd: str) -> str:
    about = "".join(f" {key}={quoteattr(value)}" for key, value in (("unit", unit), ("ucd", ucd)) if value)
    return f'<Param name="{name}" dataType="{data_type}"{about} value='


def group(name: str, row: Row, table: Table, more: tuple[str, ...] = ()) -> str:
    """Return the Group of a row."""
    lines = [start + _value(row[column]) + "/>" for column, start in params(table, more) if row[column] is not None]
    return f'<Group name="{name}" type="{table.name}">{"".join(lines)}</Group>'


def _value(value) -> str:
    if type(value) in (float, int):
        return f'"{value!r}"'
    if isinstance(value, bool):
        return '"true"' if value else '"false"'
    if isinstance(value, list):
        return f'"{" ".join(map(repr, value))}"'
    return quoteattr(str(value))


def utc(mjd_tai: float) -> str:
    """Return a time TAI as MJD in UTC and ISO 8601."""
    return (EPOCH + timedelta(days=mjd_tai, seconds=-_leap_seconds(int(mjd_tai)))).isoformat(timespec="milliseconds")


@cache
def _leap_seconds(mjd: int) -> float:
    from astropy.time import Time

    day = Time(mjd, format="mjd", scale="tai")
    return round((day.mjd - day.utc.mjd) * 86400)


def write(rows: AlertRows, stamps: Mapping[str, bytes], exposures: Sequence[str] | None = None) -> bytes:
    """Return the packet of an Alert; at most `LIMIT` bytes, for which its history is cut, then stamps are left out.

    Parameters
    ----------
    rows : AlertRows
    stamps : mapping of str to bytes
        Kind → gzipped FITS file, of the DiaSource.
    exposures : sequence of str, optional
        Groups of the Exposures, where they were made before: many Alerts share them.
    """
    chosen, missing = choose_stamps(stamps)
    head, tail = _head(rows, exposures if exposures is not None else exposure_groups(rows.exposures)), _tail(rows)
    while True:
        pictures = "".join(_stamp(kind, stamps[kind]) for kind in chosen)
        absent = _param("stamps_missing", "string", "", "") + quoteattr(" ".join(missing)) + "/>" if missing else ""
        fixed = [head, absent, pictures, tail]
        room = LIMIT - sum(len(part.encode()) for part in fixed)
        if room > HISTORY_HEAD or not chosen:
            return "".join([head, absent, _history(rows.history, rows.bands, room), pictures, tail]).encode()
        missing.append(chosen.pop())


def choose_stamps(stamps: Mapping[str, bytes]) -> tuple[list[str], list[str]]:
    """Return which stamps a packet carries, and which it should carry but can't.

    Those of both Snaps' differences and of the template; where there is one Snap, the science image joins.
    """
    snaps = sorted(kind for kind in stamps if kind.startswith("difference_"))[:2]
    wanted = [*snaps, "template"] if len(snaps) > 1 else ["difference", "template", "science"]
    return [kind for kind in wanted if kind in stamps], [kind for kind in wanted if kind not in stamps]


def exposure_groups(exposures: Iterable[Row]) -> list[str]:
    """Return the Groups of the Exposures."""
    return [group(f"exposure_{n}", row, exposure_tables.exposure) for n, row in enumerate(exposures, 1)]


def _head(rows: AlertRows, exposures: Sequence[str]) -> str:
    alert, visit = rows.alert, rows.visit
    role = "test" if visit["instrument"] == "simulated" else "observation"
    author = alert["ivorn"].partition("#")[0]
    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?>\n<voe:VOEvent xmlns:voe="{NAMESPACE}"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        f' xsi:schemaLocation="{NAMESPACE} {NAMESPACE.replace("VOEvent/v2.0", "VOEvent/VOEvent-v2.0.xsd")}"'
        f' version="2.0" role="{role}" ivorn={quoteattr(alert["ivorn"])}>',
        f"<Who><AuthorIVORN>{escape(author)}</AuthorIVORN><Date>{utc(alert['selected_tai'])}</Date></Who><What>",
        group("alert", alert, alert_tables.alert), group("visit", visit, exposure_tables.visit, ("band", "instrument")),
        *exposures, group("dia_source", rows.dia_source, measurement.dia_source),
        *(group(f"dia_source_snap_{row['snap']}", row, measurement.dia_source_snap) for row in rows.snaps),
    ]
    if rows.object is not None:
        parts.append(group("object", rows.object, object_tables.object_))
    parts += [group(f"object_flux_{row['band']}", row, object_tables.object_flux, ("band",)) for row in rows.fluxes]
    if rows.moving_object is not None:
        parts.append(group("moving_object", rows.moving_object, moving_object.moving_object))
    return "".join(parts)


def _tail(rows: AlertRows) -> str:
    alert, seen = rows.alert, rows.dia_source
    radius = max(seen["ra_err"] or 0, seen["dec_err"] or 0) / 3600
    cites = ""
    if alert["cites"]:
        cites = f'<Citations><EventIVORN cite="{alert["cites_as"]}">{escape(alert["cites"])}</EventIVORN></Citations>'
    system = "UTC-ICRS-TOPO"
    return (
        "</What><WhereWhen><ObsDataLocation>"
        f"<ObservatoryLocation id={quoteattr(rows.visit['instrument'] or 'unknown')}/>"
        f'<ObservationLocation><AstroCoordSystem id="{system}"/><AstroCoords coord_system_id="{system}">'
        f'<Time unit="s"><TimeInstant><ISOTime>{utc(seen["midpoint_tai"])}</ISOTime></TimeInstant></Time>'
        f'<Position2D unit="deg"><Name1>RA</Name1><Name2>Dec</Name2><Value2><C1>{seen["ra"]!r}</C1>'
        f"<C2>{seen['dec']!r}</C2></Value2><Error2Radius>{radius!r}</Error2Radius></Position2D>"
        f"</AstroCoords></ObservationLocation></ObsDataLocation></WhereWhen>{cites}</voe:VOEvent>\n"
    )


STAMP = "31 x 31 pixels: IMAGE, MASK, VARIANCE; FITS, gzip, base64"


def _stamp(kind: str, content: bytes) -> str:
    text = base64.b64encode(content).decode()
    return f'<Param name="stamp_{kind}"><Description>{STAMP}</Description><Value>{text}</Value></Param>'


@cache
def _fields() -> str:
    columns = measurement.dia_source.columns
    parts = []
    for name in HISTORY:
        shown = {"id": "dia_source_id", "filter_id": "filter_id"}.get(name, name)
        if name == "filter_id":
            parts.append('<Field name="band" dataType="string" ucd="instr.filter"/>')
            continue
        about = columns[shown].info if shown in columns else {"unit": "", "ucd": "meta.code"}
        kind = _data_type(columns[shown].type) if shown in columns else "int"
        unit = f' unit="{about["unit"]}"' if about["unit"] else ""
        parts.append(f'<Field name="{name}" dataType="{kind}"{unit} ucd="{about["ucd"]}"/>')
    return "".join(parts)


TABLE_START, TABLE_END = '<Table name="history">', "</Data></Table>"
HISTORY_HEAD = 2_000  # bytes that a history without rows takes at most


def _history(history: History, bands: Mapping[int, str], room: int) -> str:
    """Return the Table of a history with as many rows as there is room for, and a statement of how many there are."""
    if not history.rows:
        return ""
    place = HISTORY.index("filter_id")
    lines, room = [], room - HISTORY_HEAD
    for row in history.rows:
        cells = (*row[:place], bands[row[place]], *row[place + 1 :])
        line = f"<TR>{''.join('<TD/>' if cell is None else f'<TD>{cell}</TD>' for cell in cells)}</TR>"
        room -= len(line)
        if room < 0:
            break
        lines.append(line)
    said = f"Earlier measurements, the latest first: {len(lines)} of {history.total}"
    if len(lines) < history.total:
        said += "; truncated, the rest has no room"
    if not lines:
        return f'<Param name="history" value="{said}"/>'
    counts = "".join(f'<Param name="{name}" dataType="int" value="{value}"/>'
                     for name, value in (("rows", len(lines)), ("rows_in_all", history.total)))
    return f"{TABLE_START}<Description>{said}</Description>{counts}{_fields()}<Data>{''.join(lines)}{TABLE_END}"


@dataclass(frozen=True)
class Packet:
    """A VOEvent as it was read, ours or another's.

    Attributes
    ----------
    groups : dict
        Name → values by Param; Params outside of groups have the name ``""``.
    tables : dict
        Name → columns → values.
    stamps : dict
        Kind → gzipped FITS file.
    """

    ivorn: str
    role: str
    date: str | None
    position: tuple[float, float, float] | None
    time: str | None
    groups: dict[str, dict] = field(default_factory=dict)
    tables: dict[str, dict[str, list]] = field(default_factory=dict)
    stamps: dict[str, bytes] = field(default_factory=dict)
    citations: list[tuple[str, str]] = field(default_factory=list)


def read(content: bytes) -> Packet:
    """Read a VOEvent, of version 2.0 or 1.1, ours or another's.

    Raises
    ------
    PacketError
        It is no XML, or no VOEvent.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise PacketError(f"alerts: this is no XML ({error})", "give a VOEvent or an Avro file") from None
    if etree.QName(root).localname != "VOEvent" or not root.get("ivorn"):
        raise PacketError(f"alerts: got a document {root.tag}, allowed is VOEvent with an ivorn", "give a VOEvent")
    groups: dict[str, dict] = {}
    stamps = {}
    for param in root.iterfind("{*}What//{*}Param"):
        name, parent = param.get("name"), param.getparent()
        within = etree.QName(parent).localname
        if within == "What" and name and name.startswith("stamp_") and param.find("Value") is not None:
            stamps[name.removeprefix("stamp_")] = base64.b64decode(param.findtext("Value"))
        elif within != "Table":
            owner = parent.get("name", "") if within == "Group" else ""
            groups.setdefault(owner, {})[name] = _read_value(param.get("value"), param.get("dataType"))
    tables = {table.get("name", ""): _read_table(table) for table in root.iterfind("{*}What/{*}Table")}
    cites = [(cited.get("cite"), (cited.text or "").strip()) for cited in root.iterfind("{*}Citations/{*}EventIVORN")]
    return Packet(root.get("ivorn"), root.get("role", "observation"), root.findtext("{*}Who/{*}Date"), _position(root),
                  root.findtext("{*}WhereWhen//{*}ISOTime"), groups, tables, stamps, cites)


def _position(root) -> tuple[float, float, float] | None:
    where = root.find("{*}WhereWhen")
    places = [None if where is None else where.findtext(f".//{{*}}{tag}") for tag in ("C1", "C2", "Error2Radius")]
    return None if None in places[:2] else (float(places[0]), float(places[1]), float(places[2] or 0))


def _read_value(text: str | None, data_type: str | None):
    if text is None:
        return None
    try:
        if data_type == "float":
            return float(text)
        if data_type == "int":
            return int(text)
    except ValueError:  # others write what they like
        return text
    return {"true": True, "false": False}.get(text, text)


def _read_table(table) -> dict[str, list]:
    kinds = [(one.get("name"), one.get("dataType")) for one in table.iterfind("Field")]
    rows = [[cell.text for cell in row.iterfind("TD")] for row in table.iterfind("Data/TR")]
    return {name: [_read_value(row[n], kind) for row in rows] for n, (name, kind) in enumerate(kinds)}
