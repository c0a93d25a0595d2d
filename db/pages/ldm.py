"""LDM-151's Tables 1 to 6, line by line, and what answers each line."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TEXT = Path(__file__).with_name("ldm-151.txt")
"""Section 10 as it stands: a heading per table, then lines of title, tab, contents."""

FUNCTIONS = {"T1:IAU compliant name for the object": ("object_name",)}
"""Line → functions of schema hven that answer it for a row."""

DECISIONS = {
    "T1:Average calibrated fluxes and errors in each filter": "0003-extended-object-flux",
    "T1:Summary statistics for light curve variability": "0001-variability",
    "T1:Summary statistics for image model residuals": "0002-residual-statistics",
    "T2:Summary statistics for light curve variability": "0001-variability",
    "T6:Telescope state information": "0010-exposure-state",
    "T6:Camera state information": "0010-exposure-state",
    "T6:Site conditions information": "0010-exposure-state",
    "T6:Shutter trajectory information": "0010-exposure-state",
}
"""Line that the seed leaves open → the decision record (in docs/decisions) that closes it."""


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes
    ----------
    reference : str
        ``T<n>:<title>``, as `ldm` of a column has it.
    title, contents : str
        Verbatim.
    """

    reference: str
    title: str
    contents: str


@cache
def tables() -> dict[str, tuple[Line, ...]]:
    """Return the lines of each table by its heading, such as ``Table 1. Object Table Contents``."""
    found: dict[str, list[Line]] = {}
    for text in TEXT.read_text().splitlines():
        if text.startswith("Table "):
            heading = text
            found[heading] = []
        elif text:
            title, _, contents = text.partition("\t")
            number = heading.removeprefix("Table ").partition(".")[0]
            found[heading].append(Line(f"T{number}:{title}", title, contents))
    return {heading: tuple(lines) for heading, lines in found.items()}


def lines() -> Iterable[Line]:
    """Return the lines of all tables in order."""
    return (line for table in tables().values() for line in table)
