"""The schema of the hub and of Science Databases: one module a family of tables.

The models carry logical schema names. `science` and `hub` return them under the names of one real database, with
the measurements partitioned by its plan.
"""

from sqlalchemy import Index, MetaData, Table, text

from db.columns import NAMING, metadata
from db.partitions import ByTile, Plan
from db.schema import (
    alert,
    coadd,
    efd,
    exposure,
    manifest,
    measurement,
    moving_object,
    object,
    quality,
    queue,
    refcat,
    staging,
    synthetic,
)
from db.schema import (
    hub as hub_tables,
)

FAMILIES = {
    "Hub": hub_tables,
    "Exposures": exposure,
    "Reference catalogues": refcat,
    "Objects": object,
    "Moving objects": moving_object,
    "Measurements": measurement,
    "Coadds": coadd,
    "Alerts": alert,
    "Quality": quality,
    "Staging": staging,
    "Queue and files": queue,
    "Engineering and Facility Database": efd,
    "Synthetic objects": synthetic,
    "Metadata": manifest,
}
"""Families in the order in which the documentation shows them."""

SCIENCE = ("catalogue", "staging", "queue", "efd", "hven", "tap_schema")
HUB = ("hub", "queue", "hven", "tap_schema")
SCHEMA_DOCS = {
    "catalogue": "The catalogue: Objects, their measurements and the Exposures they were measured on",
    "staging": "Rows on their way from the workers to the catalogue",
    "queue": "Productions, jobs, files and provenance",
    "efd": "Archive copy of the Engineering and Facility Database",
    "synthetic": "Truth of synthetic objects (mini Data Releases alone)",
    "hub": "Databases, releases, sites and calibration products",
    "hven": "Hven's functions and its record of them",
    "tap_schema": "Metadata of all tables, by TAP 1.1",
}


def science(catalogue: str, plan: Plan, mini: bool = False) -> MetaData:
    """Return the tables of one Science Database.

    Parameters
    ----------
    catalogue : str
        Name of the catalogue schema: level1, dr1, or release in the template.
    plan : ByTime or ByTile
        How the measurements are partitioned.
    mini : bool
        With the truth tables of a mini Data Release.
    """
    names = (*SCIENCE, "synthetic") if mini else SCIENCE
    return bind({name: catalogue if name == "catalogue" else name for name in names}, plan)


def hub() -> MetaData:
    """Return the tables of the hub."""
    return bind({name: name for name in HUB}, None)


def bind(names: dict[str, str], plan: Plan | None) -> MetaData:
    """Return the tables of some logical schemas under real names."""
    bound = MetaData(naming_convention=NAMING)
    for table in metadata.sorted_tables:
        if table.schema in names:
            _copy(table, bound, names, plan)
    return bound


def _copy(table: Table, bound: MetaData, names: dict[str, str], plan: Plan | None) -> Table:
    copy = table.to_metadata(
        bound, schema=names[str(table.schema)],
        referred_schema_fn=lambda _table, _to, _constraint, referred: names[str(referred)],
    )
    if table in measurement.MEASUREMENTS and plan:
        plan.apply(copy)
    factors = table.info.get("fillfactor", {})
    factor = factors.get("*", factors.get(plan.name if plan else None))
    storage = ({"fillfactor": factor} if factor else {}) | table.info.get("storage", {})
    if storage:
        copy.dialect_options["postgresql"]["with"] = storage
    if isinstance(plan, ByTile) and table.info.get("gist"):
        # Releases never change, so they can afford the index that makes small cones fastest.
        Index(f"{table.name}_position_idx", text("spoint_deg(ra, dec)"), postgresql_using="gist", _table=copy)
    return copy
