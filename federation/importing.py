"""Files of users → tables in their spaces: in pieces, all of it or nothing."""

import csv
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pyarrow as pa
from psycopg2 import sql
from psycopg2.extensions import connection

from db.load import load
from federation import formats
from federation.columns import Field, check_types, named
from federation.errors import Level3Error
from federation.formats import Source
from federation.positions import Position, recognise
from federation.rows import Bad, checked
from federation.sessions import queries
from federation.spaces import refusals

MOST_BAD = 100_000  # rows in a report; more is a wrong file
SHOWN = 5


@dataclass(frozen=True)
class Wish:
    """How a file is to be imported.

    Parameters
    ----------
    ra, dec, unit : str, optional
        Columns of the position and their unit, if the file does not tell.
    report : Path, optional
        Where bad rows are listed; without, one bad row refuses the file.
    description : str, optional
        What the table is; default what the file says.
    spatial : bool
        Whether positions get a GiST index too, for `sky_within` with other tables on its left.
    """

    ra: str | None = None
    dec: str | None = None
    unit: str | None = None
    report: Path | None = None
    description: str | None = None
    spatial: bool = False


@dataclass(frozen=True)
class Imported:
    """What came of an import: rows stored, rows refused, and what was decided on the way."""

    name: str
    relation: str
    rows: int
    bad: int
    notes: list[str] = field(default_factory=list)


def import_file(
    session: connection,
    path: Path,
    name: str,
    wish: Wish = Wish(),
    progress: Callable[[int, int | None], None] | None = None,
) -> Imported:
    """Make a table of a file in the space of the session's user; the caller commits.

    The table is stored under a name that tells nothing; `name` stands in the registry, and `level3.use_names()`
    makes it one for SQL.

    Raises
    ------
    Level3Error
        The file can't be read, has columns that no table takes, or bad rows without `wish.report`; the name is
        taken. Nothing is stored.
    LoadError
        The server refuses rows.
    """
    source = formats.read(path)
    with session.cursor() as cursor, refusals():
        fields, position, notes = _plan(cursor, source, wish)
        relation = _make_table(cursor, name, fields)
        stored, bad = _load(session, relation, source, fields, position, progress)
        _report(path, bad, wish.report)
        _index(cursor, relation, position, wish.spatial)
        _register(cursor, relation, name, fields, wish.description or source.description)
    return Imported(name, relation, stored, len(bad), notes)


def _plan(cursor, source: Source, wish: Wish) -> tuple[list[Field], Position | None, list[str]]:
    check_types(source.fields)
    position = recognise(source.fields, wish.ra, wish.dec, wish.unit)
    cursor.execute(queries("import")["reserved"])
    fields, notes = named(
        source.fields, {word for (word,) in cursor}, position is not None, bool(position and not position.as_is)
    )
    if position:
        pair = " and ".join(repr(source.fields[one.number].original) for one in (position.ra, position.dec))
        notes.append(f"{pair} are the position")
        fields += [
            Field(one, type_, "", unit, ucd, words, one, derived=True)
            for one, type_, unit, ucd, words in _added(pair)
            if not (position.as_is and one in ("ra", "dec"))
        ]
    return fields, position, notes


def _added(pair: str) -> list[tuple]:
    return [
        ("row_id", pa.int64(), None, "meta.record", "Number of the row in the file, from 1"),
        ("ra", pa.float64(), "deg", "pos.eq.ra;meta.main", f"Right ascension, from {pair}"),
        ("dec", pa.float64(), "deg", "pos.eq.dec;meta.main", f"Declination, from {pair}"),
        ("healpix29", pa.int64(), None, "pos.healpix", "HEALPix pixel of (ra, dec), NESTED, order 29"),
    ]


def _make_table(cursor, name: str, fields: list[Field]) -> str:
    if not 0 < len(name) <= 63 or "\x00" in name:
        raise Level3Error(
            f"level3: got the name {name!r}; allowed are 1 to 63 characters", "choose such a name by --as"
        )
    cursor.execute(queries("import")["taken"], {"name": name})
    if cursor.fetchone()[0]:
        raise Level3Error(f"level3: there is a product {name} already", "choose another name, or drop that one")
    cursor.execute(queries("import")["home"])
    home = cursor.fetchone()[0]
    if not home:
        raise Level3Error("level3: you have no space here", "`hven level3 open`")
    relation = f"{home}.t_{secrets.token_hex(8)}"
    columns = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(one.name), sql.SQL(one.sql)) for one in fields)
    table = sql.Identifier(*relation.split("."))
    cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(table, columns))
    for one in fields:
        if words := _comment(one):
            place = sql.Identifier(*relation.split("."), one.name)
            cursor.execute(sql.SQL("COMMENT ON COLUMN {} IS %s").format(place), [words])
    return relation


def _comment(one: Field) -> str:
    """A column's COMMENT: description, then unit in brackets, as everywhere in Hven."""
    unit = (one.unit or "").replace("[", "").replace("]", "").replace("\x00", "")[:200]
    return (
        f"{(one.description or '')[:5000]} [{unit}]".strip().replace("\x00", "")
        if unit
        else (one.description or "").replace("\x00", "")
    )


def _load(session, relation: str, source: Source, fields, position, progress) -> tuple[int, list[Bad]]:
    stored, bad = 0, []
    for table, wrong in _ahead(_checked(source, fields, position)):
        bad += wrong
        if len(bad) > MOST_BAD:
            raise Level3Error(f"level3: more than {MOST_BAD:,} bad rows, such as {bad[0]}", "look at the file")
        if len(table):
            load(session, relation, table)
        stored += len(table)
        _check_quota(session)
        if progress:
            progress(stored, source.rows)
    bad += [Bad(row, "the row", "", reason) for row, reason in source.bad]
    return stored, sorted(bad, key=lambda one: one.row)


def _check_quota(session: connection) -> None:
    with session.cursor() as cursor:
        cursor.execute(queries("import")["usage"])
        used, quota, login, over = cursor.fetchone()
    if over:
        raise Level3Error(
            f"level3: the import would take {used}, allowed to {login} are {quota}; nothing is imported",
            "drop what you no longer need, or ask for a larger quota",
        )


def _checked(source: Source, fields, position) -> Iterator[tuple[pa.Table, list[Bad]]]:
    first = 1
    for batch in source.batches:
        yield checked(batch, fields, position, first)
        first += len(batch)


def _ahead(items: Iterator) -> Iterator:
    """Make the next item while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = pool.submit(next, items, None)
            yield item


def _report(path: Path, bad: list[Bad], report: Path | None) -> None:
    if not bad:
        return
    if report is None:
        shown = "; ".join(map(str, bad[:SHOWN])) + ("; …" if len(bad) > SHOWN else "")
        raise Level3Error(
            f"level3: {path.name} has {len(bad)} bad rows, nothing is imported: {shown}",
            "correct them, or have them left out and listed by --report FILE",
        )
    with report.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "column", "value", "reason"])
        writer.writerows((one.row, one.column, one.value, one.reason) for one in bad)


def _index(cursor, relation: str, position: Position | None, spatial: bool) -> None:
    table = sql.Identifier(*relation.split("."))
    if position:
        cursor.execute(sql.SQL("CREATE INDEX ON {} (healpix29)").format(table))
    if position and spatial:
        cursor.execute(sql.SQL("CREATE INDEX ON {} USING gist (public.spoint_deg(ra, dec))").format(table))
    cursor.execute("SET LOCAL default_statistics_target = 20")  # a fifth of the pages; autovacuum comes for more
    cursor.execute(sql.SQL("ANALYZE {}").format(table))


def _register(cursor, relation: str, name: str, fields: list[Field], description: str | None) -> None:
    def clean(text: str | None) -> str | None:
        return text.replace("\x00", "") if text else text

    try:
        cursor.execute(
            queries("import")["name"], {"relation": relation, "name": name, "description": clean(description)}
        )
    except psycopg2.errors.UniqueViolation as error:
        raise Level3Error(f"level3: there is a product {name} already", "choose another name") from error
    columns = {
        "names": [one.name for one in fields],
        "originals": [clean(one.original) for one in fields],
        "types": [one.kind or str(one.type) for one in fields],
        "units": [clean(one.unit) for one in fields],
        "ucds": [clean(one.ucd) for one in fields],
        "descriptions": [clean(one.description) for one in fields],
        "derived": [one.derived for one in fields],
    }
    cursor.execute(queries("import")["describe"], columns | {"relation": relation})
