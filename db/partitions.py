"""Two partition plans for one model of measurements: by time in the live database, by tile in a release.

By time means by range of the id, whose high bits are release and night. By tile means by range of `tile`, a
HEALPix pixel of the parent Object (of the measurement itself where it has none), so that an Object and all its
measurements lie together; the key is (tile, id).
"""

from dataclasses import dataclass

from sqlalchemy import Index, Integer, PrimaryKeyConstraint, Table, text

from db.columns import column

TILE_ORDER = 6  # 0.84 square degrees: some 10^4 to 10^5 Objects each
BASE_PIXELS = 12


@dataclass(frozen=True)
class ByTime:
    """Monthly ranges of the id, added as the nights come; closed months are merged into years."""

    name = "level1"

    def apply(self, table: Table) -> None:
        """Give a measurement table its primary key, its partitioning and its indexes."""
        _partition(table, (), table.info["id"])


@dataclass(frozen=True)
class ByTile:
    """Twelve ranges of tile, one a base pixel of HEALPix."""

    name = "release"

    def apply(self, table: Table) -> None:
        """Give a measurement table its tile, its primary key, its partitioning and its indexes."""
        table.append_column(column(
            "tile", Integer, unit="", ucd="pos.healpix", nullable=False, science=False,
            doc=f"HEALPix pixel, NESTED, order {TILE_ORDER}, of the parent Object, else of the measurement itself"))
        _partition(table, ("tile",), "tile")


Plan = ByTime | ByTile


def _partition(table: Table, leading: tuple[str, ...], by: str) -> None:
    own = table.info["id"]
    also = table.info.get("also_key", ())
    table.append_constraint(PrimaryKeyConstraint(*leading, own, *also, name=f"{table.name}_pkey"))
    table.dialect_options["postgresql"]["partition_by"] = f"RANGE ({by})"
    if "light_curve" in table.info:
        # Covering, so that a light curve is read from the index alone. A MovingObject has no tile of its own.
        for parent, before in (("object_id", leading), ("moving_object_id", ())):
            Index(f"{table.name}_{parent}_idx", *[table.c[name] for name in (*before, parent, own)],
                  postgresql_include=list(table.info["light_curve"]),
                  postgresql_where=text(f"{parent} IS NOT NULL"))
        Index(f"{table.name}_healpix29_idx", table.c.healpix29)
    if "visit_id" in table.columns and leading:
        Index(f"{table.name}_visit_id_idx", table.c.visit_id)
