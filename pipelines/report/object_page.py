"""The page of an Object or a MovingObject: light curve, cut-outs, neighbours, orbit, in one HTML file."""

import io
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from db.errors import HvenError
from db.files import FileStore, FileStoreError
from pipelines.image import read_exposure
from pipelines.productions.products import ProductError, cutout
from pipelines.report import Answer, ask, environment, figures
from pipelines.report.nightly import Section

CUT = 40.0  # side of a cut-out [arcsec]
LEAST_PIXELS = 31  # a cut-out has at least this many on a side
FIGURES = ("difference", "sources", "observations")
OBJECT = ("object", "difference", "sources", "summary", "alerts", "neighbours", "exposures")
MOVING = ("orbit", "observations", "predicted")


class ShowError(HvenError):
    """There is no such Object."""

    exit_status = 23


@dataclass(frozen=True)
class CutOut:
    """A picture of the Object on one exposure."""

    kind: str
    image: str
    says: str


def object_page(connection: Connection, store: FileStore, what: str) -> str:
    """Return the page of an Object or MovingObject as HTML.

    Parameters
    ----------
    what : str
        Its id or its name.

    Raises
    ------
    ShowError
        This database has neither.
    """
    by_id = what.isdigit() and len(what) < 20
    objects = ask(connection, "show", "by_id" if by_id else "by_name", what=int(what) if by_id else what).rows
    found = objects or ask(connection, "show", "moving", what=what).rows
    if not found:
        said = f"show: no Object and no MovingObject is {what!r} here"
        raise ShowError(said, "give an id or a name, and the database by -d")
    number, name = found[0]
    answers = {topic: ask(connection, "show", topic, object=number) for topic in (OBJECT if objects else MOVING)}
    cuts = _cut_outs(connection, store, answers["object"]) if objects else []
    sections = [
        Section(topic, _told(topic, answer), _figure(topic, answer), topic in FIGURES)
        for topic, answer in answers.items()
    ]
    page = environment().get_template("object.html")
    return page.render(name=name or str(number), number=number, sections=sections, cuts=cuts)


def _told(topic: str, answer: Answer) -> Answer:
    """Leave out what is not known of the one row of an Object; the SQL stays as it was."""
    if topic not in {"object", "orbit"} or not answer.rows:
        return answer
    known = [(name, value) for name, value in answer.facts() if value is not None]
    return Answer(answer.title, answer.sql, tuple(name for name, _ in known), (tuple(value for _, value in known),))


def _figure(topic: str, answer: Answer) -> str:
    if topic not in FIGURES or not answer.rows:
        return ""
    forced = [kind.startswith("forced") for kind in answer.column("kind")] if "kind" in answer.columns else None
    return figures.light_curve(
        answer.column("mjd"), answer.column("flux_njy"), answer.column("error_njy"), answer.column("filter"), forced
    )


def _cut_outs(connection: Connection, store: FileStore, found: Answer) -> list[CutOut]:
    """Return pieces of the latest calibrated and difference exposure, where their files are to be had."""
    facts = dict(found.facts())
    if not facts:
        return []
    place = facts["mean_ra"] or facts["ra"], facts["mean_dec"] or facts["dec"]
    side = max(CUT, LEAST_PIXELS * ask(connection, "show", "scale").rows[0][0])
    made = []
    for kind in ("calibrated", "difference"):
        try:
            piece = read_exposure(io.BytesIO(cutout(connection, store, place, side, kind=kind)))
        except (ProductError, FileStoreError):  # the page is worth having without
            continue
        says = f"{side:.0f} arcsec across, MJD {piece.observation.midpoint_tai:.5f}"
        made.append(CutOut(kind, figures.picture(piece.pixels.image), says))
    return made
