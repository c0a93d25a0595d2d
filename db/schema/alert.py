"""Alerts, their archive, the outbox that sends them, and how far each consumer has read."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

from db.columns import NOW, check, column, flag, key, link, mjd, one_of, one_parent, table

WHEN = TIMESTAMP(timezone=True)

alert = table(
    "alert", "catalogue",
    key("dia_source_id", doc="The DiaSource that triggered the Alert"),
    column("version", SmallInteger, unit="", ucd="meta.version", nullable=False, server_default="1",
           doc="1 for the first packet; a correction or withdrawal is a further version that cites it"),
    column("ivorn", Text, unit="", ucd="meta.ref.ivoid", nullable=False, unique=True, doc="IVOA identifier of the VOEvent"),
    column("cites", Text, unit="", ucd="meta.ref.ivoid", doc="Identifier of the packet that this one supersedes or retracts"),
    column("cites_as", Text, unit="", ucd="meta.code", doc="supersedes or retraction"),
    link("object_id", doc="The Object, as it was when the Alert was selected"),
    link("moving_object_id", doc="The known MovingObject, if one is predicted there"),
    key("visit_id", ucd="meta.id.assoc", doc="The Visit"),
    column("exposure_id", ARRAY(BigInteger), unit="", ucd="meta.id.assoc", nullable=False, doc="Difference Exposures of the Snaps, in order"),
    column("rule", Text, unit="", ucd="meta.code.class", nullable=False, doc="each_snap, visit_and_each_snap or visit: the Snap rule that it passed"),
    link("host_object_id", doc="The extended Object whose footprint it lies in"),
    flag("is_moving", "A known MovingObject is predicted there", nullable=False, server_default="false"),
    mjd("selected_tai", "When it was selected", ucd="time.processing", nullable=False),
    flag("is_replayed", "Found only when a night was replayed after a Data Release: never sent", nullable=False, server_default="false"),
    PrimaryKeyConstraint("dia_source_id", "version"),
    check("cites", "(version = 1) = (cites IS NULL) AND (cites IS NULL) = (cites_as IS NULL)",
          doc="A first version cites nothing; a further one cites a packet and says how"),
    one_of("cites_as", "supersedes", "retraction"),
    one_of("rule", "each_snap", "visit_and_each_snap", "visit"),
    one_parent(),
    Index("alert_object_id_idx", "object_id"),
    Index("alert_visit_id_idx", "visit_id"),
    doc="Alerts: one row a packet that was or will be distributed",
)


def packet():
    """Return the link of a row to the Alert that it carries."""
    return [
        key("dia_source_id", ucd="meta.id.parent", doc="The Alert's DiaSource"),
        column("version", SmallInteger, unit="", ucd="meta.version", nullable=False, doc="The Alert's version"),
    ], ForeignKeyConstraint(["dia_source_id", "version"], ["catalogue.alert.dia_source_id", "catalogue.alert.version"])


columns, references = packet()
alert_packet = table(
    "alert_packet", "catalogue",
    *columns,
    column("encoding", Text, unit="", ucd="meta.code.class", nullable=False, doc="voevent, avro or stamps"),
    column("file_id", BigInteger, unit="", ucd="meta.id;meta.file", nullable=False, doc="The packet file of the Visit, a row of file"),
    column("byte_offset", BigInteger, unit="byte", ucd="phys.size;meta.file", nullable=False, doc="Where the packet begins in the file"),
    column("byte_length", Integer, unit="byte", ucd="phys.size;meta.file", nullable=False, doc="Length of the packet"),
    PrimaryKeyConstraint("dia_source_id", "version", "encoding"),
    references,
    one_of("encoding", "voevent", "avro", "stamps"),
    check("extent", "byte_offset >= 0 AND byte_length > 0", doc="The packet lies inside a file and is not empty"),
    doc="The archive: where each packet lies",
    science=False,
)

columns, references = packet()
outbox = table(
    "outbox", "catalogue",
    column("outbox_id", BigInteger, Identity(always=True), unit="", ucd="meta.id;meta.main", primary_key=True,
           doc="Order in which Alerts were handed to the outbox"),
    *columns,
    column("stream", Text, unit="", ucd="meta.id", nullable=False, doc="The stream that it goes to; full is unfiltered"),
    column("place", BigInteger, unit="", ucd="meta.number", doc="Place in the stream, from 1 and without gaps; NULL until the packet is archived"),
    column("state", Text, unit="", ucd="meta.code.status", nullable=False, server_default="waiting", doc="waiting, sent or dead"),
    column("attempts", SmallInteger, unit="", ucd="meta.number", nullable=False, server_default="0", doc="Attempts so far"),
    column("next_attempt", WHEN, unit="", ucd="time", nullable=False, server_default=NOW, doc="Not to be tried before"),
    column("sent", WHEN, unit="", ucd="time", doc="When the receiver acknowledged it"),
    column("last_error", Text, unit="", ucd="meta.note", doc="What the last attempt met"),
    references,
    one_of("state", "waiting", "sent", "dead"),
    Index("outbox_waiting_idx", "next_attempt", postgresql_where=text("state = 'waiting'")),
    Index("outbox_once_idx", "dia_source_id", "version", "stream", unique=True),
    Index("outbox_place_idx", "stream", "place", unique=True),
    doc="Alerts that wait to be sent, and those that were",
    science=False,
)

alert_stream = table(
    "alert_stream", "catalogue",
    column("name", Text, unit="", ucd="meta.id;meta.main", primary_key=True, doc="Name of the stream"),
    column("predicate", Text, unit="", ucd="meta.code", nullable=False, doc="Which Alerts go into it: an SQL expression over the columns of alert_wide"),
    column("target", Text, unit="", ucd="meta.ref.url", doc="Where it is sent: vtp://HOST:PORT or file:///FOLDER; NULL if it waits to be fetched over HTTP"),
    column("cursor", BigInteger, unit="", ucd="meta.number", nullable=False, server_default="0", doc="Place in the full stream up to which it was filtered"),
    column("state", Text, unit="", ucd="meta.code.status", nullable=False, server_default="active", doc="active, or stopped after an error"),
    column("last_error", Text, unit="", ucd="meta.note", doc="Why it was stopped"),
    column("registered_by", Text, unit="", ucd="meta.id", nullable=False, server_default=text("SESSION_USER"), doc="Who registered it"),
    column("registered", WHEN, unit="", ucd="time", nullable=False, server_default=NOW, doc="When"),
    check("name", "name <> 'full' AND name ~ '^[a-z][a-z0-9_]{0,62}$'", doc="A name is an identifier of lower case; full is the stream that is not filtered"),
    one_of("state", "active", "stopped"),
    doc="Filtered streams of Alerts",
    science=False,
)

alert_consumer = table(
    "alert_consumer", "catalogue",
    column("name", Text, unit="", ucd="meta.id;meta.main", primary_key=True, doc="Name of the consumer"),
    column("stream", Text, unit="", ucd="meta.id", nullable=False, doc="The stream that it reads"),
    column("cursor", BigInteger, unit="", ucd="meta.id.assoc", nullable=False, server_default="0", doc="Place in the stream of the last Alert that it acknowledged"),
    column("seen", WHEN, unit="", ucd="time", nullable=False, server_default=NOW, doc="When it last asked"),
    doc="How far each consumer has read",
    science=False,
)

order_log = table(
    "order_log", "catalogue",
    column("place", BigInteger, Identity(always=True), unit="", ucd="meta.id;meta.main", primary_key=True,
           doc="Place in the order of associations, which a second site replays"),
    key("visit_id", ucd="meta.id.assoc", doc="The Visit that was associated"),
    column("pass", SmallInteger, unit="", ucd="meta.number", nullable=False, doc="1, or more for late detectors and reruns"),
    column("dia_sources", Integer, unit="", ucd="meta.number", nullable=False, doc="DiaSources that were associated"),
    column("digest", BigInteger, unit="", ucd="meta.checksum", nullable=False, doc="bit_xor of their ids and parents"),
    column("detectors", ARRAY(SmallInteger), unit="", ucd="meta.id", nullable=False, server_default="{}",
           doc="Detectors that this pass was the first to take in; none for a rerun"),
    column("written", WHEN, unit="", ucd="time", nullable=False, server_default=NOW, doc="When"),
    Index("order_log_visit_id_idx", "visit_id"),
    doc="The order in which Visits were associated",
    science=False,
)
