"""Science data quality assessment: metrics, measurements, and feedback to the Observatory Control System."""

from sqlalchemy import (
    BigInteger,
    Double,
    ForeignKey,
    Identity,
    Index,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from db.columns import NOW, column, key, link, one_of, table

LEVELS = ("detector", "visit", "night", "patch", "field", "release")

sdqa_metric = table(
    "sdqa_metric", "catalogue",
    column("metric", Text, unit="", ucd="meta.id;meta.main", primary_key=True, doc="Name, as package.metric"),
    column("level", Text, unit="", ucd="meta.code.class", nullable=False, doc="What one value describes: " + ", ".join(LEVELS)),
    column("unit", Text, unit="", ucd="meta.unit", nullable=False, doc="Unit of the values (VOUnit)"),
    column("description", Text, unit="", ucd="meta.note", nullable=False, doc="What is measured and how"),
    column("reference", Text, unit="", ucd="meta.bib", doc="Where the specification comes from"),
    column("better", Text, unit="", ucd="meta.code", nullable=False, doc="lower, higher or neither"),
    column("minimum", Double, unit="", ucd="stat.value;stat.min", doc="Specification: worse than this fails"),
    column("design", Double, unit="", ucd="stat.value", doc="Specification: what is aimed at"),
    column("stretch", Double, unit="", ucd="stat.value;stat.max", doc="Specification: what would be excellent"),
    column("gate", Text, unit="", ucd="meta.code", doc="What a failing value holds: stream (sending of Alerts), release (validation), or NULL"),
    one_of("level", *LEVELS),
    one_of("better", "lower", "higher", "neither"),
    one_of("gate", "stream", "release"),
    doc="Named quality metrics with unit and specification",
)

sdqa_measurement = table(
    "sdqa_measurement", "catalogue",
    column("metric", Text, ForeignKey("catalogue.sdqa_metric.metric"), unit="", ucd="meta.id.parent", nullable=False, primary_key=True,
           doc="The metric"),
    column("subject_id", BigInteger, unit="", ucd="meta.id.assoc", primary_key=True, autoincrement=False,
           doc="exposure_id, visit_id, night, patch_id or release number, as the metric's level says"),
    column("value", Double, unit="", ucd="stat.value", doc="The value in the metric's unit; NULL if it could not be measured"),
    column("verdict", Text, unit="", ucd="meta.code.qual", nullable=False, doc="stretch, design, minimum, fail or unspecified"),
    link("job_id", doc="The job that measured it", ucd="meta.id"),
    column("measured", TIMESTAMP(timezone=True), unit="", ucd="time.processing", nullable=False, server_default=NOW, doc="When"),
    one_of("verdict", "stretch", "design", "minimum", "fail", "unspecified"),
    Index("sdqa_measurement_subject_id_idx", "subject_id"),
    Index("sdqa_measurement_fail_idx", "metric", postgresql_where=text("verdict = 'fail'")),
    doc="Values of the metrics with the verdict at the time of measurement",
)

sdqa_waiver = table(
    "sdqa_waiver", "catalogue",
    column("metric", Text, ForeignKey("catalogue.sdqa_metric.metric"), unit="", ucd="meta.id.parent", nullable=False, doc="The metric"),
    key("subject_id", ucd="meta.id.assoc", doc="exposure_id, visit_id or release number whose failing value no longer holds anything"),
    column("reason", Text, unit="", ucd="meta.note", nullable=False, doc="Why it may pass all the same"),
    column("accepted_by", Text, unit="", ucd="meta.id", nullable=False, server_default=text("session_user"), doc="Who decided"),
    column("accepted", TIMESTAMP(timezone=True), unit="", ucd="time", nullable=False, server_default=NOW, doc="When"),
    PrimaryKeyConstraint("metric", "subject_id"),
    doc="Failing values that a person has looked at and lets pass a gate",
    science=False,
)

ocs_feedback = table(
    "ocs_feedback", "catalogue",
    column("feedback_id", BigInteger, Identity(always=True), unit="", ucd="meta.id;meta.main", primary_key=True, doc="Order of writing"),
    link("visit_id", doc="The Visit concerned"),
    column("topic", Text, unit="", ucd="meta.id", nullable=False, doc="What it is about, such as seeing or clouds"),
    column("message", JSONB, unit="", ucd="meta.note", nullable=False, doc="What the control system is told"),
    column("written", TIMESTAMP(timezone=True), unit="", ucd="time", nullable=False, server_default=NOW, doc="When"),
    column("acknowledged", TIMESTAMP(timezone=True), unit="", ucd="time", doc="When the control system read it"),
    column("acknowledged_by", Text, unit="", ucd="meta.id", doc="Who read it"),
    Index("ocs_feedback_open_idx", "feedback_id", postgresql_where=text("acknowledged IS NULL")),
    doc="What quality assessment tells the Observatory Control System, and its acknowledgement",
    science=False,
)
