"""The archive copy of the Engineering and Facility Database: what the observatory reports of itself."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Double,
    ForeignKey,
    Identity,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

from db.columns import NOW, column, key, mjd, table

topic = table(
    "topic", "efd",
    column("topic_id", BigInteger, Identity(always=True), unit="", ucd="meta.id;meta.main", primary_key=True, doc="Number of the topic here"),
    column("name", Text, unit="", ucd="meta.id", nullable=False, unique=True, doc="Name at the observatory, such as mtmount.azimuth"),
    column("field", ARRAY(Text), unit="", ucd="meta.id", nullable=False, doc="Names of the fields in the order of sample.value"),
    column("field_unit", ARRAY(Text), unit="", ucd="meta.unit", nullable=False, doc="Units of the fields (VOUnit)"),
    column("description", Text, unit="", ucd="meta.note", nullable=False, doc="What the topic reports"),
    doc="Topics of telemetry",
)

sample = table(
    "sample", "efd",
    key("topic_id", ForeignKey("efd.topic.topic_id"), science=False, ucd="meta.id.parent", doc="The topic"),
    mjd("time_tai", "When the sample was taken", nullable=False),
    column("value", ARRAY(Double), unit="", ucd="stat.value", nullable=False, doc="Values of the topic's fields; NULL where one is missing"),
    PrimaryKeyConstraint("topic_id", "time_tai"),
    doc="Samples of telemetry",
)

efd_sync = table(
    "sync", "efd",
    column("sync_id", BigInteger, Identity(always=True), unit="", ucd="meta.id;meta.main", primary_key=True, doc="Order of synchronisation"),
    key("topic_id", ForeignKey("efd.topic.topic_id"), science=False, ucd="meta.id.parent", doc="The topic"),
    mjd("from_tai", "First sample copied", ucd="time.start"),
    mjd("to_tai", "Last sample copied", ucd="time.end"),
    column("samples", BigInteger, unit="", ucd="meta.number", nullable=False, doc="Samples copied"),
    column("digest", Text, unit="", ucd="meta.checksum", nullable=False, doc="Digest that source and copy agreed on"),
    column("finished", TIMESTAMP(timezone=True), unit="", ucd="time.processing", nullable=False, server_default=NOW, doc="When"),
    UniqueConstraint("topic_id", "to_tai"),
    doc="What was copied when, and that it was the same",
    science=False,
)
