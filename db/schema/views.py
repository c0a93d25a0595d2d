"""Columns that a view computes; all others are described as the column that they show (`db.views`)."""

from sqlalchemy import BigInteger, Column, Double, SmallInteger, Text

from db.columns import column

COMPUTED: dict[str, tuple[Column, ...]] = {
    "object_wide": (
        column("name", Text, unit="", ucd="meta.id;src", ldm="T1:IAU compliant name for the object",
               doc="Designation in the form of the IAU, such as LSST-DR2 J001234.65-123456.8"),
        column("random_id", Double, unit="", ucd="stat.value",
               doc="Hash of object_id, uniform from 0 to below 1: random_id < 0.01 is an unbiased sample of 1 %"),
        column("best_model_type", Text, unit="", ucd="meta.code.class", ldm="T1:Best fitting model type for the object",
               doc="Type of the model that fits the Object best"),
    ),
    "alert_wide": (),
    "source_sg": (),
    "exposure_provenance": (),
    "quality_hold": (
        column("visit_id", BigInteger, unit="", ucd="meta.id.assoc", doc="The Visit whose Alerts are held; NULL for a release"),
        column("detector_id", SmallInteger, unit="", ucd="meta.id;instr.det",
               doc="The detector whose Alerts alone are held; NULL = all of the Visit"),
    ),
    "sdqa_rollup": (
        column("metric", Text, unit="", ucd="meta.id", doc="The metric"),
        column("unit", Text, unit="", ucd="meta.unit", doc="Unit of the values (VOUnit)"),
        column("visit_id", BigInteger, unit="", ucd="meta.id.assoc", doc="The Visit; NULL in rows of a night, field or all"),
        column("night", SmallInteger, unit="d", ucd="time.epoch",
               doc="MJD of the local noon before the night, minus 50000; NULL in rows of a Visit, field or all"),
        column("field", Text, unit="", ucd="meta.id;obs.field", doc="The field; NULL in rows of a Visit, night or all"),
        column("measurements", BigInteger, unit="", ucd="meta.number", doc="Values that were measured"),
        column("median", Double, unit="", ucd="stat.median", doc="Median of the values, in the metric's unit"),
        column("smallest", Double, unit="", ucd="stat.min", doc="Smallest value, in the metric's unit"),
        column("largest", Double, unit="", ucd="stat.max", doc="Largest value, in the metric's unit"),
        column("failed", BigInteger, unit="", ucd="meta.number;meta.code.qual", doc="Values that meet no specification"),
    ),
}
"""View of the catalogue → the columns that it adds."""
