"""The operations manual says what digests leave out."""

from pathlib import Path

from db.checksum import SCIENCE_SCHEMAS
from db.schema import metadata

MANUAL = Path(__file__).resolve().parents[2] / "docs/operations.md"


def left_out() -> str:
    """Return the lines of the manual's table, by the models."""
    lines = []
    covered = [table for table in metadata.sorted_tables if table.schema in SCIENCE_SCHEMAS]
    for table in sorted(covered, key=lambda table: (SCIENCE_SCHEMAS.index(table.schema), table.name)):
        kinds = {column.name: column.info["science"] for column in table.columns}
        if table.info.get("science") is False:
            lines.append(f"| `{table.schema}.{table.name}` | all | |")
        elif not all(kind is True for kind in kinds.values()):
            never = ", ".join(f"`{name}`" for name, kind in kinds.items() if kind is False)
            present = ", ".join(f"`{name}`" for name, kind in kinds.items() if kind == "presence")
            lines.append(f"| `{table.schema}.{table.name}` | {never} | {present} |")
    return "".join(f"{line}\n" for line in lines)


def test_manual_says_what_digests_leave_out():
    assert left_out() + "<!-- left out: end -->" in MANUAL.read_text()
