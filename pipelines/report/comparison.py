"""Two releases side by side: schema, counts, the match of their Objects, and how those differ, as one HTML file."""

import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from psycopg2.extensions import connection as Connection

from db import life_cycle
from db.connect import connect
from db.queries import intents, queries
from pipelines.report import Answer, ask, environment, figures
from pipelines.report.nightly import Section

RADIUS = 1.0  # within which Objects of two releases may be the same [arcsec]
SPOOL = 256 << 20  # bytes of Objects that stay in memory on their way
OPEN = ("building", "validated")
"""States in which a release still takes rows."""

ASKED = ("matched", "shift", "completeness", "photometry", "separations", "magnitudes")


@dataclass(frozen=True)
class Comparison:
    """What two releases are to each other; `answers` by the names of the queries in `compare.sql`."""

    old: str
    new: str
    answers: Mapping[str, Answer]
    kept: bool

    def page(self) -> str:
        """Return it as HTML."""
        drawn = _figures(self.answers)
        sections = [Section(name, answer, drawn.get(name, ""), name in drawn) for name, answer in self.answers.items()]
        template = environment().get_template("comparison.html")
        return template.render(old=self.old, new=self.new, sections=sections, kept=self.kept, radius=RADIUS)


def compare(old: str, new: str) -> Comparison:
    """Compare a release with an earlier one.

    While the new one is being built, the match of Objects becomes its table `object_match`, by which old object_ids
    are followed.

    Raises
    ------
    ReleaseError
        There is no such release.
    """
    before, now = life_cycle.find(old), life_cycle.find(new)
    with closing(connect(old)) as earlier, closing(connect(new)) as later:
        answers = {"schema": _schema(earlier, later), "counts": _counts(earlier, later)}
        with later, later.cursor() as cursor:
            cursor.execute(queries("compare")["begin"])
            _copy(earlier, later, "other_flux")
            _copy(later, later, "own_flux")
            cursor.execute(queries("compare")["place"])
            cursor.execute(queries("compare")["match"], {"radius": RADIUS})
            answers |= {name: ask(later, "compare", name) for name in ASKED}
            kept = now.state in OPEN
            if kept:
                cursor.execute(queries("compare")["keep"], {"release": before.release})
    return Comparison(old, new, answers, kept)


def _copy(source: Connection, target: Connection, table: str) -> None:
    with source.cursor() as reader, target.cursor() as writer, tempfile.SpooledTemporaryFile(SPOOL) as between:
        reader.copy_expert(queries("compare")["objects_out"], between)
        between.seek(0)
        writer.copy_expert(f"COPY {table} FROM STDIN", between)


def _schema(earlier: Connection, later: Connection) -> Answer:
    """Return columns that one side alone has, or has with another type."""
    sides = [{row[:2]: row[2] for row in ask(side, "compare", "columns").rows} for side in (earlier, later)]
    rows = [
        (*place, *(side.get(place, "absent") for side in sides))
        for place in sorted(sides[0].keys() | sides[1].keys())
        if sides[0].get(place) != sides[1].get(place)
    ]
    columns = ("table", "column", "before", "now")
    return Answer("What differs in the schema", queries("compare")["columns"], columns, tuple(rows))


def _counts(earlier: Connection, later: Connection) -> Answer:
    sides = [dict(ask(side, "compare", "counts").rows) for side in (earlier, later)]
    rows = [
        (table, *(side.get(table) for side in sides))
        for table in sorted(sides[0].keys() | sides[1].keys())
        if any(side.get(table) for side in sides)
    ]
    title = intents("compare")["counts"]
    return Answer(title[0].upper() + title[1:], queries("compare")["counts"], ("table", "before", "now"), tuple(rows))


def _figures(answers: Mapping[str, Answer]) -> dict[str, str]:
    drawn = {}
    if answers["separations"].rows:
        values = np.array(answers["separations"].column("separation_mas"), float)
        most = float(np.percentile(values, 95))
        drawn["separations"] = figures.histogram(values, "separation [mas]", most, "Objects")
    if answers["magnitudes"].rows:
        columns = (answers["magnitudes"].column(name) for name in ("magnitude", "difference_mmag", "filter"))
        drawn["magnitudes"] = figures.scatter(*columns, ("magnitude now", "now − before [mmag]"))
    return drawn
