"""The models as SQL: `python -m migrations.snapshot` writes the files of a first revision."""

from sqlalchemy import MetaData

from db import ddl, schema
from db.partitions import ByTile, ByTime
from db.schema.measurement import MEASUREMENTS
from migrations.script import VERSIONS

SHARED = {"queue", "hven", "tap_schema"}
PLANNED = {table.name for table in MEASUREMENTS} | {"object", "object_flux"}
"""Tables whose storage depends on the plan: partitions, fill factor, GiST."""


def statements(tables: MetaData, wanted) -> str:
    """Return the SQL of the tables for which `wanted` holds."""
    return ddl.statements(filter(wanted, tables.sorted_tables))


def write(name: str, text: str) -> None:
    """Write one file without blanks at the ends of lines."""
    (VERSIONS / f"{name}.sql").write_text("\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n")


def main() -> None:
    """Write all files of the first revision."""
    by_time, by_tile = schema.science("CATALOGUE", ByTime()), schema.science("CATALOGUE", ByTile())

    def planned(table):
        return table.schema == "CATALOGUE" and table.name in PLANNED

    files = {
        "0001_shared": statements(by_time, lambda table: table.schema in SHARED),
        "science/0001_level1": statements(by_time, planned),
        "science/0001_release": statements(by_tile, planned),
        "science/0001_catalogue": statements(by_time, lambda table: table.schema not in SHARED and not planned(table)),
        "hub/0001_hub": statements(schema.hub(), lambda table: table.schema == "hub"),
    }
    for name, text in files.items():
        write(name, text.replace('"CATALOGUE"', ":catalogue"))


if __name__ == "__main__":
    main()
