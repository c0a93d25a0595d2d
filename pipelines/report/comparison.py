"""Two releases side by side: schema, counts, the match of their Objects, and how those differ, as one HTML file."""

import tempfile
from collections import defaultdict
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
    """What two releases are to each other; `answers` by the names of the queries in `compare.sql`.

    `curves` says how much each star's light curve scatters, by release.
    """

    old: str
    new: str
    answers: Mapping[str, Answer]
    kept: bool
    curves: Mapping[str, Answer]

    def page(self) -> str:
        """Return it as HTML."""
        drawn = _figures(self.answers) | _scatter(self.curves)
        sections = [
            Section(name, answer, drawn.get(name, ""), name in drawn and name != "repeatability")
            for name, answer in self.answers.items()
        ]
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
            curves = {side: ask(session, "compare", "light_curves") for side, session in ((old, earlier), (new, later))}
            answers["repeatability"] = _repeatability(curves)
            kept = now.state in OPEN
            if kept:
                cursor.execute(queries("compare")["keep"], {"release": before.release})
    return Comparison(old, new, answers, kept, curves)


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


def _repeatability(curves: Mapping[str, Answer]) -> Answer:
    """Return the median scatter of light curves by magnitude, of each release's Sources and ForcedSources."""
    binned = defaultdict(dict)
    for side, answer in curves.items():
        for kind, band, magnitude, scatter in answer.rows:
            binned[band, int(np.floor(magnitude))].setdefault((side, kind), []).append(scatter)
    series = sorted({one for found in binned.values() for one in found})
    rows = [
        (*place, *(value for one in series for value in (len(found.get(one, ())), _median(found.get(one)))))
        for place, found in sorted(binned.items())
    ]
    columns = [name for side, kind in series for name in (f"{kind} light curves of {side}", f"{side} {kind} [mmag]")]
    title = "Scatter of light curves by magnitude, the median star's"
    return Answer(title, queries("compare")["light_curves"], ("filter", "magnitude", *columns), tuple(rows))


def _median(values: list[float] | None) -> float | None:
    return round(float(np.median(values)), 1) if values else None


def _scatter(curves: Mapping[str, Answer]) -> dict[str, str]:
    points = [(m, s, f"{kind}s of {side}") for side, one in curves.items() for kind, _, m, s in one.rows]
    if not points:
        return {}
    magnitude, scatter, series = zip(*points, strict=True)
    return {"repeatability": figures.scatter(magnitude, scatter, series, ("magnitude", "scatter [mmag]"))}
