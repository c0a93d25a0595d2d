"""Columns that a view computes; all others are described as the column that they show (`db.views`)."""

from sqlalchemy import Column, Double, Text

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
    "source_sg": (),
    "exposure_provenance": (),
}
"""View of the catalogue → the columns that it adds."""
