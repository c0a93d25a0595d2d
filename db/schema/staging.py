"""Staging: what the workers send, one table a kind, derived from the measurement that it becomes.

LOGGED, since an unlogged table is empty after a crash while the job says done. No index but the Visit's, no
pgSphere column, no parent yet: association gives each row its Object. The Visit's index is BRIN: rows arrive a
Visit together, and a btree of equal keys costs a COPY 27 to 37 % of its speed, BRIN 8 %.
"""

from sqlalchemy import Column, Index, Table

from db.columns import key, metadata
from db.schema import measurement

GIVEN_BY_ASSOCIATION = {
    "moving_object_id", "rejected", "time_processed", "time_withdrawn",
    "ss_ra", "ss_dec", "ss_ixx", "ss_iyy", "ss_ixy",
}


def staged(permanent: Table, keep: tuple[str, ...] = ()) -> Table:
    """Return the staging table of a measurement: its columns less those that association gives."""
    dropped = (GIVEN_BY_ASSOCIATION | {"object_id"}) - set(keep)
    columns = [
        Column(c.name, c.type, nullable=c.nullable, comment=c.comment, info=c.info)
        for c in permanent.columns if c.name not in dropped
    ]
    if "visit_id" not in permanent.columns:
        columns.insert(1, key("visit_id", doc="The Visit", ucd="meta.id.assoc"))
    return Table(
        permanent.name, metadata, *columns,
        key("job_id", doc="The job that measured the row", ucd="meta.id"),
        Index(f"{permanent.name}_visit_id_idx", "visit_id", postgresql_using="brin",
              postgresql_with={"pages_per_range": 32, "autosummarize": "on"}),
        schema="staging", comment=f"Rows on their way to {permanent.name}", info={"ldm": None},
    )


source = staged(measurement.source)
dia_source = staged(measurement.dia_source)
dia_source_snap = staged(measurement.dia_source_snap)
forced_source = staged(measurement.forced_source, keep=("object_id", "moving_object_id"))
forced_dia_source = staged(measurement.forced_dia_source, keep=("object_id", "moving_object_id"))
