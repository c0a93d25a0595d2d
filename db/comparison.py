"""Digests as JSON, and where two of them differ."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from db.checksum import ChecksumError, Digest, TableDigest
from db.errors import reason

FORM = 1  # of the file


@dataclass(frozen=True)
class Report:
    """Digests of a database.

    Parameters
    ----------
    database : str
    covers : str
        science or everything.
    order : int
        HEALPix order of the pixels.
    tables : dict of str to TableDigest
    """

    database: str
    covers: str
    order: int
    tables: dict[str, TableDigest]

    def as_dict(self) -> dict[str, object]:
        """Return what JSON can hold; hashes are hexadecimal, as 64-bit integers are not safe in JSON."""
        tables = {
            name: {
                "columns": list(table.columns),
                "rows": table.whole.rows,
                "digest": str(table.whole),
                "pixels": {_key(pixel): [part.rows, str(part)] for pixel, part in table.pixels.items()},
            }
            for name, table in self.tables.items()
        }
        return {"form": FORM, "database": self.database, "covers": self.covers, "order": self.order, "tables": tables}


@dataclass(frozen=True)
class Difference:
    """Where two reports differ: a table, and a pixel if both have the table with the same columns."""

    table: str
    pixel: str
    here: str
    there: str


def read(path: Path) -> Report:
    """Read what `hven checksum --json` printed.

    Raises
    ------
    ChecksumError
        The file can't be read, or is not of that form.
    """
    try:
        return parse(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ChecksumError(
            f"checksum: {path} does not hold digests ({reason(error)})", "make it by `hven checksum --json > FILE`"
        ) from error


def parse(given: dict) -> Report:
    """Return the report that `Report.as_dict` wrote."""
    if given["form"] != FORM:
        raise ValueError(f"form {given['form']}, allowed is {FORM}")
    tables = {
        name: TableDigest(tuple(table["columns"]), {_pixel(key): _digest(*got) for key, got in table["pixels"].items()})
        for name, table in given["tables"].items()
    }
    return Report(given["database"], given["covers"], given["order"], tables)


def differences(here: dict[str, TableDigest], there: dict[str, TableDigest]) -> Iterator[Difference]:
    """Yield each table that only one side has or whose columns differ, and each pixel that differs."""
    for name in sorted(here.keys() | there.keys()):
        if name not in here or name not in there:
            yield Difference(name, "all", *("there" if name in side else "absent" for side in (here, there)))
            continue
        ours, theirs = here[name], there[name]
        if ours.columns != theirs.columns:
            alone = [set(ours.columns) - set(theirs.columns), set(theirs.columns) - set(ours.columns)]
            yield Difference(name, "all", *(f"column {', '.join(sorted(own)) or '-'}" for own in alone))
            continue
        for pixel in sorted(
            ours.pixels.keys() | theirs.pixels.keys(), key=lambda pixel: -1 if pixel is None else pixel
        ):
            pair = ours.pixels.get(pixel, Digest()), theirs.pixels.get(pixel, Digest())
            if pair[0] != pair[1]:
                yield Difference(name, _key(pixel), *(f"{side.rows} rows {side}" for side in pair))


def _key(pixel: int | None) -> str:
    return "none" if pixel is None else str(pixel)


def _pixel(key: str) -> int | None:
    return None if key == "none" else int(key)


def _digest(rows: int, text: str) -> Digest:
    xor, added = text.split("-")
    return Digest(rows, int(xor, 16), int(added, 16))
